"""What must hold of an installation after a power cut, whatever it had told anybody before.

`promises` opens the image with the real start-up and lists what is broken, one sentence each; the checks stand in
CHECKS. Not here: which images there may be (support.disk), and what was told (support.told).
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from unittest import mock

from gateway.app.composition import House, migrate, open_house
from gateway.consent.asked import Ask
from gateway.keys.person_keys import FILE as VAULT
from gateway.keys.person_keys import Vault
from gateway.ledger import log_records, schema, subjects, tree
from gateway.ledger.acts import records
from gateway.ledger.proof import merkle
from gateway.ledger.proof.merkle import Frontier
from gateway.ledger.publisher import CheckpointStore, checkpoints_beside
from gateway.ledger.subjects import Choice
from gateway.state import environment
from gateway.terms import ChoiceKind, Purpose, Reason, Unusable
from support import inside
from support.people import gaid, named
from support.states import Readings, wrongs
from support.told import Told

STRANGER = named("gaid", gaid(2**46))
LATER = 10**13  # milliseconds: whatever has a date is over
THE_PERSONS_OWN = frozenset({Reason.OPTED_OUT, Reason.GPC})
UNPROVED = frozenset(
    {Reason.STALE, Reason.STORE_UNAVAILABLE}
)  # denied, whoever it is about: nothing is said of anybody
PROVED_WITHIN = 30.0  # seconds: a machine under load may be between two proofs


@dataclass(frozen=True, slots=True)
class Image:
    """What a power cut left in a folder, and what had been told before it. `readings`: shared by the images of one
    recording, whose logs begin alike.
    """

    world: Path
    told: Sequence[Told]
    readings: Readings = field(default_factory=lambda: Readings(LATER))

    @property
    def data(self) -> Path:
        return self.world / "data"


@dataclass(frozen=True)
class Opened:
    """An image that the real start-up accepted."""

    image: Image
    house: House
    db: sqlite3.Connection

    @cached_property
    def head(self) -> tuple[int, bytes, bytes]:
        """(size, id of the ledger, frontier)."""
        return self.db.execute("SELECT size, ledger, frontier FROM head").fetchone()

    @cached_property
    def roots(self) -> list[bytes]:
        """The root at every size, made again from nothing but the entries' bytes."""
        frontier, roots = Frontier(), [merkle.EMPTY_ROOT]
        for (body,) in self.db.execute("SELECT body FROM entry ORDER BY seq"):
            frontier.append(merkle.leaf_hash(body))
            roots.append(frontier.root())
        return roots


def promises(image: Image) -> list[str]:
    """What is broken; nothing, where every promise is kept. Changes the image, as a start does."""
    try:
        if not image.told:
            migrate(image.data)  # the cut came while the installation was made: the next start goes on making it
        with _opened(image) as opened:
            return [broken for check in CHECKS for broken in check(opened)]
    except (Unusable, sqlite3.Error, tree.TreeBroken) as refused:
        return [f"the start-up refuses it: {type(refused).__name__}: {refused}", *_left(image)]


def _left(image: Image) -> list[str]:
    """What is lost in an image that the start-up refuses, as far as it can be read."""
    try:
        with contextlib.closing(sqlite3.connect(image.data / schema.FILE)) as db:
            return list(_lost_entries(db, image.told))
    except sqlite3.Error as error:
        return [f"the ledger cannot be read: {error}"]


@contextlib.contextmanager
def _opened(image: Image) -> Iterator[Opened]:
    """After the boot that follows a power cut."""
    with (
        mock.patch.object(environment, "boot_id", return_value=b"the next boot .."),
        open_house(image.data, inside.settings(), dev=True) as house,
        contextlib.closing(schema.open_to_read(image.data)) as db,
    ):
        yield Opened(image, house, db)


def databases_are_sound(opened: Opened) -> Iterator[str]:
    vault = f"file:{opened.image.data / VAULT}?mode=ro"
    with contextlib.closing(sqlite3.connect(vault, uri=True)) as persons:
        for name, db in (("ledger", opened.db), ("vault", persons)):
            said = db.execute("PRAGMA integrity_check").fetchone()[0]
            if said != "ok":
                yield f"the {name} is damaged: {said}"


def acknowledged_entries_are_there(opened: Opened) -> Iterator[str]:
    size, entries = opened.head[0], len(opened.roots) - 1
    if size != entries:
        yield f"the head is wrong: it says {size} entries, there are {entries}"
    yield from _lost_entries(opened.db, opened.image.told)


def _lost_entries(db: sqlite3.Connection, all_told: Sequence[Told]) -> Iterator[str]:
    kept = dict(db.execute("SELECT d.event, e.seq FROM detail d JOIN entry e ON e.seq = d.seq"))
    for told in all_told:
        for event, seq in told.events:
            if event not in kept or seq not in {kept[event], None}:
                yield f"lost an acknowledged entry: {seq}"


def acknowledged_people_are_denied(opened: Opened) -> Iterator[str]:
    if _denied(opened, STRANGER) in THE_PERSONS_OWN:
        yield "a stranger is denied: whether anybody else is says nothing"
    for told in opened.image.told:
        for identifier in told.promise.denied:
            if (reason := _denied(opened, identifier)) not in THE_PERSONS_OWN:
                yield f"lost an acknowledged opt-out: {identifier['value']}, {reason or 'allowed'}"


def _denied(opened: Opened, identifier: object) -> Reason | None:
    """Why everything of somebody is denied, once an answer rests on what was proved; None: it is not."""
    until = time.monotonic() + PROVED_WITHIN
    while True:
        verdict = opened.house.consent.checks.check(Ask(("teemo",), [identifier], place="US-NY")).verdicts["teemo"]
        if verdict.reason not in UNPROVED or time.monotonic() > until:
            return None if verdict.allowed or verdict.partly else verdict.reason
        time.sleep(0.05)


def acknowledged_links_stand(opened: Opened) -> Iterator[str]:
    linked = set(opened.db.execute("SELECT account, identifier FROM link_event WHERE until IS NULL"))
    for told in opened.image.told:
        if told.promise.linked:
            account, other = opened.house.consent.people.name(told.promise.linked).subjects
            if (account.key, other.key) not in linked:
                yield f"lost an acknowledged link: {told.promise.linked[0]['value']}"


def entries_can_be_opened(opened: Opened) -> Iterator[str]:
    """No entry outlives its person's key: nobody asked to forget anything here."""
    with contextlib.closing(opened.house.vault()) as vault:
        assert isinstance(vault, Vault)
        for seq, event, person, sealed, box in opened.db.execute(
            "SELECT seq, event, person, sealed, opening FROM detail"
        ):
            found = subjects.open_boxes(vault.keys(person), event, sealed, box)
            if found.broken or not found.rs or not found.rd:
                yield f"lost the key of an entry: {seq}"


TABLES = """
SELECT name FROM sqlite_schema m WHERE type = 'table'
AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) c WHERE c.name = 'person')
"""


def named_keys(db: sqlite3.Connection) -> list[bytes]:
    """The ids of keys that whatever is on record names."""
    tables = [row[0] for row in db.execute(TABLES) if row[0] != "erasure_person"]
    return [row[0] for table in tables for row in db.execute(f"SELECT person FROM {table}") if row[0]]


def no_two_records_have_one_key(opened: Opened) -> Iterator[str]:
    named = named_keys(opened.db)
    if len(named) > len(set(named)):
        yield f"two records have one key: {len(named)} name {len(set(named))}"


def the_tree_is_that_of_the_entries(opened: Opened) -> Iterator[str]:
    size, _, packed = opened.head
    if Frontier(size, packed).root() != opened.roots[-1]:
        yield "the head's root is not that of the entries"
    tree.prove(opened.db)


def every_checkpoint_shown_is_of_this_tree(opened: Opened) -> Iterator[str]:
    for told in opened.image.told:
        for shown in told.shown:
            if shown.size >= len(opened.roots):
                yield f"a checkpoint was shown that is ahead: of {shown.size} entries, {opened.head[0]} are left"
            elif opened.roots[shown.size] != shown.root:
                yield f"a checkpoint was shown that this log did not grow out of: of {shown.size} entries"


def the_last_checkpoint_covers_what_was_acknowledged(opened: Opened) -> Iterator[str]:
    """And no more than there is: otherwise an old copy could be put back unseen, or nothing signed any more."""
    size, ledger, _ = opened.head
    last = CheckpointStore(checkpoints_beside(opened.image.data), ledger).last()
    kept = last.size if last else 0
    if kept > size:
        yield f"the last checkpoint is ahead: of {kept} entries, there are {size}"
    elif last and opened.roots[kept] != last.root:
        yield f"the last checkpoint is of another log: of {kept} entries"
    acknowledged = max((seq + 1 for told in opened.image.told for _, seq in told.events if seq is not None), default=0)
    if kept < acknowledged:
        yield f"the last checkpoint is behind: of {kept} entries, {acknowledged} were acknowledged"
    if kept < (shown := max((each.size for told in opened.image.told for each in told.shown), default=0)):
        yield f"a checkpoint was shown that its store has lost: of {shown} entries, it has {kept}"


def the_state_is_the_fold_of_the_log(opened: Opened) -> Iterator[str]:
    """What every check reads, place by place."""
    records = log_records.records_of(opened.db)
    if wrong := wrongs(opened.house.keeper.state, records, LATER, len(records), opened.image.readings):
        yield f"the state is not the fold of the log: at {len(wrong)} places of {len(records)} records"


def it_goes_on(opened: Opened) -> Iterator[str]:
    """A further opt-out is taken and signed for: only the first write proves that the log may go on."""
    (subject,) = opened.house.consent.people.name([STRANGER]).subjects
    choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", datetime.now(UTC))
    job = opened.house.writer.submit(lambda tx: records.write_choice(tx, subject, choice, os.urandom(16)))
    try:
        written = job.result(60)
    except Unusable as refused:
        yield f"it does not go on: {refused}"
    else:
        if written.seq != opened.head[0]:
            yield f"the next entry is misplaced: {written.seq} instead of {opened.head[0]}"


CHECKS: tuple[Callable[[Opened], Iterator[str]], ...] = (
    the_state_is_the_fold_of_the_log,
    databases_are_sound,
    acknowledged_entries_are_there,
    acknowledged_people_are_denied,
    acknowledged_links_stand,
    entries_can_be_opened,
    no_two_records_have_one_key,
    the_tree_is_that_of_the_entries,
    every_checkpoint_shown_is_of_this_tree,
    the_last_checkpoint_covers_what_was_acknowledged,
    it_goes_on,
    the_state_is_the_fold_of_the_log,
)
