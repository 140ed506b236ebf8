"""Coming in at the desk: by a passkey, by the company's own account, by the word of a proxy that the operator
named; and the one-time invitation by which somebody registers the first two.

An invitation's code stands behind the # of its link, which no browser sends: no log of a server or proxy has it. The
page hands it on in a form; without script it is pasted. A ceremony's challenge is good for ten minutes and one right
answer. Until then it lies sealed in the browser that began, and nowhere here: strangers begin as many as they like.

`/desk/people` is who sits at the desk, for admins, who invite and take off.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeVar
from urllib.parse import urlsplit

import orjson
import webauthn
from starlette.requests import Request
from starlette.responses import Response
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from gateway.desk.office.officers import STEP_FOR, DeskRole, NobodyAtDesk, Officer
from gateway.keys.seals import OpeningFailed, Sealed
from gateway.ledger.subjects import moment
from gateway.web.desk import desk_page
from gateway.web.desk.company import Company
from gateway.web.desk.desk_door import PROXY, DeskDoor, Form, form_fields
from gateway.web.desk.desk_page import INVITATION, ROOT, SESSION, STEP, go_on, show_desk, with_cookie
from gateway.web.shell import wire
from gateway.web.shell.brand import brand_of
from gateway.web.shell.problem import Problem

PASSKEY, COMPANY = "passkey", "company"
SIGN_IN = "sign-in"  # the ceremony of whoever has a passkey
T = TypeVar("T")
MOST_ANSWER = 64 * 1024  # bytes of what an authenticator says
UNDER_WAY = Sealed(b"desk-step/1", tuple[dict[str, str], float])  # what a ceremony has to remember, until when (Unix)


@dataclass(frozen=True)
class SignIn:
    """The doors before the desk. `company`: None where the operator has no sign-in of that kind. `seals`: the keys that
    what a ceremony has to remember is sealed with.
    """

    door: DeskDoor
    company: Company | None
    seals: Sequence[bytes] = field(repr=False)

    async def show(self, request: Request) -> Response:
        """`GET /desk/sign-in`: the ways that there are."""
        named = self.door.named_by_proxy(request)
        shown = show_desk(request, "sign_in.html", company=self.company is not None, named=named)
        return with_cookie(shown, INVITATION, "")  # whoever begins here signs in as themselves, and registers nothing

    async def by_proxy(self, request: Request) -> Response:
        """`POST /desk/sign-in/proxy`: as whom a proxy says, if it is believed."""
        self.door.same_origin(request)
        named = self.door.named_by_proxy(request)
        if not named:
            raise Problem("forbidden", "No proxy that is believed says who you are.")
        return await self._let_in(request, named, PROXY)

    async def ask_passkey(self, request: Request) -> Response:
        """`POST /desk/sign-in/options`: what a browser is to have signed, by any passkey that it has of the desk."""
        self.door.same_origin(request)
        options = webauthn.generate_authentication_options(
            rp_id=self._domain(), user_verification=UserVerificationRequirement.REQUIRED
        )
        return self._asked(SIGN_IN, options.challenge, webauthn.options_to_json(options))

    async def by_passkey(self, request: Request) -> Response:
        """`POST /desk/sign-in/passkey`: what it signed."""
        self.door.same_origin(request)
        challenge, said = await self._answered(request, SIGN_IN)
        credential = _credential_of(said)
        known = await asyncio.to_thread(self.door.officers.passkey, credential)
        if known is None:
            raise Problem("forbidden", "Nobody at this desk has this passkey.")
        with _refusing():
            shown = webauthn.verify_authentication_response(
                credential=said,
                expected_challenge=challenge,
                expected_rp_id=self._domain(),
                expected_origin=self.door.url,
                credential_public_key=known.key,
                credential_current_sign_count=known.signed,
                require_user_verification=True,
            )
        await self._got(self.door.officers.use_step, bytes_to_base64url(challenge))
        await asyncio.to_thread(self.door.officers.passkey_used, credential, shown.new_sign_count)
        return await self._let_in(request, known.name, PASSKEY, script=True)

    async def to_company(self, _: Request) -> Response:
        """`GET /desk/sign-in/company`: to the company's own sign-in, and back from there."""
        if self.company is None:
            raise Problem("not_found", "There is no company sign-in here.")
        url, step = await self.company.begin()
        return self._begun(go_on(url), step, desk_page.COMING_BACK)

    async def from_company(self, request: Request) -> Response:
        """`GET /desk/sign-in/back`: whoever it says; with an invitation in this browser, that is registered first."""
        if self.company is None:
            raise Problem("not_found", "There is no company sign-in here.")
        step = self._under_way(request)
        subject = await self.company.subject(step, request.query_params)
        await self._got(self.door.officers.use_step, step["state"])
        code = desk_page.cookie_of(request, INVITATION)
        if code:
            name = await self._got(self.door.officers.register_company, code, self.company.issuer, subject)
        else:
            found = await asyncio.to_thread(self.door.officers.of_company, self.company.issuer, subject)
            if found is None:
                raise Problem(
                    "forbidden", "Nobody at this desk has this account. Ask whoever runs it for an invitation."
                )
            name = found
        return await self._let_in(request, name, COMPANY)

    async def invitation(self, request: Request) -> Response:
        """`GET /desk/invitation`: where the code is handed in."""
        return show_desk(request, "invitation.html", name="", company=False)

    async def invited(self, request: Request) -> Response:
        """`POST /desk/invitation`: the ways to register, for whom it is."""
        self.door.same_origin(request)
        code = (await form_fields(request)).get("code", "")
        name = await self._invited(code)
        shown = show_desk(request, "invitation.html", name=name, company=self.company is not None)
        return with_cookie(shown, INVITATION, code, desk_page.COMING_BACK)

    async def ask_new_passkey(self, request: Request) -> Response:
        """`POST /desk/invitation/options`: what a new passkey is to be."""
        self.door.same_origin(request)
        code = desk_page.cookie_of(request, INVITATION)
        name = await self._invited(code)
        options = webauthn.generate_registration_options(
            rp_id=self._domain(),
            rp_name=f"{brand_of(request).name} privacy desk".strip(),
            user_name=name,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
        )
        return self._asked(_registering(code), options.challenge, webauthn.options_to_json(options))

    async def new_passkey(self, request: Request) -> Response:
        """`POST /desk/invitation/passkey`: the new one, which lets its person in at once."""
        self.door.same_origin(request)
        code = desk_page.cookie_of(request, INVITATION)
        await self._invited(code)  # before anything that a stranger sends is looked into
        challenge, said = await self._answered(request, _registering(code))
        with _refusing():
            made = webauthn.verify_registration_response(
                credential=said,
                expected_challenge=challenge,
                expected_rp_id=self._domain(),
                expected_origin=self.door.url,
                require_user_verification=True,
            )
        await self._got(self.door.officers.use_step, bytes_to_base64url(challenge))
        name = await self._got(
            self.door.officers.register_passkey,
            code,
            made.credential_id,
            made.credential_public_key,
            made.sign_count,
        )
        return await self._let_in(request, name, PASSKEY, script=True)

    async def leave(self, _: Request, officer: Officer, __: Form) -> Response:
        """`POST /desk/sign-out`."""
        await asyncio.to_thread(self.door.officers.end_session, officer.token)
        return with_cookie(go_on(f"{ROOT}/sign-in"), SESSION, "")

    def _domain(self) -> str:
        return urlsplit(self.door.url).hostname or ""

    async def _invited(self, code: str) -> str:
        """For whom an invitation is. Raises `Problem`."""
        name = await asyncio.to_thread(self.door.officers.invited, code)
        if name is None:
            raise Problem("forbidden", "This invitation is over, or was used: ask for another one.")
        return name

    def _asked(self, ceremony: str, challenge: bytes, options: str) -> Response:
        """A ceremony's question, and the one cookie that its answer needs."""
        kept = {"ceremony": ceremony, "challenge": bytes_to_base64url(challenge)}
        return self._begun(Response(options, 200, desk_page.HEADERS, wire.JSON), kept)

    def _begun(self, response: Response, step: Mapping[str, str], same_site: str = desk_page.ONLY_HERE) -> Response:
        """The answer that begins a ceremony, with what it has to remember for ten minutes."""
        until = (self.door.clock() + STEP_FOR).timestamp()
        return with_cookie(response, STEP, UNDER_WAY.seal(self.seals, (dict(step), until)), same_site)

    def _under_way(self, request: Request) -> dict[str, str]:
        """The same as the browser brings it back; nothing where it is over, or not ours."""
        try:
            step, until = UNDER_WAY.open(self.seals, desk_page.cookie_of(request, STEP))
        except OpeningFailed:
            return {}
        return step if until >= self.door.clock().timestamp() else {}

    async def _answered(self, request: Request, ceremony: str) -> tuple[bytes, dict[str, object]]:
        """The challenge that was asked in this ceremony, and what the browser says to it. Raises `Problem`."""
        step = self._under_way(request)
        wire.require_json(request)
        said = wire.parse_body(await wire.read_body(request, MOST_ANSWER))
        if step.get("ceremony") != ceremony or not isinstance(said, dict):
            raise Problem("forbidden", "This took too long. Begin again.")
        return base64url_to_bytes(step["challenge"]), said

    async def _got(self, job: Callable[..., T], *about: object) -> T:
        """What the list of officers gives: a name, a token, leave to go on. Raises `Problem` for who is not on it."""
        try:
            return await asyncio.to_thread(job, *about)
        except NobodyAtDesk as nobody:
            raise Problem("forbidden", str(nobody)) from None

    async def _let_in(self, request: Request, name: str, way: str, *, script: bool = False) -> Response:
        """A session begins. Its cookie is sent from our own pages alone, so a page of ours leads on."""
        token = await self._got(self.door.officers.begin_session, name, way)
        await self.door.note(Officer(name, DeskRole.READER, way, ""), f"signed in by {way}")
        if script:
            shown: Response = Response(orjson.dumps({"go": ROOT}), 200, desk_page.HEADERS, wire.JSON)
        else:
            shown = show_desk(request, "signed_in.html", name=name)
        for gone in (STEP, INVITATION):
            with_cookie(shown, gone, "")
        return with_cookie(shown, SESSION, token)


def _registering(code: str) -> str:
    """The ceremony of one invitation, which no other one's answer ends."""
    return f"invitation {sha256(code.encode()).hexdigest()}"


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Around the library that looks into what a browser says: it raises what its parsers happen to stumble over
    (IndexError of an empty list, AttributeError), and nothing that it raises lets anybody in.
    """
    try:
        yield
    except Exception as error:
        raise Problem("forbidden", "The passkey's answer does not hold.") from error


def _credential_of(said: dict[str, object]) -> bytes:
    """The passkey's id; of rubbish no passkey's."""
    try:
        return base64url_to_bytes(str(said.get("id", "")))
    except ValueError:
        return b""


@dataclass(frozen=True)
class PeopleOfDesk:
    """`/desk/people`."""

    door: DeskDoor

    async def show(self, request: Request, officer: Officer, _: Form) -> Response:
        return await self._page(request, officer)

    async def post(self, request: Request, officer: Officer, form: Form) -> Response:
        """Invites somebody, whose link is shown this once; or takes somebody off the desk."""
        name, action = form.get("name", "").lower(), form.get("action")
        if action == "invite":
            code = await self._invite(officer, name, form.get("role", ""))
            return await self._page(request, officer, link=invitation_link(self.door.url, code), name=name)
        if action == "end" and name == officer.name:
            raise Problem("forbidden", "Nobody takes themselves off the desk: another admin does.")
        if action == "end":
            await self.door.note(officer, "took off the desk", whom=name)
            await asyncio.to_thread(self.door.officers.end_person, name)
            return await self._page(request, officer)
        raise Problem("malformed", "There is no such act.")

    async def _invite(self, officer: Officer, name: str, role: str) -> str:
        """The code. Who is made what is noted with what they were. Raises `Problem`."""
        if role not in tuple(DeskRole):
            raise Problem("malformed", "A role is reader, officer or admin.")
        if name == officer.name and role != officer.role:
            raise Problem("forbidden", "Nobody changes their own role: another admin does.")
        was = await asyncio.to_thread(self.door.officers.role_of, name)
        await self.door.note(officer, "invited", whom=name, made=role, was=was)
        try:
            return await asyncio.to_thread(self.door.officers.invite, name, DeskRole(role))
        except ValueError as error:
            raise Problem("malformed", f"{error}.") from None

    async def _page(self, request: Request, officer: Officer, link: str = "", name: str = "") -> Response:
        people = await asyncio.to_thread(self.door.officers.people)
        listed = [(each, f"{moment(each.used):%Y-%m-%d %H:%M} UTC" if each.used else "") for each in people]
        return show_desk(
            request, "people.html", officer=officer, people=listed, link=link, invited=name, roles=list(DeskRole)
        )


def invitation_link(url: str, code: str) -> str:
    """What an invited person opens; what stands behind the # is sent to nobody."""
    return f"{url}{ROOT}/invitation#{code}"
