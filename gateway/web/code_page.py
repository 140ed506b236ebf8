"""`/privacy-choices/code`: a code is sent to a mailbox or a number, and entered here.

Good for one use, in the browser that asked (`code_cookie`). Anybody may ask for a code to any address, and learns
nothing by it (V25). Shows the address to nobody but the one who typed it, while the code is waited for.
"""

from collections.abc import Collection

from starlette.requests import Request
from starlette.responses import Response

from gateway.codes import ACCESS, ERASURE, Bound, CodeOver, NotSent, TooManyCodes, WrongCode
from gateway.ledger.errors import StoreUnavailable
from gateway.web import code_cookie, code_letters, code_steps, form_fields, language, page
from gateway.web.code_cookie import Coded
from gateway.web.code_steps import Steps
from gateway.web.language import mark
from gateway.web.problem import Problem

# Where a person goes on with what they have shown; what is in neither is opting in.
NEXT = {ACCESS: "/privacy-choices/data", ERASURE: "/privacy-choices/erase"}
OPT_IN = "/privacy-choices/opt-in/read"
START = {ACCESS: "/privacy-choices/data", ERASURE: "/privacy-choices/data"}
BEGIN = "/privacy-choices/opt-in"
WRONG = mark("That is not the code that we sent. Tries that are left: %(left)d.")
OVER = mark("This code is over: used, older than ten minutes, or tried too often. Please have a new one sent.")


class CodePage:
    """The door."""

    def __init__(self, steps: Steps, origins: Collection[str]) -> None:
        self._steps = steps
        self._origins = origins

    async def show(self, request: Request) -> Response:
        """`GET`: the field for the code that is waited for."""
        coded = self._steps.read(request)
        if coded is None or coded.proved:
            return self._none(request)
        return self._page(request, coded)

    async def post(self, request: Request) -> Response:
        """`POST`: `action=send` to `email` or `phone` for a `use`, `again`, or `enter` with the `code`."""
        said = await form_fields.read(request, self._origins)
        coded = self._steps.read(request)
        match said.get("action"):
            case "send":
                kind = "phone" if said.get("phone") else "email"
                return await self._send(request, said.get("use", ""), kind, said.get(kind, ""))
            case "again" if coded:
                return await self._send(request, coded.use, coded.kind, coded.value, coded)
            case "same" if coded and coded.proved:  # the address that was shown for one use, for another
                return await self._send(request, said.get("use", ""), coded.kind, coded.value)
            case "enter" if coded and not coded.proved:
                return await self._enter(request, coded, said.get("code", ""))
            case _:
                return self._none(request)

    async def _send(self, request: Request, use: str, kind: str, typed: str, before: Coded | None = None) -> Response:
        if use not in NEXT and before is None:  # a code for opting in is sent where its purpose is chosen
            raise Problem("malformed", "use is one that a code is sent for here")
        try:
            sent = await self._steps.send(request, use, kind, typed)
        except (NotSent, TooManyCodes, StoreUnavailable) as refused:
            text, status = code_steps.told(refused)
            if before and not before.proved:
                return self._page(request, before, text, status)
            return self._none(request, text, status, use)
        return sent or self._none(request, code_steps.UNREADABLE[kind], 422, use)

    async def _enter(self, request: Request, coded: Coded, code: str) -> Response:
        subject = self._steps.subject(coded)
        if subject is None:
            return self._none(request)
        try:
            await self._steps.codes.enter(coded.ticket, Bound(subject, coded.use), code)
        except WrongCode as wrong:
            return self._page(request, coded, WRONG, 403, left=wrong.left)
        except CodeOver:
            return self._page(request, coded, OVER, 403)
        except StoreUnavailable:
            return self._page(request, coded, code_steps.AWAY, 503)
        onward = code_steps.to(request, NEXT.get(coded.use, OPT_IN))
        return self._steps.remember(onward, code_cookie.proved(coded, self._steps.now()))

    def _page(self, request: Request, coded: Coded, problem: str = "", status: int = 200, left: int = 0) -> Response:
        what = code_letters.what_for(language.of(request), coded.use)
        return page.show(
            request, "code.html", status, coded=coded, what=what, problem=problem, left=left, dev=self._steps.dev,
            start=START.get(coded.use, BEGIN),
        )  # fmt: skip

    def _none(self, request: Request, problem: str = "", status: int = 200, use: str = "") -> Response:
        """No code is waited for: where to begin."""
        return page.show(request, "code_none.html", status, problem=problem, start=START.get(use, BEGIN))
