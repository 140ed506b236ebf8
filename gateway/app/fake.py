"""`gateway serve --fake`, for tests of those who call the gateway: the real service on a ledger that begins empty and
is thrown away (I24).

Of three accounts the answer to a check is fixed: `test-allow`, `test-deny`, `test-minor`; of everybody else nothing is
on record but what was said here since the start. `Gateway-Fake: status=503`, `delay_ms=300` or `reset` makes it
misbehave. It reaches nobody, keeps nothing, and refuses a production configuration.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import Scope

from gateway.app import service
from gateway.app.composition import migrate, open_house
from gateway.choice.question import Office, Verdict
from gateway.consent.asked import Around, Ask, Checked, Met
from gateway.consent.check import Checks
from gateway.keys.secret_files import SECRETS
from gateway.ledger.subjects import Choice
from gateway.settings.load import Settings
from gateway.settings.option_tree import SettingsRefused
from gateway.settings.recipients import RecipientCredential
from gateway.terms import ALL_PURPOSES, Answer, ChoiceKind, Reason, Source
from gateway.web.shell import problem
from gateway.web.shell.edge import INTERNAL, METRICS, PUBLIC, Addresses
from gateway.web.shell.problem import Problem

DENIED, MINOR, ALLOWED = "test-deny", "test-minor", "test-allow"
BAND = "13_15"
FIXED = {DENIED: (Answer.DENY, Reason.OPTED_OUT, None), MINOR: (Answer.DENY, Reason.AGE, BAND),
         ALLOWED: (Answer.ALLOW, Reason.NO_CHOICE, None)}  # fmt: skip
# What the person behind `test-allow` has settled, by an opt-in or in another way. Nothing else is: a signal, an age, a
# withheld id or a class that is not registered is a no, or a test that forgot to send one would pass.
SETTLED = frozenset({
    Reason.NO_CHOICE, Reason.OPT_IN_REQUIRED, Reason.PLACE_UNKNOWN, Reason.UNLINKED, Reason.NO_IDENTIFIER,
    Reason.NOT_NOTIFIED, Reason.NO_NOTICE_AT_COLLECTION, Reason.NOTICE_NOT_RIPE, Reason.NO_TRANSFER_BASIS,
    Reason.COARSENED, Reason.HASHED,
})  # fmt: skip
LONGEST_MS = 60_000
DIGITS = 9  # of a number in the header
BY_STATUS = {status: kind for kind, (status, _) in problem.KINDS.items()}
MANNERS = f"delay_ms=N, reset, or status=N with one of {', '.join(map(str, sorted(BY_STATUS)))}"
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Everywhere(Addresses):
    """Serves every path on one address, whatever the port."""

    def of(self, _: Scope) -> frozenset[str]:
        return frozenset({PUBLIC, INTERNAL, METRICS})


class FakeChecks(Checks):
    """Answers as the gateway does, but for the three accounts; of several the strictest. What opts `test-allow` out is
    obeyed.
    """

    def meet(self, ask: Ask, identifiers: Sequence[Mapping[str, object]], *, briefly: bool = False) -> Met:
        met = super().meet(ask, identifiers, briefly=briefly)
        named = {one.get("value") for one in identifiers if one.get("type") == "account"}
        named |= {each.value for each in (ask.named.subjects if ask.named else ()) if each.is_account}
        fixed = next((account for account in FIXED if account in named), "")
        return met._replace(likeness=met.likeness._replace(fixed=fixed))

    def decide(self, ask: Ask, around: Around, met: Met, office: Office) -> Checked:
        checked = super().decide(ask, around, met, office)
        if not met.likeness.fixed:
            return checked
        answer, reason, age = FIXED[met.likeness.fixed]
        verdicts = {
            name: verdict
            if name not in self.recipients
            or verdict.reason is Reason.UNKNOWN_PURPOSE
            or (answer is Answer.ALLOW and verdict.reason not in SETTLED)
            else Verdict(dict.fromkeys(verdict.data, answer), reason, "fake", verdict.place)
            for name, verdict in checked.verdicts.items()
        }
        return checked._replace(verdicts=verdicts, age=age)


class Misbehaving:
    """Does what `Gateway-Fake` asks for, several things with commas between; takes its folder away at the end."""

    def __init__(self, app: Any, folder: Path) -> None:
        self._app = app
        self._folder = folder

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            try:
                await self._app(scope, receive, send)
            finally:
                await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            return
        asked = b",".join(value for name, value in scope.get("headers", ()) if name == b"gateway-fake")
        wanted = dict(part.strip().partition("=")[::2] for part in asked.decode("latin-1").split(",") if part.strip())
        if not all(_is_known(*each) for each in wanted.items()):
            await problem.response(Problem("malformed", f"Gateway-Fake: {MANNERS}"))(scope, receive, send)
            return
        await asyncio.sleep(min(_number(wanted.get("delay_ms", "")), LONGEST_MS) / 1000)
        if "reset" in wanted:  # an answer that is cut off: the connection ends under it
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return
        kind = BY_STATUS.get(_number(wanted.get("status", "")))
        if kind:
            await problem.response(Problem(kind, "as Gateway-Fake asked"))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_known(name: str, value: str) -> bool:
    """A misspelt wish would be a test of nothing."""
    if name == "reset":
        return not value
    if name == "status":
        return value == "200" or _number(value) in BY_STATUS
    return name == "delay_ms" and value.isascii() and value.isdecimal() and len(value) <= DIGITS


def _number(stated: str) -> int:
    return int(stated) if stated.isascii() and stated.isdecimal() and len(stated) <= DIGITS else 0


def application(settings: Settings, folder: Path, *, production: bool) -> Any:
    """The application of the fake. The key `dev.dev` has every scope. Raises `SettingsRefused` where this looks like a
    real one.
    """
    if production:
        raise SettingsRefused("a fake takes no production configuration: [environment] name says what this one is")
    if (folder / SECRETS).exists():
        raise SettingsRefused(f"{folder} is an installation; a fake has none: name another folder, or leave --data out")
    harmless, place = _harmless(settings), Path(tempfile.mkdtemp(prefix="gateway-fake-"))
    try:
        migrate(place / "data")
        asyncio.run(_begin(place / "data", harmless))
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    built = service.build(place / "data", harmless, Everywhere({}), dev=True, faked=FakeChecks)
    return Misbehaving(built, place)


def _harmless(settings: Settings) -> Settings:
    """The same without anybody to reach."""
    without: dict[str, Any] = {"endpoint": "", "sandbox_endpoint": "", "deliveries": "", "ddrf": "", "upload": ()}
    without |= dict.fromkeys(("credential", "sandbox_credential"), RecipientCredential())
    recipients = {name: msgspec.structs.replace(item, **without) for name, item in settings.recipients.items()}
    return msgspec.structs.replace(
        settings,
        recipients=recipients,
        witnesses={},
        systems={},
        environment=msgspec.structs.replace(settings.environment, name=service.FAKE),
        erasure=msgspec.structs.replace(settings.erasure, account_backend=""),
        mail=msgspec.structs.replace(settings.mail, server=""),
        texts=msgspec.structs.replace(settings.texts, endpoint=""),
        ledger=msgspec.structs.replace(settings.ledger, checkpoint_store=""),
    )


async def _begin(folder: Path, settings: Settings) -> None:
    """What is on record of the accounts, so that every door says of them what a check says."""
    with open_house(folder, settings, dev=True) as house:
        consent = house.consent
        no = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, Source.API, consent.clock())
        out, young = (consent.people.name([{"type": "account", "value": name}]).subjects for name in (DENIED, MINOR))
        await consent.choose(out, no)
        await consent.say_age(young, BAND)
        await house.sharing.close()
        await house.codes.close()
