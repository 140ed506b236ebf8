"""The two steps by which a person shows on our pages that a mailbox or number is theirs: a code is sent to it, and
entered in the same browser. What that proves, and for how long, stands in `code_cookie`.

Never says whether an address is known: it does not look (V25).
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.codes import Bound, Codes, NotSent, TooManyCodes
from gateway.consent import Consent
from gateway.ledger.subjects import Subject
from gateway.web import code_cookie, code_letters, fair_queue, language, page
from gateway.web.code_cookie import Coded
from gateway.web.language import mark
from gateway.web.visitor import Visitors, jar_of

ENTER = "/privacy-choices/code"
UNREADABLE = {
    "email": mark("We could not read that e-mail address. Please look at it again."),
    "phone": mark("We could not read that phone number. Please look at it again."),
}
NOT_SENT = mark("The code could not be sent. Please try again in a minute. Your choices stay as they are.")
TOO_MANY = mark("We send one address three codes an hour. Please wait an hour, or use the last code that came.")

AWAY = mark("Our records cannot be read at this moment. Please try again in a minute.")


@dataclass(frozen=True, slots=True)
class Steps:
    """`site`: what letters call the operator. `dev`: letters lie in a folder, and the page says so."""

    consent: Consent
    visitors: Visitors
    codes: Codes
    site: str
    dev: bool = False

    def now(self) -> int:
        return int(self.consent.clock().timestamp())

    def read(self, request: Request) -> Coded | None:
        """The code under way in this browser, or what it proved."""
        jar = jar_of(request.scope)
        return code_cookie.read(self.consent.secrets.seals, jar, self.now())

    def known(self, request: Request) -> list[Subject]:
        """The browser and the account that this request is by itself known to be."""
        visitor, people = self.visitors.read(request.scope), self.consent.people
        found = [people.browser(visitor.cookie.value)] if visitor.cookie and visitor.cookie.value else []
        return [*found, people.account(visitor.account)] if visitor.account else found

    def proved(self, request: Request, use: str) -> Subject | None:
        """Whose mailbox or number this browser has shown for this use."""
        coded = self.read(request)
        return self.subject(coded) if coded and coded.proved and coded.use == use else None

    def subject(self, coded: Coded) -> Subject | None:
        named = self.consent.people.name([coded.identifier])
        return named.subjects[0] if named.subjects else None

    async def send(self, request: Request, use: str, kind: str, typed: str) -> Response | None:
        """To the page that asks for the code; None for an address that cannot be read. Raises `NotSent`,
        `TooManyCodes`, `StoreUnavailable`.
        """
        named = self.consent.people.name([{"type": kind, "value": typed}])
        if not named.subjects:
            return None
        [subject] = named.subjects
        letter = code_letters.written(language.of(request), self.site, use, kind)
        ticket = await self.codes.send(Bound(subject, use), letter, fair_queue.source_of(request.scope))
        return self.remember(
            to(request, ENTER), code_cookie.waiting(use, kind, subject.value, ticket, self.now())
        )  # fmt: skip

    def remember(self, response: Response, coded: Coded) -> Response:
        response.headers.append("set-cookie", code_cookie.set_cookie(self.consent.secrets.seals, coded, self.now()))
        return response


def forget(response: Response) -> Response:
    """What was proved was used, or is to be forgotten."""
    response.headers.append("set-cookie", code_cookie.GONE)
    return response


def to(request: Request, path: str) -> Response:
    """On to another page of ours, in the language that was asked for by a link."""
    return RedirectResponse(page.link(request, path), 303, page.HEADERS)


def told(refused: Exception) -> tuple[str, int]:
    """Why no code was sent, and the status of the page that says so."""
    match refused:
        case TooManyCodes():
            return TOO_MANY, 429
        case NotSent():
            return NOT_SENT, 502
        case _:
            return AWAY, 503
