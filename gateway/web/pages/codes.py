"""`/privacy-choices/code`: a code is sent to a mailbox or a number and entered here, in the same browser. The pages
about one's own data and about opting in use its two steps.

A code is good for one use, in the browser that asked; what it proves, and for how long, stands in that browser's sealed
cookie (`own_cookies`). Anybody may ask for a code to any address, and learns nothing by it: whether it is known is not
looked up (V25). Shows the address to nobody but the one who typed it, while the code is waited for.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.consent.codes import ACCESS, ERASURE, SECONDS, Bound, CodeOver, Codes, NotSent, TooManyCodes, WrongCode
from gateway.consent.verbs import Consent
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Subject
from gateway.web.pages import forms
from gateway.web.shell import fair_queue, own_cookies, page, words
from gateway.web.shell.brand import brand_of
from gateway.web.shell.own_cookies import PROOF_SECONDS, Coded
from gateway.web.shell.problem import Problem
from gateway.web.shell.visitor import Visitors, jar_of
from gateway.web.shell.words import mark

ENTER = "/privacy-choices/code"
UNREADABLE = {
    "email": mark("We could not read that email address. Please look at it again."),
    "phone": mark("We could not read that phone number. Please look at it again."),
}
NOT_SENT = mark("The code could not be sent. Please try again in a minute. Your choices stay as they are.")
TOO_MANY = mark("We send one address three codes an hour. Please wait an hour, or use the last code that came.")

AWAY = mark("Our records cannot be read at this moment. Please try again in a minute.")


@dataclass(frozen=True, slots=True)
class Steps:
    """`dev`: letters lie in a folder, and the page says so. `cpni`: whether the operator's module is on (R27)."""

    consent: Consent
    visitors: Visitors
    codes: Codes
    dev: bool = False
    cpni: bool = True

    def now(self) -> int:
        return int(self.consent.clock().timestamp())

    def ways(self, request: Request) -> list[str]:
        """The kinds of what a code may be sent to, of those that the operator has."""
        return [kind for kind in self.codes.kinds if kind in brand_of(request).has]

    def read(self, request: Request) -> Coded | None:
        """The code under way in this browser, or what it proved."""
        jar = jar_of(request.scope)
        return own_cookies.read_code_cookie(self.consent.secrets.seals, jar, self.now())

    def known(self, request: Request, use: str) -> list[Subject]:
        """The browser and the account that this request is by itself known to be, and what a code has shown for this
        use; a site's own cookie ids, which anybody can send, prove nothing.
        """
        visitor, people, coded = self.visitors.read(request.scope), self.consent.people, self.proved(request, use)
        cookie = visitor.cookie
        browser = people.browser(cookie.value, unwritten=cookie.unwritten) if cookie and cookie.value else None
        return [each for each in (browser, visitor.account, coded) if each]

    def proved(self, request: Request, use: str) -> Subject | None:
        """Whose mailbox or number this browser has shown for this use."""
        coded = self.read(request)
        return self.subject(coded) if coded and coded.proved and coded.use == use else None

    def subject(self, coded: Coded) -> Subject | None:
        named = self.consent.people.name([{"type": coded.kind, "value": coded.value}])
        return named.subjects[0] if named.subjects else None

    async def send(self, request: Request, use: str, kind: str, typed: str) -> Response | tuple[str, int]:
        """To the page that asks for the code; or why none was sent, and the status of the page that says so."""
        named = self.consent.people.name([{"type": kind, "value": typed}])
        if not named.subjects:
            return UNREADABLE[kind], 422
        [subject] = named.subjects
        letter = words.written(words.language_of(request), brand_of(request).name, use, kind)
        try:
            ticket = await self.codes.send(Bound(subject, use), letter, fair_queue.source_of(request.scope))
        except TooManyCodes:
            return TOO_MANY, 429
        except NotSent:
            return NOT_SENT, 502
        except StoreUnavailable:
            return AWAY, 503
        return self.remember(to(request, ENTER), Coded(use, kind, subject.value, self.now() + SECONDS, ticket))

    def remember(self, response: Response, coded: Coded) -> Response:
        response.headers.append(
            "set-cookie", own_cookies.set_code_cookie(self.consent.secrets.seals, coded, self.now())
        )
        return response


def forget_by_code(response: Response) -> Response:
    """What was proved was used, or is to be forgotten."""
    response.headers.append("set-cookie", own_cookies.CODE_COOKIE_GONE)
    return response


def to(request: Request, path: str) -> Response:
    """On to another page of ours, in the language that was asked for by a link."""
    return RedirectResponse(page.page_link(request, path), 303, page.HEADERS)


# Where a person goes on with what they have shown; what is in neither is opting in.
NEXT = {ACCESS: "/privacy-choices/data", ERASURE: "/privacy-choices/erase"}
OPT_IN = "/privacy-choices/opt-in/read"
START = {ACCESS: "/privacy-choices/data", ERASURE: "/privacy-choices/data"}
BEGIN = "/privacy-choices/opt-in"
WRONG = mark("That is not the code that we sent. Tries that are left: %(left)d.")
OVER = mark("This code is over: used, older than ten minutes, or tried too often. Please have a new one sent.")


class CodeForm(Struct):
    """`action`: send (to `email` or `phone`, for a `use`), again, same (for another `use`), or enter (the `code`)."""

    action: str = ""
    use: str = ""
    email: str = ""
    phone: str = ""
    code: str = ""


class CodePage:
    """`/privacy-choices/code`."""

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
        said = await forms.read_form_fields(request, CodeForm, self._origins)
        coded = self._steps.read(request)
        match said.action:
            case "send":
                kind = "phone" if said.phone else "email"
                return await self._send(request, said.use, kind, said.phone or said.email)
            case "again" if coded:
                return await self._send(request, coded.use, coded.kind, coded.value, coded)
            case "same" if coded and coded.proved:  # the address that was shown for one use, for another
                return await self._send(request, said.use, coded.kind, coded.value)
            case "enter" if coded and not coded.proved:
                return await self._enter(request, coded, said.code)
            case _:
                return self._none(request)

    async def _send(self, request: Request, use: str, kind: str, typed: str, before: Coded | None = None) -> Response:
        if use not in NEXT and before is None:  # a code for opting in is sent where its purpose is chosen
            raise Problem("malformed", "use is one that a code is sent for here")
        sent = await self._steps.send(request, use, kind, typed)
        if isinstance(sent, Response):
            return sent
        if before and not before.proved:
            return self._page(request, before, *sent)
        return self._none(request, *sent, use)

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
            return self._page(request, coded, AWAY, 503)
        onward = to(request, NEXT.get(coded.use, OPT_IN))
        return self._steps.remember(onward, replace(coded, until=self._steps.now() + PROOF_SECONDS, ticket=""))

    def _page(self, request: Request, coded: Coded, problem: str = "", status: int = 200, left: int = 0) -> Response:
        what = words.what_for(words.language_of(request), coded.use)
        return page.show_page(
            request,
            "code.html",
            status,
            coded=coded,
            what=what,
            problem=problem,
            left=left,
            dev=self._steps.dev,
            start=START.get(coded.use, BEGIN),
        )

    def _none(self, request: Request, problem: str = "", status: int = 200, use: str = "") -> Response:
        """No code is waited for: where to begin."""
        return page.show_page(request, "code_none.html", status, problem=problem, start=START.get(use, BEGIN))
