"""The desk of a running service: its addresses, people who sit at it, and a Chromium with a passkey device in it."""

import asyncio
import contextlib
import itertools
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.app.composition import now
from gateway.desk.office.cases import Cases
from gateway.desk.office.desk_log import DeskLog
from gateway.desk.office.officers import DeskRole, Officers
from gateway.desk.office.request_law import RequestKind
from gateway.keys import secret_files
from gateway.web.shell.edge import DESK
from support import inside
from support.accessible import looked_through, picture
from support.ports import free_port
from support.service import Service

WIDTHS, SCHEMES = (1280, 360), ("light", "dark")


def officers(data: Path, **times: timedelta) -> Officers:
    """Those of an installation, by the machine's own clock."""
    return Officers(data, lambda: datetime.now(UTC), **times)


@contextlib.contextmanager
def desk_service(folder: Path, **environment: str):
    """A development service with a desk on an address of its own; `desk` is the origin that officers open."""
    port = free_port()
    url = f"http://localhost:{port}"
    said = {"GATEWAY_LISTEN__DESK": f"127.0.0.1:{port}", "GATEWAY_DESK__URL": url, **environment}
    before = {name: os.environ.get(name) for name in said}
    os.environ.update(said)
    running = Service(free_port(), folder / "data", folder / "log")
    running.desk = url
    try:
        yield running.start()
    finally:
        running.stop()
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def signed_in(running, name: str = "ada", role: DeskRole = DeskRole.OFFICER) -> dict[str, str]:
    """The cookie of a new session of somebody, as a browser of Playwright takes it."""
    sitting = officers(running.data)
    sitting.invite(name, role)
    token = sitting.begin_session(name, "passkey")
    return {"name": "__Host-desk", "value": token, "url": running.desk.replace("http:", "https:")}


def invitation(running, name: str, role: DeskRole) -> str:
    return f"{running.desk}/desk/invitation#{officers(running.data).invite(name, role)}"


def taken_in(running, agent: str, lines: str) -> int:
    """A request of an agent that came today and is not entered yet; its number."""
    cases = Cases(running.data, secret_files.load_secrets(running.data).desk, lambda: datetime.now(UTC))
    said = {
        "lines": lines,
        "unread": ["12x"],
        "agent": agent,
        "note": "She called, too.",
        "language": "es",
        "permission": "",
    }
    return cases.open_case(datetime.now(UTC), RequestKind.OPT_OUT, "US-CA", "agent", said)


FOCUSED = """(() => {
    const at = document.activeElement;
    return at.labels && at.labels.length ? at.labels[0].innerText : at.innerText;
})()"""


def tabs_to(page, name: str, most: int = 80) -> None:
    """By keyboard alone to what is called so, or begins so."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED).strip().startswith(name):
            return
    raise AssertionError(f"no way by keyboard to {name}")


def with_passkey_device(page) -> None:
    """A device in this page's browser that keeps passkeys and knows its owner, as a phone does."""
    protocol = page.context.new_cdp_session(page)
    protocol.send("WebAuthn.enable")
    protocol.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
                "isUserVerified": True, "automaticPresenceSimulation": True,
            }
        },
    )  # fmt: skip


URL = "https://desk.example.com"
OURS = {"Origin": URL, "Sec-Fetch-Site": "same-origin"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ALWAYS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def with_desk(folder, *, served=frozenset({DESK}), clock=now, **said):
    """The application of an installation that has a desk."""
    configured = inside.settings(listen__desk="127.0.0.1:8083", desk__url=URL, **said)
    return inside.application(folder, configured, served=served, clock=clock, dev=False)


@contextlib.asynccontextmanager
async def desk(folder, **about):
    """Calls the desk of an installation."""
    async with with_desk(folder, **about) as app, inside.client(app) as client:
        yield client


class Sitting:
    """The officers of an installation, asked from a test's loop: each call in a thread."""

    def __init__(self, data):
        self._officers = officers(data)

    def __getattr__(self, name):
        return lambda *about: asyncio.to_thread(getattr(self._officers, name), *about)


async def comes_in(data, name="ada", role=DeskRole.OFFICER):
    """The header of somebody's session."""
    await Sitting(data).invite(name, role)
    return {"Cookie": f"__Host-desk={await Sitting(data).begin_session(name, 'passkey')}"}


def form_of(page) -> str:
    return form_of_text(page.text)


def form_of_text(text: str) -> str:
    return re.search(r'name="form" value="([0-9a-f]{64})"', text)[1]


def read(data):
    return [line.said for line in DeskLog(data, inside.secrets().desk).lines(*ALWAYS)]


async def lines(data):
    return await asyncio.to_thread(read, data)


PERSON = "/desk/person"


async def asks(client, cookie, **fields):
    """What the desk answers to the form of a person."""
    said = {"form": form_of(await client.get(PERSON, headers=cookie)), **fields}
    return await client.post(PERSON, headers={**cookie, **OURS, **FORM}, data=said)


def carried(page) -> str:
    """What the page of somebody who was looked up brings along."""
    return re.search(r'name="person" value="([^"]+)"', page.text)[1]


def is_read_by_everybody(page, name: str) -> None:
    """A page of the desk: on a phone and on a screen, by day and by night."""
    for width, scheme in itertools.product(WIDTHS, SCHEMES):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        found = looked_through(page)
        assert not found.response["violations"], (width, scheme, found.generate_report())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, scheme)
        picture(page, f"{name}-{width}-{scheme}", full_page=True)
