"""`SiteAnswer`: what an ASGI site in the same process reads of its visitor, instead of the `Gateway-*` headers.

Owns the shape that sites rely on. Holds no id, no token and no history of anybody, so it may be logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

Status = Literal["honored", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class SiteAnswer:
    """`scope["state"]["gateway"]`, and `request.state.gateway` in Starlette and FastAPI.

    `sale`, `sharing`, `targeted_ads`: True where it may be done for this visitor, here and now. `status`: `honored`, a
    signal or choice holds; `none`, nobody said anything; `unknown`, the gateway did not find out, and nothing may be
    done. `place`: the places that counted, `US-CA` or several with commas, `unknown` for none. `gpc`: whether this very
    request said `Sec-GPC: 1`. The same as the headers say (api.md, To the site).
    """

    sale: bool = False
    sharing: bool = False
    targeted_ads: bool = False
    status: Status = "unknown"
    place: str = "unknown"
    gpc: bool = False

    @property
    def opted_out(self) -> bool:
        """Whether the visitor counts as opted out; True as well while nobody knows (R17)."""
        return self.status != "none"

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> "SiteAnswer":
        """The answer to an ASGI request. Where no gateway stood before the site, nothing may be done; never raises."""
        found = (scope.get("state") or {}).get("gateway")
        return found if isinstance(found, cls) else cls()


def answer(allowed: Mapping[Any, bool], status: str, place: str, *, gpc: bool) -> SiteAnswer:
    """The answer from what may be done by purpose."""
    may = {str(purpose): bool(allowed[purpose]) for purpose in allowed}
    return SiteAnswer(
        may.get("sale", False), may.get("sharing", False), may.get("targeted_ads", False), cast("Status", status),
        place, gpc,
    )  # fmt: skip
