"""Who may come in at the desk: the session of each request, the role that a page wants, where a form came from, and the
line in the desk's log that is written before anything is shown. Every page behind the sign-in is wrapped by it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.desk.office.desk_log import DeskLog
from gateway.desk.office.officers import DeskRole, Officer, Officers
from gateway.web.desk import desk_page
from gateway.web.desk.desk_page import ROOT, show_desk
from gateway.web.shell import cross_site, problem, wire
from gateway.web.shell.peer import Peers
from gateway.web.shell.problem import Problem

MOST_BYTES, MOST_FIELDS = 64 * 1024, 128  # a tick for each of a case's hundred lines, and what stands beside them
PROXY = "proxy"
MOST_UPLOAD = 1_000_000  # bytes of a form with a file
CHARSET = re.compile(r";\s*charset\s*=[^;]*", re.IGNORECASE)

TITLES = {
    "store_unavailable": "The installation cannot be read or written now",
    "unauthorized": "You are signed out",
    "forbidden": "This may not be done",
    "malformed": "This cannot be done as it was sent",
    "nothing_usable": "Nothing of it can be read",
}


class DeskForm(dict[str, str]):
    """The fields of a form, and the content of its one file."""

    file: bytes = b""


Form = DeskForm
Shows = Callable[[Request, Officer, Form], Awaitable[Response]]
Serves = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class DeskDoor:
    """`url`: the origin that officers open the desk at. `own_days`: by which its own date is before the law's.
    `proxy_header`: in which one of `peers`, the proxies that are believed, says who signed in there.
    """

    officers: Officers
    log: DeskLog
    clock: Callable[[], datetime]
    url: str
    own_days: int
    proxy_header: str
    peers: Peers

    def page(self, least: DeskRole, what: str, shows: Shows) -> Serves:
        """A page for whoever has this role or a greater one. `what`: how the desk's log calls looking at it, or doing
        it; empty: the page notes that itself, with its case, or is about nothing and nobody.
        """

        async def served(request: Request) -> Response:
            officer = await self.officer(request)
            if officer is None:
                return self._outside(request)
            if not officer.role.may(least):
                raise Problem("forbidden", f"This is for the role {least}; yours is {officer.role}.")
            form = await self.form(request, officer) if request.method == "POST" else DeskForm()
            if what:
                await self.note(officer, what)
            return await shows(request, officer, form)

        return self.outside(served)

    def outside(self, shows: Serves) -> Serves:
        """A page before the sign-in, or behind it; what is wrong is said on a page, too."""

        async def served(request: Request) -> Response:
            try:
                return await shows(request)
            except problem.HANDLED as error:
                return show_problem(request, error)

        return served

    async def officer(self, request: Request) -> Officer | None:
        """Who is signed in. A session that a proxy's word began holds while the proxy says the same."""
        token = desk_page.cookie_of(request, desk_page.SESSION)
        officer = await asyncio.to_thread(self.officers.read_session, token) if token else None
        if officer and officer.way == PROXY and self.named_by_proxy(request) != officer.name:
            return None
        return officer

    def named_by_proxy(self, request: Request) -> str:
        """Whom a proxy that is believed says to be signed in; empty: nobody."""
        header = self.proxy_header
        if not header or not self.peers.trusts_nearest(request.scope):
            return ""
        named = request.headers.getlist(header)
        return named[0].strip().lower() if len(named) == 1 else ""

    async def note(self, officer: Officer, what: str, **about: str) -> None:
        """A line in the desk's log. Raises `StoreUnavailable`: what cannot be noted is not shown."""
        said = {"who": officer.name, "role": str(officer.role), "what": what, **about}
        await asyncio.to_thread(self.log.note, self.clock(), said)

    async def form(self, request: Request, officer: Officer) -> DeskForm:
        """The fields of a form of this very session, from our own page. Raises `Problem`."""
        self.same_origin(request)
        fields = await form_fields(request)
        if not compare_digest(fields.get("form", "").encode(), officer.form.encode()):
            raise Problem("cross_site", "The form is of another session. Open the page again.")
        return fields

    def same_origin(self, request: Request) -> None:
        """Raises `Problem` unless a browser says that a page of the desk sends this."""
        if not cross_site.is_same_origin(request.headers, (self.url,)):
            raise Problem("cross_site", "The form does not come from the desk itself.")

    def _outside(self, request: Request) -> Response:
        if request.method == "GET":
            return RedirectResponse(f"{ROOT}/sign-in", 303)
        raise Problem("unauthorized", "You are signed out; nothing was done. Sign in and do it again.")


async def form_fields(request: Request) -> DeskForm:
    """The last value of each field, trimmed; of a form with a file that too. Raises `Problem`."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return await _with_file(request)
    body = await wire.read_body(request, MOST_BYTES)
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Problem("malformed", "There are too many fields.") from None
    return DeskForm({name: value.replace("\x00", "").strip() for name, value in pairs})


async def _with_file(request: Request) -> DeskForm:
    """What is this short is never spooled to the disk. Browsers send it in the page's own charset, whatever a header
    says of one: others can spell what no file and no page can hold.
    """
    body = await wire.read_body(request, MOST_UPLOAD)
    told = CHARSET.sub("", request.headers["content-type"])

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    form = DeskForm()
    try:
        parser = MultiPartParser(
            Headers({"content-type": told}), stream(), max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_BYTES
        )
        for name, value in (await parser.parse()).multi_items():
            if isinstance(value, UploadFile):
                form.file = await value.read()
                await value.close()
            else:
                form[name] = value.replace("\x00", "").strip()
    except (MultiPartException, KeyError, ValueError) as error:
        raise Problem("malformed", "The form cannot be read.") from error
    return form


def show_problem(request: Request, error: Exception) -> Response:
    """What is wrong, as a page; of a session that is over, with the way to sign in."""
    found = problem.problem_of(error)
    status, title = problem.KINDS[found.kind]
    title = TITLES.get(found.kind, title)
    return show_desk(request, "problem.html", status, title=title, text=found.detail)
