"""Reading what happened: the entries about one identifier, with the texts that were shown, the opening of one of them,
and what stood on record at another moment, folded from the log alone (L85). The desk, the pages, the command line and
`consent.verbs` call it. Reads only, and never what a host keeps of it.

`events` is all of it, for the desk and the command line; or, with `now`, what somebody may be shown who proved control
of a number or a mailbox: nothing from before it was last given back or changed hands, which is another
person's (R5), nothing from before it was last erased (R19), and nothing of which account has had it, which is more than
was proved (R12). Nor is anything else opened once more: the value comes from whoever proved that it is theirs, rs from
its sealed box.
"""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast, get_args

import aiosqlite

from gateway.choice.question import Grant
from gateway.choice.standing import RowUnreadable, Stale, Standing
from gateway.desk.documents import Document
from gateway.fold.kin import Alike, alike, all_names, edges_of, family
from gateway.fold.reading import read_noes
from gateway.fold.record import Kept, KeptAge, KeptEnd, KeptNo, KeptNotice, KeptRevoked
from gateway.fold.state import FOR_EVER, Slate
from gateway.keys import seals
from gateway.keys.secret_files import PersonKeys
from gateway.ledger import entry, subjects
from gateway.ledger.acts.folded_people import FoldedPeople, StandingPeople
from gateway.ledger.acts.holders import last_before, own_outs_at, passed_since, shown_since
from gateway.ledger.entry import b64
from gateway.ledger.errors import LedgerRefused
from gateway.ledger.folder_store import store_in
from gateway.ledger.log_records import side_rows
from gateway.ledger.proof.receipt import Opening
from gateway.ledger.schema import BODY, JOINED, OF_REQUEST, rows_of
from gateway.ledger.side import Mention
from gateway.ledger.store import Store, asked_of, ledger_needed, ledger_snapshot
from gateway.ledger.subjects import Subject, milliseconds, moment
from gateway.ledger.watch import LedgerWatch
from gateway.terms import CHOOSABLE, CLOCKS_APART_MS, SIGNAL_PURPOSES, ChoiceKind, Purpose, Source

T = TypeVar("T")
PersonOf = Callable[[bytes], PersonKeys]
NOES = frozenset({ChoiceKind.OPT_OUT.value, ChoiceKind.LIMIT.value})
PART = 64  # rows that the thread hands over at once
# Seconds that a check waits for a server to say which entry decided: everybody waits with it, and one that says nothing
# any more is given up after four.
TELLS_WITHIN = 0.2
HOLDERS = f"""
SELECT d.seq FROM detail d {JOINED}
WHERE d.key = :key AND json_extract(CAST({BODY} AS TEXT), '$.e') NOT IN ('linked', 'unlinked', 'number_released')
AND coalesce(json_extract(CAST({BODY} AS TEXT), '$.src'), '') <> 'reading'
"""  # noqa: S608 - the pieces are ours
ABOUT = f"""
SELECT d.seq, d.event, d.at, {BODY}, d.person, d.sealed, d.opening FROM detail d {JOINED}
WHERE d.key = :key AND {BODY} IS NOT NULL
AND d.at <= coalesce(:until, d.at) AND (:since = 0 OR d.seq IN ({HOLDERS})) ORDER BY d.seq
"""  # noqa: S608 - the inner statement is ours


@dataclass(frozen=True, slots=True)
class Event:
    """One entry as its owner or the desk sees it. `proved`: the commitments open to what is shown; None where the
    person's key was destroyed. `shown`: the notice that was shown with it, as it was logged.
    """

    seq: int
    event: bytes
    at: datetime
    body: dict[str, Any]
    details: dict[str, Any]
    proved: bool | None
    shown: Document | None = None


@contextlib.asynccontextmanager
async def _reader(folder: Path) -> AsyncIterator[aiosqlite.Connection]:
    with ledger_needed():
        async with aiosqlite.Connection(lambda: store_in(folder).open_to_read(), PART) as db:
            yield db


def shown_to_holder(db: sqlite3.Connection, key: bytes, now: datetime) -> list[int]:
    """The numbers of the entries that `events` shows as of a moment."""
    since = shown_since(db, key, milliseconds(now))
    return [seq for (seq,) in db.execute(HOLDERS, {"key": key}) if seq >= since]


async def events(
    folder: Path, key: bytes, keys_of: PersonOf, subject: tuple[str, str], *,
    until: datetime | None = None, now: datetime | None = None,
) -> list[Event]:  # fmt: skip
    """Every entry about a key, oldest first, up to a moment. `subject` is the (kind, value) that the commitments must
    open to. `now`: what whoever holds the number or mailbox then may see, by proof of control alone.
    """
    values = {"key": key, "until": milliseconds(until) if until else None, "since": now is not None}
    async with _reader(folder) as db:
        rows = [(tuple(row), json.loads(row[3])) for row in await db.execute_fetchall(ABOUT, values)]
        texts = await _texts(db, {leaf["n"] for _, leaf in rows if "n" in leaf})
    if now is not None:  # behind the entries: whoever gave it back meanwhile is shown no more by it
        since = partial(shown_since, key=key, now=milliseconds(now))
        first = await asyncio.to_thread(lambda: asked_of(store_in(folder), since))
        rows = [each for each in rows if each[0][0] >= first]
    return [_event(row, leaf, keys_of, subject, texts.get(leaf.get("n", ""))) for row, leaf in rows]


async def _texts(db: aiosqlite.Connection, hashes: set[str]) -> dict[str, Document]:
    """Logged documents by their hash as a leaf has it."""
    marks = ",".join("?" * len(hashes))
    found = await db.execute_fetchall(
        f"SELECT sha256, kind, version, language, body FROM document WHERE sha256 IN ({marks})",  # noqa: S608 - ours
        [seals.unb64(text) for text in hashes],
    )
    return {entry.b64(sha256): Document(*document) for sha256, *document in found}


def _event(
    row: tuple[Any, ...], leaf: dict[str, Any], keys_of: PersonOf, subject: tuple[str, str], shown: Document | None
) -> Event:
    seq, event, at, _, person, sealed, opening = row
    opened = subjects.open_boxes(keys_of(person), event, sealed, opening)
    if opened.broken:
        return Event(seq, event, moment(at), leaf, {}, proved=False, shown=shown)
    proofs = []
    if opened.rs is not None:
        proofs.append(leaf.get("s") == entry.b64(entry.subject_commitment(opened.rs, *subject)))
    if opened.rd is not None and opened.details is not None:
        proofs.append(leaf.get("d") == entry.b64(entry.details_commitment(opened.rd, opened.details)))
    details = json.loads(opened.details) if opened.details else {}
    return Event(seq, event, moment(at), leaf, details, all(proofs) if proofs else None, shown)


async def of_request(folder: Path, request: bytes) -> list[tuple[str, bytes, datetime, list[Purpose]]]:
    """(kind, key, at, purposes) of every no that was said in one request."""
    async with _reader(folder) as db:
        rows = await db.execute_fetchall(
            f"SELECT d.kind, d.key, d.at, {BODY} FROM detail d {JOINED}"  # noqa: S608 - the pieces are ours
            f" WHERE {OF_REQUEST} AND {BODY} IS NOT NULL ORDER BY d.seq",
            (request,),
        )
    leaves = [(kind, key, moment(at), json.loads(body)) for kind, key, at, body in rows]
    return [
        (kind, key, at, [purpose for purpose in CHOOSABLE if purpose in leaf.get("p", [])])
        for kind, key, at, leaf in leaves
        if leaf.get("e") in NOES
    ]


LOOKED_BACK = 5_000  # five batches of a replica, each announced send an entry
# Not the last one's alone: what a replica announced and hands over late is dated as of its answer.
SHARED_AHEAD = f"""
SELECT max(json_extract(CAST(body AS TEXT), '$.t')) FROM entry WHERE seq IN (
  SELECT seq FROM disclosure_batch WHERE seq < (SELECT max(d.seq) FROM detail d WHERE {OF_REQUEST})
  ORDER BY seq DESC LIMIT {LOOKED_BACK})
"""  # noqa: S608 - ours


async def shared_ahead(folder: Path, request: bytes) -> datetime | None:
    """The latest minute of the last entries of what left for anybody that lie ahead of a request's own: it was entered
    no earlier, whenever it was said. None: there is none, or they were pruned, so long ago is it.
    """
    async with _reader(folder) as db:
        [[latest]] = await db.execute_fetchall(SHARED_AHEAD, (request,))
    return datetime.fromisoformat(latest) if latest else None


@dataclass(frozen=True, slots=True)
class OptedIn:
    """What one opt-in that was confirmed on the page was of. `recipient`: empty but for the precise location."""

    kind: str
    key: bytes
    at: datetime
    purpose: Purpose
    recipient: str


async def opted_in(folder: Path, event: bytes) -> OptedIn | None:
    """The opt-in of an event; None where the event is none, or was said elsewhere: that has no page, and whether there
    is one tells of which kind the identifier is.
    """
    async with _reader(folder) as db:
        rows = await db.execute_fetchall(
            f"SELECT d.kind, d.key, d.at, {BODY} FROM detail d {JOINED}"  # noqa: S608 - the pieces are ours
            f" WHERE d.event = ? AND {BODY} IS NOT NULL",
            (event,),
        )
    for kind, key, at, body in rows:
        leaf = json.loads(body)
        if (leaf.get("e"), leaf.get("src")) == (ChoiceKind.OPT_IN, Source.FORM):
            return OptedIn(kind, key, moment(at), Purpose(leaf["p"][0]), leaf.get("to", ""))
    return None


async def last_out_at(folder: Path, keys: Sequence[bytes]) -> dict[Purpose, int]:
    """When each purpose was last opted out by any of these identifiers itself, in Unix milliseconds. Raises
    `StoreUnavailable`.
    """
    return await asyncio.to_thread(lambda: asked_of(store_in(folder), partial(own_outs_at, keys=keys)))


BOXES = "SELECT event, seq, person, opening FROM detail WHERE key = ?"


def openings_of(
    folder: Path, events: Collection[bytes], subject: Subject, keys_of: PersonOf, now: datetime
) -> dict[bytes, Opening]:
    """By event, read once for all of them: none of an entry that is not about the subject, not theirs to see, or
    forgotten. Raises `StoreUnavailable`.
    """
    wanted = {*events}
    with ledger_snapshot(store_in(folder)) as db:
        shown = {*shown_to_holder(db, subject.key, now)}
        rows = [row for row in db.execute(BOXES, (subject.key,)) if row[0] in wanted and row[1] in shown]
    opened = ((event, subjects.open_boxes(keys_of(person), event, None, box).rs) for event, _, person, box in rows)
    return {event: Opening(subject.kind, subject.value, rs) for event, rs in opened if rs}


NOTHING = Standing()
LAST_OF_OFFICES = """
SELECT max(seq) FROM (
  SELECT max(seq) AS seq FROM voided_ui WHERE at <= :now
  UNION ALL SELECT max(by) FROM voided_choice WHERE at <= :now
  UNION ALL SELECT max(seq) FROM deletion_batch WHERE at <= :now
) AS ends
"""


class Forgotten(NamedTuple):
    """What nobody knows any more of an earlier day, for whoever rebuilds it. `purposes`: whether they were denied;
    `age`: how old somebody was; `beside`: what they had been told, or which grants had ended.
    """

    purposes: frozenset[Purpose] = frozenset()
    age: bool = False
    beside: bool = False

    def joined(self, other: "Forgotten") -> "Forgotten":
        """With what is not known of another name of theirs."""
        return Forgotten(self.purposes | other.purposes, self.age or other.age, self.beside or other.beside)


NOT_FORGOTTEN = Forgotten()
ANOTHERS = Forgotten(frozenset(CHOOSABLE), age=True, beside=True)  # nothing of it is theirs to know


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`position`: how many entries there were, counted up to the last one about a person. `standings`: those of the
    keys of which anything stood; `grants`: what was allowed and not over, the newest first. `forgotten`: what of it
    may have rested on somebody who was unlinked since, of whom nothing is kept, so that this is no yes and no no.
    """

    position: int
    standings: tuple[Standing, ...]
    grants: tuple[Grant, ...]
    forgotten: Forgotten = NOT_FORGOTTEN


def standings_at(store: Store, keys: Sequence[bytes], at: datetime, holder: datetime | None = None) -> Rebuilt:
    """Raises `StoreUnavailable` where the ledger cannot be read. `holder`: when whoever holds them is shown it, to whom
    what stood of somebody who had a number or mailbox before is as unknown as what they said (R5).
    """
    with ledger_snapshot(store) as db:
        found = rebuild(db, keys, milliseconds(at))
        if holder is None or all(passed_since(db, key, milliseconds(holder)) <= found.position for key in keys):
            return found
        return Rebuilt(found.position, (), (), ANOTHERS)


def position_at(db: sqlite3.Connection, now: int, last: int | None = None) -> int:
    """How many entries there were at a moment in Unix milliseconds, up to the last one whose time is kept exactly.
    `last`: the last of those that are not of offices, where it is known.
    """
    [of_offices] = db.execute(LAST_OF_OFFICES, {"now": now}).fetchone()
    last = last_before(db, now + 1) if last is None else last
    return max(last, -1 if of_offices is None else of_offices) + 1


def rebuild(db: sqlite3.Connection, keys: Sequence[bytes], now: int) -> Rebuilt:
    """The standings of keys at a moment, in Unix milliseconds. What lies before the last entry of by then was in effect
    though a clock that ran ahead dated it later; so what stood is read without it and with it: a no of either is one,
    and a yes only one of both.
    """
    last = last_before(db, now + 1)
    position = position_at(db, now, last)
    if not keys:
        return Rebuilt(position, (), ())
    people = FoldedPeople(db, keys, now)
    found, grants = _standings(db, people, keys, now), _grants(people, keys, now)
    standings = tuple(each for each in found if each != NOTHING)
    if (others := people.with_ahead(last)) is not None:
        both = [*zip(found, _standings(db, others, keys, now, last), strict=True)]
        # One that said nothing but a yes stays a record: of somebody who was told nothing.
        kept = (each.opted_in_as(other) for each, other in both if each != NOTHING)
        standings = *kept, *(other.denies_only() for each, other in both if other not in (each, NOTHING))
        left = {replace(grant, seq=0) for grant in _grants(others, keys, now)}
        grants = [grant for grant in grants if replace(grant, seq=0) in left]
    lost = _forgotten(_kept_since(db, people.slate(), keys, now), standings) if position > 0 else NOT_FORGOTTEN
    return Rebuilt(position, standings, tuple(grants), lost)


def _standings(
    db: sqlite3.Connection, people: StandingPeople, keys: Sequence[bytes], now: int, last: int = -1
) -> list[Standing]:
    slate, once = people.slate(), dict[Alike | bytes, Standing]()  # of the names of one identifier it is read once
    read_as = [(key, alike(slate.row(key)) or key) for key in keys]
    return [once.get(those) or once.setdefault(those, _numbered(db, people, key, now, last)) for key, those in read_as]


def _grants(people: StandingPeople, keys: Sequence[bytes], now: int) -> list[Grant]:
    return sorted((grant for key in keys for grant in people.grants(key, now)), key=lambda grant: -grant.seq)


KEPT = frozenset(get_args(Kept))


def _forgotten(kept: Collection[Kept], standings: Collection[Standing]) -> Forgotten:
    """A no that is on record still was one whatever else denied, but where a forgotten one's yes had taken it back."""
    denied = {each for each in CHOOSABLE if any(standing.denies(each) for standing in standings)}
    noes = {said.purpose for said in kept if isinstance(said, KeptNo | KeptEnd)} - denied
    noes |= {said.grant.purpose for said in kept if isinstance(said, KeptRevoked)} - denied
    lost = noes | {said.purpose for said in kept if isinstance(said, KeptEnd) and said.no}
    age, *beside = (any(isinstance(said, each) for said in kept) for each in (KeptAge, KeptNotice, KeptRevoked))
    if age:  # a child's own yes is none
        lost |= {each for each in CHOOSABLE if any(standing.opted_in(each) for standing in standings)}
    if not lost.isdisjoint(SIGNAL_PURPOSES):
        lost |= {Purpose.THIRD_PARTY_MARKETING} - denied  # a sale, whatever its name (R21)
    return Forgotten(frozenset(lost), age, any(beside))


def _kept_since(db: sqlite3.Connection, slate: Slate, keys: Iterable[bytes], now: int) -> list[Kept]:
    """What was said anew since, with those whom these read, of somebody who was unlinked. What stays by an entry that
    was made late is told with that, and known.
    """
    near = {*keys}
    near |= {owner for key in near for owner in slate.row(key).owners}
    names = set[bytes]().union(*(all_names(slate, key) for key in near))
    read = near | names | {account for account, *_ in edges_of(slate, names)}
    rows = (row for row in side_rows(db, read, Mention.OF) if row.side.at > now and not row.entered)
    return [cast("Kept", record.said) for row in rows for record in row.records(read, KEPT)]


def _numbered(db: sqlite3.Connection, people: StandingPeople, key: bytes, now: int, ahead: int) -> Standing:
    """With the entry of the last no that stood, as a check tells it: else of the state that did."""
    slate, standing = people.slate(), people.standing(key, now)
    last = max((no.bit.seq for no in read_noes(slate, key) if no.holds(slate.voids)), default=-1)
    return replace(standing, seq=last if last >= 0 else last_began(db, family(slate, key), standing.held, now, ahead))


BEGAN = f"""
SELECT max(d.seq), json_extract(CAST({BODY} AS TEXT), '$.src') AS source FROM detail d {JOINED}
WHERE d.key IN ({{marks}}) AND json_extract(CAST({BODY} AS TEXT), '$.e') = 'state_began'
AND (d.at <= ? OR (d.seq < ? AND d.at - {CLOCKS_APART_MS} <= ?))
AND NOT EXISTS (SELECT 1 FROM voided_choice v WHERE v.seq = d.seq AND v.at <= ?) GROUP BY source
"""  # noqa: S608 - ours


def last_began(
    db: sqlite3.Connection, names: Collection[bytes], sources: Collection[str], now: int = FOR_EVER, ahead: int = -1
) -> int | None:
    """The last entry, until a moment in Unix milliseconds, by which a state of one of these sources began that any of
    these names told. None: there is none. `ahead`: before which entry a clock may have run ahead.
    """
    found = rows_of(db, BEGAN, names, now, ahead, now, now) if sources else ()
    return max((seq for seq, source in found if source in sources), default=None)


def facts_of(store: Store, watch: LedgerWatch) -> "LedgerFacts":
    """Those that a store wants."""
    return (ServerFacts if store.is_server else LedgerFacts)(store, watch)


class LedgerFacts:
    """Which entry decided, for checks by keys that may know it. One reading connection, opened anew whenever the watch
    lost and found the file again. Each call raises `LookupRefused` rather than answer from doubt.
    """

    def __init__(self, store: Store, watch: LedgerWatch) -> None:
        self._store = store
        self._watch = watch
        self._db: sqlite3.Connection | None = None
        self._generation = -1

    def began(self, names: Collection[bytes], sources: Collection[str]) -> int | None:
        """See `last_began`."""
        with self._reading() as db:
            return last_began(db, names, sources)

    def event(self, seq: int) -> str | None:
        """The event id (base64url) of an entry about somebody; None for other entries."""
        with self._reading() as db:
            row = db.execute("SELECT event FROM detail WHERE seq = ?", (seq,)).fetchone()
        return b64(row[0]) if row else None

    def close(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self._watch.fresh():
            raise Stale
        try:
            if self._db is None or self._generation != self._watch.generation:
                self._let_go()
                self._generation = self._watch.generation
                self._db = self._store.open_to_read()
            yield self._db
        except (sqlite3.Error, LedgerRefused) as error:
            with contextlib.suppress(sqlite3.Error):
                self._let_go()
            raise RowUnreadable(type(error).__name__) from error


class ServerFacts(LedgerFacts):
    """Of a ledger on a server, which is asked from a thread: whoever asks does so in the loop that answers everybody.
    One question at a time; while one is out, nobody else waits, and is refused.
    """

    def __init__(self, store: Store, watch: LedgerWatch) -> None:
        super().__init__(store, watch)
        self._thread = ThreadPoolExecutor(1, "ledger-facts")
        self._out: Future[Any] | None = None

    def began(self, names: Collection[bytes], sources: Collection[str]) -> int | None:
        return self._told(super().began, names, sources)

    def event(self, seq: int) -> str | None:
        return self._told(super().event, seq)

    def close(self) -> None:
        """By the thread itself, where the server lets go of it in time."""
        with contextlib.suppress(RuntimeError):  # no more threads
            self._thread.submit(self._let_go)
        self._thread.shutdown(wait=False)

    def _told(self, look: Callable[..., T], *asked: object) -> T:
        if self._out is not None and not self._out.done():
            raise Stale("the ledger says nothing")
        try:
            self._out = told = self._thread.submit(look, *asked)
            return told.result(TELLS_WITHIN)
        except RuntimeError as none:  # no more threads, and the question waits for one: it is asked again by others
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = ThreadPoolExecutor(1, "ledger-facts")
            raise Stale("the ledger says nothing") from none
        except TimeoutError as silence:
            raise Stale("the ledger says nothing") from silence
