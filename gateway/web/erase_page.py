"""`/privacy-choices/erase`: a person has forgotten what is held about them, in two steps; the opt-out stays (R19).

First what will go and what stays, then "yes" to what was shown to be theirs: this browser, the account that is signed
in, a mailbox or number by a code for this use. Nothing else is touched (R12), and the answer is the same whether
anything was known or not (V25).
"""

from collections.abc import Collection, Sequence

from starlette.requests import Request
from starlette.responses import Response

from gateway.codes import ACCESS, ERASURE
from gateway.ledger.entry import b64
from gateway.ledger.erasure import Order
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject
from gateway.terms import Erasing
from gateway.web import code_steps, form_fields, page
from gateway.web.code_steps import Steps
from gateway.web.language import mark

NOTHING = mark("Please tick what is to be forgotten.")


class ErasePage:
    """The door."""

    def __init__(self, steps: Steps, origins: Collection[str]) -> None:
        self._steps = steps
        self._origins = origins

    async def show(self, request: Request) -> Response:
        """`GET`: what will go, what stays, and of whom."""
        return self._page(request)

    async def post(self, request: Request) -> Response:
        """`POST` with `action=erase` and a field a kind: `browser`, `account`, `email`, `phone`."""
        said = await form_fields.read(request, self._origins, undoes=True)
        chosen = [subject for subject in self._proved(request) if said.get(subject.kind)]
        if said.get("action") != "erase" or not chosen:
            return self._page(request, NOTHING, 422)
        order = Order(Erasing.DETAILS, chosen, self._steps.consent.clock())
        try:
            written = await self._steps.consent.erase(order)
        except StoreUnavailable:
            return self._page(request, code_steps.AWAY, 503)
        return code_steps.forget(page.show(request, "erased.html", event=b64(written.event)))

    def _proved(self, request: Request) -> Sequence[Subject]:
        coded = self._steps.proved(request, ERASURE)
        return [*self._steps.known(request), *([coded] if coded else [])]

    def _page(self, request: Request, problem: str = "", status: int = 200) -> Response:
        coded = self._steps.read(request)
        shown = coded.kind if coded and coded.proved and coded.use == ACCESS else ""
        kinds = [subject.kind for subject in self._proved(request)]
        ways = self._steps.codes.kinds
        return page.show(request, "erase.html", status, problem=problem, kinds=kinds, shown=shown, ways=ways)
