"""The composition root: opens one installation, for the service, the command line and the replica. The only place that
reads the clock and the keys and ties the rooms together. Also what checks read: the state of this host, leases of
replicas.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from gateway.app import state_check
from gateway.app.from_settings import (
    credentials_of,
    hearing,
    office_of,
    password_file_of,
    people_of,
    places_of,
    vocabulary,
    ways,
    witnesses_of,
)
from gateway.app.law_tables import law_table
from gateway.app.state_keeper import AT_ONCE, StateKeeper
from gateway.choice.recipient import Recipient
from gateway.consent.agents import Agents, KnownAgent
from gateway.consent.check import Checks
from gateway.consent.codes import CodeCarrier, Codes, TextSpending
from gateway.consent.decisions import Decisions
from gateway.consent.disclosing import Disclosing, Tell
from gateway.consent.leases import Leases
from gateway.consent.share import Sharing
from gateway.consent.telling import Telling
from gateway.consent.verbs import Consent
from gateway.consent.witnesses import Witnessing, submit
from gateway.delivery.forwarding import Forwarder
from gateway.delivery.letters import Mail, MailFolder, MailServer, TextMessages
from gateway.desk import emergency, recipients_to_tell
from gateway.desk.agent_requests import AgentRequests
from gateway.desk.documents import Document
from gateway.desk.emergency import LABEL, LATER, Emergency, Intake
from gateway.desk.forgetting import prune as prune_of
from gateway.desk.forgetting.prune import Plan, months_before
from gateway.desk.history import facts_of
from gateway.disk import boot_seconds, close_to_others, make_folder
from gateway.keys import person_keys, secret_files
from gateway.keys.agent_keys import read_verify_key
from gateway.keys.epochs import FIRST, Epochs
from gateway.keys.person_keys import Vault
from gateway.keys.secret_files import Secrets
from gateway.ledger import erasure_steps, folder_store, schema
from gateway.ledger import watch as watching
from gateway.ledger.audit import examination
from gateway.ledger.audit import verify as verify_of
from gateway.ledger.audit.clock_proof import ClockProof
from gateway.ledger.audit.examination import Examination, Stop
from gateway.ledger.audit.log_reader import LogReader
from gateway.ledger.audit.verify import VerifyReport
from gateway.ledger.erasure_steps import EpochTurn
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import name_store, store_in
from gateway.ledger.moving.changed_rows import ForsakenCopies
from gateway.ledger.proof import mldsa
from gateway.ledger.proof.ed25519 import Ed25519Signer
from gateway.ledger.proof.mldsa import MldsaSigner
from gateway.ledger.proof.note import Signer
from gateway.ledger.publisher import CheckpointStore, Publisher, checkpoints_beside, is_anything_signed
from gateway.ledger.store import Store
from gateway.ledger.watch import BEGINS_WITHIN, FileMoved, Judge, LedgerWatch
from gateway.ledger.writer import Writer
from gateway.postgres import address
from gateway.settings.load import Settings
from gateway.state.lookup import StateLookup
from gateway.state.upkeep import HostState

Clock = Callable[[], datetime]


def leases(writer: Writer, settings: Settings, keeper: StateKeeper, watch: LedgerWatch) -> contextlib.closing[Leases]:
    made = Leases(
        writer.store, settings.replicas.term_ms / 1000, boot_seconds, applied=keeper.applied,
        generation=lambda: watch.generation, commits=lambda: writer.commit(lambda tx: tx.position),
    )  # fmt: skip
    return contextlib.closing(made)


def looked_up(
    stack: contextlib.ExitStack, writer: Writer, keeper: StateKeeper, watch: LedgerWatch, clock: Clock,
    within: float | None,
) -> StateLookup:  # fmt: skip
    """What checks read: the state, once the writer has compared it with its log. `within`: so many seconds are waited
    for that; then it goes on beside, as one more doubt.
    """

    def begin() -> None:
        writer.begun.wait()
        watch.begun()

    begins = threading.Thread(target=begin, name="ledger-begins", daemon=True)
    begins.start()
    begins.join(within)
    facts = stack.enter_context(contextlib.closing(facts_of(writer.store, watch)))
    return StateLookup(keeper.moment, watch, clock, facts)


def agents_of(settings: Settings, asked: AgentRequests, writer: Writer, secrets: Secrets, clock: Clock) -> Agents:
    """Whose requests by the Data Rights Protocol are taken."""
    known = {
        name: KnownAgent(name, item.business_id, read_verify_key(item.verify_key))
        for name, item in settings.agents.items()
    }
    return Agents(known, asked, writer, secrets, clock)


def asked_by_agents(settings: Settings, secrets: Secrets) -> AgentRequests:
    """What they asked for; those with a callback are told what becomes of it, in production (I24)."""
    real = settings.environment.is_production
    return AgentRequests(
        secrets, settings.site.url, frozenset(name for name, item in settings.agents.items() if item.callback and real)
    )


def now() -> datetime:
    return datetime.now(UTC)


def _uncounted(*_: object) -> None:
    """What a command does is in no metric."""


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One installation, opened: what the command line and the service share."""

    consent: Consent
    sharing: Sharing
    disclosing: Disclosing
    telling: Telling
    codes: Codes
    agents: Agents
    vault: Callable[[], Vault]
    writer: Writer
    secrets: Secrets
    fresh: Callable[[], bool]  # whether checks are answered
    witnessing: Witnessing
    keeper: StateKeeper


@contextlib.contextmanager
def open_house(
    folder: Path, settings: Settings, *, dev: bool = False, clock: Clock = now, patient: bool = False,
    tell: Callable[[str], None] = watching.log, checks_as: type[Checks] = Checks, disclosed: Tell = _uncounted,
    tried: Callable[[str, str], None] = _uncounted, owner: str = "",
) -> Iterator[House]:  # fmt: skip
    """Opens the data folder and closes it again, writer first, watch last. Raises `SecretsMissing` or
    `LedgerRefused`, with the command that helps; `patient`: a ledger that must not be used is no reason not to open:
    all count as opted out, opt-outs are kept beside, `tell` hears why. `checks_as`: who answers; `owner`: `store_in`'s.
    `disclosed`, `tried`: who counts what is done in the rooms.
    """
    words, heard_as, places, laws = vocabulary(settings), hearing(settings), places_of(settings), law_table(settings)
    settings.refuse_on(clock().date())
    recipients, said_in = settings.registry(dev=dev), settings.signals.gpp_sections  # refused before anything is opened
    witnesses, shown, secrets = witnesses_of(settings), credentials_of(settings), secret_files.load_secrets(folder)
    asked, writing = asked_by_agents(settings, secrets), _whom_it_tells(settings, recipients)
    publisher, (kept, later) = publisher_of(folder, settings, secrets), kept_beside(folder, settings, secrets)
    with contextlib.ExitStack() as stack:
        stop, store = _opened(stack, folder, patient=patient), store_in(folder, settings.store.url, owner=owner)
        keeper, vault = _keeper(stack, folder, store, secrets, patient=patient), partial(Vault, folder, secrets.wraps)
        proof = ClockProof(clock, settings.ledger.clock_was_ahead_until, partial(emergency.what_waits, kept))
        judge = proof.judge(keeper.judge(_laid_out(Examination(store, publisher, stop=stop), publisher, kept, later)))
        watch = _watch(store, secrets, judge=judge, waits=proof.waits, lies=kept.lies, tell=tell, state=keeper)
        stack.callback(watch.stop)
        turn = EpochTurn(folder, secrets.wraps, clock, timedelta(days=settings.retention.keys_backup_days))
        unfinished, ends = _start(watch, folder, secrets, patient=patient), ForsakenCopies(turn, folder, clock, tell)
        writer = writing(store, vault, watch, publisher, unfinished=unfinished, state=keeper, turns=ends)
        within, due = BEGINS_WITHIN if patient and store.is_server else None, ways(settings, secrets, dev=dev)
        _take_in(stack, partial(keeper.end, writer, stop), Intake(kept, writer, watch, later), within)
        people, lookup = people_of(settings, secrets, clock), looked_up(stack, writer, keeper, watch, clock, within)
        checks = checks_as(lookup, people, office_of(settings, laws, clock), recipients, places, heard_as, said_in)
        log, window = LogReader(store, publisher), timedelta(milliseconds=settings.share.send_window_ms)
        sharing = Sharing(
            checks=checks, people=people, writer=writer, words=words, keys=secrets,
            forwarder=Forwarder(settings.delivery.allowed(dev=dev), shown), clock=clock, send_window=window,
        )  # fmt: skip
        disclosing = Disclosing(checks, people, writer, Decisions(secrets, recipients), clock, window, disclosed)
        consent = Consent(
            checks=checks, people=people, writer=writer, log_reader=log, secrets=secrets,
            clock=clock, emergency=kept, later=later, why=lambda: watch.why or keeper.why, send_window=window,
            leases=stack.enter_context(leases(writer, settings, keeper, watch)),
            effective_within=_effective_within(window, recipients.values()), counted=disclosing.settled,
            forgotten_by=turn.forgotten_by, asked=asked,
        )  # fmt: skip
        yield House(
            consent=consent, sharing=sharing, disclosing=disclosing, vault=vault, writer=writer, secrets=secrets,
            telling=Telling(folder, writer, due, secrets, clock, settings.delivery.calendar(), tried),
            codes=_codes(folder, settings, secrets, writer, clock, dev=dev), keeper=keeper,
            witnessing=Witnessing(folder, log, witnesses, submit, settings.ledger.witness_seconds),
            agents=agents_of(settings, asked, writer, secrets, clock), fresh=lambda: checks.position() is not None,
        )  # fmt: skip


def _watch(store: Store, secrets: Secrets, **more: Any) -> LedgerWatch:
    return watching.watch_of(store, len(secrets.peppers), marks=secrets.marks, **more)


def _keeper(stack: contextlib.ExitStack, folder: Path, store: Store, secrets: Secrets, *, patient: bool) -> StateKeeper:
    """A command waits for the state; who serves does not, and denies until it is there."""
    stack.callback(store.close)
    state = stack.enter_context(contextlib.closing(HostState(folder, len(secrets.peppers))))
    return StateKeeper(store, state, watching.log, at_once=AT_ONCE if patient else None)


def _laid_out(examination: Judge, publisher: Publisher, *files: Emergency) -> Judge:
    """The same, before which the emergency files are made beside the last checkpoint of the ledger that is looked at,
    also where it is refused.
    """

    def judge(db: sqlite3.Connection) -> bool:
        with contextlib.suppress(sqlite3.Error):  # the examination says what is wrong
            known = publisher.store(db).path
            for each in files:
                each.lay_out(known)
        return examination(db)

    return judge


def _take_in(stack: contextlib.ExitStack, end: Callable[[], None], intake: Intake, within: float | None) -> None:
    """What was kept beside the ledger is entered from now on, for as long as the writer is there."""
    stack.callback(intake.end)
    stack.callback(end)
    stack.callback(intake.stop)
    intake.start(within)


def _effective_within(window: timedelta, recipients: Iterable[Recipient]) -> timedelta:
    """How long after a choice the last send on an older answer may start; a sealed file may be sent for long."""
    longest = max((one.valid_minutes for one in recipients if one.mode == "files"), default=0)
    return max(window, timedelta(minutes=longest))


def _whom_it_tells(settings: Settings, recipients: Mapping[str, Recipient]) -> Callable[..., Writer]:
    """A writer that knows who has to hear of people's noes."""
    return partial(
        Writer, systems=settings.system_rows(), recipients=recipients, behind=recipients_to_tell.tell_carried
    )


def _opened(stack: contextlib.ExitStack, folder: Path, *, patient: bool) -> Stop:
    """The mark that the installation is in use; without one the last stop is in doubt."""
    close_to_others(folder)
    try:
        return stack.enter_context(examination.marked_while_open(folder))
    except LedgerRefused:
        if not patient:
            raise
        return Stop(doubtful=True)


def _prove_secrets(db: sqlite3.Connection, folder: Path, secrets: Secrets) -> None:
    """That they are the ledger's, and none of before a wrapping key was replaced. Raises `LedgerRefused`."""
    name = store_in(folder).name
    schema.prove_mark(db, name, secrets.marks)
    if Epochs(folder, secrets.wraps).is_others():
        raise LedgerRefused(schema.anothers(name))


def _start(watch: LedgerWatch, folder: Path, secrets: Secrets, *, patient: bool) -> bool:
    """Whether an earlier erasure waits, or may wait, to be finished. What is wrong with a server who serves hears from
    the watch, which nobody waits for.
    """
    waits, store = True, store_in(folder)
    try:
        if not (patient and store.is_server):
            with schema.held(folder), contextlib.closing(store.open_to_write()) as db:
                _prove_secrets(db, folder, secrets)
                waits = erasure_steps.is_pending(db) or patient  # and whatever is wrong, in its own words
    except (LedgerRefused, sqlite3.Error, OSError):
        if not patient:
            raise
    try:
        watch.start(patient=patient)
    except FileMoved as moved:
        raise LedgerRefused(str(moved)) from moved
    return waits


def _codes(folder: Path, settings: Settings, secrets: Secrets, writer: Writer, clock: Clock, *, dev: bool) -> Codes:
    """`dev` has mail without a server: in a folder."""
    mail, carriers, password = settings.mail, dict[str, CodeCarrier](), password_file_of(settings)
    if mail.server:
        carriers["email"] = Mail(
            MailServer(mail.server, mail.port, mail.security, mail.from_address, mail.username, password)
        )
    elif dev:
        carriers["email"] = MailFolder(folder / "outbox", mail.from_address)
    if settings.texts.endpoint:
        carriers["phone"] = TextMessages(
            settings.texts.endpoint,
            secrets,
            clock,
            settings.texts.prices,
            TextSpending(writer, settings.texts.cost_a_day),
        )
    return Codes(writer, secrets, clock, carriers, settings.codes.an_hour)


def migrate(
    folder: Path, origin: str = "", url: str = "", owner: str = "", checkpoints: Path | None = None
) -> int:  # fmt: skip
    """Makes an installation, or brings an older one up to date. `origin`: the log's name, if it begins now. `url`: of
    the PostgreSQL that its ledger is in; empty: wherever it is; `owner`: as `store_in` has it. `checkpoints`: their
    folder, where it is not beside. Returns the ledger's version. Raises `SecretsMissing` or `LedgerRefused`, each with
    what helps.
    """
    try:
        make_folder(folder)
        close_to_others(folder)
        with examination.marked_while_open(folder):
            if url:
                name_store(folder, url)
            return _migrated(folder, origin, owner, checkpoints or checkpoints_beside(folder))
    except address.RoleRefused:
        raise
    except (OSError, sqlite3.OperationalError) as error:
        raise LedgerRefused(
            f"{folder} cannot be written to ({error}). Nothing half made is used. Make room, or mend the disk; then"
            f" again: gateway migrate --data {folder}"
        ) from error


def _migrated(folder: Path, origin: str, owner: str, checkpoints: Path) -> int:
    store = store_in(folder, owner=owner)
    two = bool(owner) and store.is_server
    if two:
        folder_store.prove_two_roles(store, store_in(folder))
    with store.held():
        prove_not_lost(folder, store, checkpoints, owner)
        try:
            secrets = secret_files.load_secrets(folder)
        except secret_files.SecretsMissing:
            if store.exists():
                # New secrets beside an old ledger would find nobody: every opt-out in it would be lost to sight.
                raise
            secrets = secret_files.create(folder)
        version = store.migrate(len(secrets.peppers), origin, secrets.marks)
        with contextlib.closing(Vault(folder, secrets.wraps, owner)) as vault:
            if store.is_server and not person_keys.anybody(folder, owner):
                vault.begin_alone()  # of which other machines that are joined get a copy
    if two:
        folder_store.grant_role(store, store_in(folder))
    return version


def prove_not_lost(folder: Path, store: Store, checkpoints: Path, owner: str = "") -> None:
    """Before a ledger is made where there is none: a new, empty one beside an old vault, or old secrets, would have
    forgotten everybody's opt-out. Raises `LedgerRefused`.
    """
    if not store.exists() and (person_keys.anybody(folder, owner) or _has_served(folder, checkpoints)):
        raise LedgerRefused(
            f"{store.name} is gone, but its people are not. Put back the last backup of {folder}, or name the"
            " PostgreSQL that they are in ([store] url); whoever begins anew does so in a new folder"
        )


def _has_served(folder: Path, checkpoints: Path) -> bool:
    """Whether the folder's secrets had a ledger before: something was signed, or its keys' first week is over, as a
    first start has it. Of a migrate that was cut off neither is there.
    """
    newest = Epochs(folder, ()).newest
    served = (newest is not None and newest.number > FIRST) or is_anything_signed(checkpoints)
    return served and (folder / secret_files.SECRETS).exists()


def publisher_of(folder: Path, settings: Settings, secrets: Secrets) -> Publisher:
    """Who signs for this installation, and where its last checkpoint is kept."""

    @cache  # the signers keep their keys
    def signing(origin: str) -> tuple[Signer, ...]:
        return tuple(Ed25519Signer(origin, seed) for seed in secrets.signing)

    return Publisher(folder, store_of(folder, settings), signing, cache(partial(lasting_of, secrets.signing)))


def lasting_of(seeds: Iterable[bytes], origin: str) -> tuple[MldsaSigner, ...]:
    """Who signs a log's published checkpoints for the time after Ed25519, beside the keys of these seeds; nobody a log
    whose name has no room in what is signed, and nobody on a machine that cannot: Ed25519 goes on alone.
    """
    return tuple(MldsaSigner(origin, seed) for seed in seeds) if mldsa.can_sign(origin) else ()


def verify_ledger(folder: Path, settings: Settings, *, boxes: bool) -> tuple[VerifyReport, tuple[str, ...]]:
    """Reads the whole ledger and says what does not fit, and the keys that its checkpoints are signed with. `boxes`:
    those of the entries too. Raises `LedgerRefused` where it cannot be opened.
    """
    secrets, store = secret_files.load_secrets(folder), store_of(folder, settings)
    if boxes and not person_keys.is_there(folder):  # whoever opens a vault makes it
        raise LedgerRefused(
            f"{folder / person_keys.FILE} is not there, without which no box opens: gateway help restore"
        )
    with contextlib.ExitStack() as stack:
        db = stack.enter_context(contextlib.closing(store_in(folder).open_to_read()))
        vault = stack.enter_context(contextlib.closing(Vault(folder, secrets.wraps))) if boxes else None
        schema.prove_mark(db, store_in(folder).name, secrets.marks)
        ledger, origin = db.execute("SELECT ledger, origin FROM head").fetchone()
        signed = CheckpointStore(store, ledger).last()  # before the log is read: what is signed meanwhile is of more
        state = stack.enter_context(contextlib.closing(HostState(folder, len(secrets.peppers))))
        kept = stack.enter_context(state_check.snapshot(db, state))
        report = verify_of.examine(db, lambda _: signed, vault, kept.look(db))
        report.uncompared = kept.why
    return report, tuple(Ed25519Signer(origin, seed).vkey for seed in secrets.signing)


def prune_ledger(folder: Path, settings: Settings, *, dry_run: bool, clock: Clock = now) -> Plan:
    """Takes away what the retention policy no longer keeps; a `dry_run` only tells what that would be. Raises
    `LedgerRefused` where the ledger does not verify, before or after; before, nothing was touched.
    """
    keep, at, owner = settings.retention, clock(), settings.store.owner
    if not dry_run:
        folder_store.prove_owner(store_in(folder, owner=owner), store_in(folder), "gateway prune")
    _prove(folder, settings)
    with contextlib.closing(store_in(folder).open_to_read()) as db:
        db.execute("BEGIN")
        planned = prune_of.plan(db, *(months_before(at, each) for each in (keep.bodies_months, keep.details_months)))
    if dry_run:
        return planned
    policy = Document(prune_of.POLICY, at.date().isoformat(), "en", keep.policy().encode())
    with open_house(folder, settings, clock=clock, owner=owner) as house:
        for job in prune_of.jobs(planned, policy, at):
            house.writer.submit(job).result()
    if not address.url_in(folder):
        erasure_steps.zero_file(folder)
    _prove(folder, settings)
    return planned


def _prove(folder: Path, settings: Settings) -> None:
    if not verify_ledger(folder, settings, boxes=False)[0].passed:
        raise LedgerRefused(
            f"{folder} does not verify, and nothing more is pruned; see: gateway verify --data {folder}"
        )


def store_of(folder: Path, settings: Settings) -> Path:
    """The folder of the last checkpoint."""
    return Path(settings.ledger.checkpoint_store or checkpoints_beside(folder))


def kept_beside(folder: Path, settings: Settings, secrets: Secrets) -> tuple[Emergency, Emergency]:
    """Where opt-outs are kept while the ledger cannot be written, and where those that are entered behind others. Each
    is a file beside the last checkpoint, and one in the data folder for while that is not there.
    """

    def file(label: bytes) -> Emergency:
        limit = settings.ledger.emergency_mib * 2**20
        instead = Emergency(folder, secrets, limit, label)
        instead.lay_out(folder / secret_files.SECRETS)
        return Emergency(store_of(folder, settings), secrets, limit, label, instead)

    return file(LABEL), file(LATER)
