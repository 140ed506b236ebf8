"""The desk of a running service: its addresses, people who sit at it, and a Chromium with a passkey device in it."""

import contextlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.desk.office.officers import DeskRole, Officers
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
