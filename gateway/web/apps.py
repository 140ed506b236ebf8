"""What a call shows of the app that made it, and what the answer holds for that app: its device token, renewed, and
what each SDK inside it may do (R8, R26, I8).

A caller is an app if it has a publishable key or speaks of `device`. Forged and foreign tokens are listed, counted and
cost nothing. Owns no door.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway import device_token, installations
from gateway.check import Ask
from gateway.choice.identity import kinds
from gateway.choice.question import Verdict
from gateway.consent import Consent
from gateway.credentials import ApiKey
from gateway.device_token import DeviceToken
from gateway.installations import Installations
from gateway.ledger.records import Subject
from gateway.people import Named
from gateway.terms import Malformed
from gateway.web.lenient import Body
from gateway.web.metrics import Metrics
from gateway.web.proof import KINDS, Proofs, listed

START, LIMITED, STOP = "start", "limited", "stop"  # R8
TYPED = frozenset(
    {"account", "email", "phone", *kinds.DIGESTS} - {*kinds.AD_ID_DIGESTS}
)  # what anybody may know of somebody
FORGED = Malformed("device_token", "seal")


@dataclass(frozen=True, slots=True)
class App:
    """`named`: whom the call names and shows: the account that was proved, and the phone where no id of it can be used.
    `token` None: the caller is no app; `known`: it brought the token. `dev`: a development proof, of everybody.
    `unproved`: a key that is in everybody's app names an account, an address or a number that nothing shows to be the
    caller's. What is written is written, and the answer is the one for who said no, so that it tells no stranger
    whether anybody did (R6), and starts no SDK for somebody who did.
    """

    named: Named
    token: DeviceToken | None = None
    account: Subject | None = None
    dev: bool = False
    known: bool = False
    unproved: bool = False

    @property
    def seen(self) -> tuple[Subject, ...]:
        """Whose standing the answer obeys: where the call names no id of the phone, those that its token remembers."""
        remembered = self.token.reported if self.token and not installations.ids(self.named.subjects) else ()
        return (*self.named.subjects, *(Subject("device", "", (key,)) for key, _ in remembered))

    @property
    def details(self) -> dict[str, str]:
        """By which a choice remembers the installation that made it."""
        return {"device": installations.mark_of(self.token)} if self.token else {}


class Apps:
    """Reads calls of apps and words answers to them. `sdks`: the recipients whose code runs inside the app."""

    def __init__(
        self, consent: Consent, known: Installations, proofs: Proofs, metrics: Metrics, sdks: tuple[str, ...]
    ) -> None:
        self._consent = consent
        self._installations = known
        self._proofs = proofs
        self._metrics = metrics
        self._sdks = sdks

    async def read(self, body: Body, key: ApiKey, named: Named, act: bytes = b"") -> App:
        """Before anything of the call is written."""
        token, known = self._token(body, key)
        account, dev = await self._account(body, key, named, act)
        of_phone = installations.ids(named.subjects)
        unproved = key.publishable and not dev and not self._is_proved(account, named)
        if account:
            named = named.beside([account])
        if token is None:
            return App(named, account=account, dev=dev, unproved=unproved)
        token = self._installations.told(token, of_phone)
        if not of_phone and (known or named.ignored):
            named = named.beside([self._installations.subject(token)])
        return App(named, token, account, dev, known, unproved)

    def _is_proved(self, account: Subject | None, named: Named) -> bool:
        """Whether whatever of a person is named is the proved account's own."""
        typed = [each for each in named.subjects if each.kind in TYPED]
        return all(
            account is not None and (each.key == account.key or self._consent.checks.tied(account, each))
            for each in typed
        )

    def opening(self, body: Body, key: ApiKey, named: Named) -> App:
        """The same for what opens, whose proof is not read here: of whom it is is what was named."""
        token, known = self._token(body, key)
        return App(named, self._installations.told(token, named.subjects) if token else None, known=known)

    def _token(self, body: Body, key: ApiKey) -> tuple[DeviceToken | None, bool]:
        """The caller's token or a new one, and whether it was the caller's."""
        stated = body.members.get("device")
        for proof in listed(body.members.get("proof")) if stated is None else ():
            stated = proof.get("token") if proof.get("kind") == "device" else stated
        token = self._installations.read(stated)
        if stated is not None and token is None:
            body.ignore("/device", "not ours")
            self._metrics.malformed([FORGED])
        if token is not None:
            return token, True
        return (device_token.new() if key.publishable or "device" in body.members else None), False

    async def _account(self, body: Body, key: ApiKey, named: Named, act: bytes) -> tuple[Subject | None, bool]:
        """Who is signed in, and whether that is a development proof. A proof that cannot be verified costs nothing."""
        stated = body.members.get("proof")
        if not stated or key.revoked:
            return None, False
        if self._proofs.is_dev(stated):
            accounts = [subject for subject in named.subjects if subject.is_account]
            return (accounts[0] if len(accounts) == 1 else None), True
        account = await self._proofs.signed_in(stated, act)
        kinds = {str(each.get("kind")) for each in listed(stated)}
        if account is None and ("account" in kinds or not kinds or kinds - KINDS):
            body.ignore("/proof", "not verified")
        return account, False

    async def follow(self, app: App) -> None:
        """What a call tells beside its own words: whose phone this is, and what its ids have from each other."""
        if app.token is None:
            return
        subjects = app.named.subjects
        if app.account:
            await self._installations.tie(app.token, subjects, app.account, all_=app.dev)
        await self._installations.follow(app.token, subjects, app.account)

    def told(self, app: App, body: Body) -> dict[str, Any]:
        """The members `sdks` and, for apps, `device`."""
        told: dict[str, Any] = {"sdks": dict.fromkeys(self._sdks, STOP) if app.unproved else self._words(app, body)}
        return told | ({"device": self._installations.text(app.token)} if app.token else {})

    def _words(self, app: App, body: Body) -> dict[str, str]:
        items, signals = body.members.get("identifiers"), body.members.get("signals")
        ask = Ask(
            self._sdks, items[: body.at_once] if isinstance(items, list) else (), shown=app.seen,
            place=body.members.get("place"), age=body.quiet_band(),
            signals=signals if isinstance(signals, Mapping) else {},
        )  # fmt: skip
        verdicts = self._consent.checks.check(ask).verdicts
        return {name: _word(verdict) for name, verdict in verdicts.items()}


def _word(verdict: Verdict) -> str:
    if verdict.allowed:
        return START
    return LIMITED if verdict.partly else STOP
