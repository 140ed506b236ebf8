"""The small forms of our pages about one's own data and about opting in: their fields, and that they come from us.

Strict: nothing here opts out, so a form that is foreign, too long or odd is refused and nothing is lost.
"""

from collections.abc import Collection
from urllib.parse import parse_qsl

from starlette.requests import Request

from gateway.web import cross_site, wire
from gateway.web.problem import Problem

MAX_BYTES = 16 * 1024
MAX_FIELDS = 32


async def read(request: Request, origins: Collection[str], *, undoes: bool = False) -> dict[str, str]:
    """The last value of each field, trimmed. Raises `Problem`: a form that shows something comes from our own pages
    (R32). `undoes`: one after which nothing is as it was; a browser says that it comes from there.
    """
    is_ours = cross_site.is_same_origin if undoes else cross_site.is_own
    if not is_ours(request.headers, origins):
        raise Problem("cross_site", "press the button on the page itself")
    body = await wire.read_body(request, MAX_BYTES)
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Problem("malformed", "too many fields") from None
    return {name: value.replace("\x00", "").strip() for name, value in pairs}
