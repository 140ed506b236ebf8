"""What the operator's office does to the ledger: it voids words that count for nothing (`gateway void`), takes a
state's deletion list (`gateway drop take`), and has the keys wrapped by a new pepper (`gateway rekey`).

Words that count for nothing are consents on a screen that turned out to be no fair question (11 CCR 7004(b), L51), and
choices that are believed to be forged (R34, 11 CCR 7026(e)). Of a screen: the fold knows on which one each yes was
said, and what that covers; whatever such yeses had lifted denies again, wherever it would be by now, and what was
granted on it is over. Nobody's fair choice is touched, and the entry is about no person. Of forged choices: two
officers name each entry; no rule and no rate does. They are left out when what stands is folded: what the person said
elsewhere, or says again, stands. Nothing is deleted: the entries stay, a look at an earlier day still counts them, and
the void is an entry of its own.

Each request in a state's list is a no to everything under the key of its digest, from the part in which it came until
the list takes it back. A part is one entry, which says whose list it is and how many requests it has. Their noes are
told beside it as those of anybody are, so that they reach the accounts and the devices that the digest has or gets
later, and a person's own yes lifts them. A request that is there already is not said again, so that a file may be
taken twice. Ten digits are an American's whole number, and the last of somebody's number abroad. Under the key of their
digest that is an American name the no is the American's; it is said again under a second key, which denies numbers from
abroad that end in these digits and goes no further: neither holder's own words are the other's.

A new pepper: every stored key is wrapped once more, in one transaction, without any raw value (R19). The entries that
tell of new and retired keys of every kind are made here, too.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from gateway import disk
from gateway.fold import record as told
from gateway.fold.kin import Alike, alike
from gateway.fold.record import KeptEnd, NamesLearnt, Record, SaidOut, ScreenVoided
from gateway.fold.state import Place
from gateway.ledger import entry
from gateway.ledger.acts import idempotency
from gateway.ledger.acts.folded_people import Relations, StandingPeople, connected_people, folded_from, with_looser
from gateway.ledger.log_records import COLUMNS, NOBODY, place_of_entry, rewrite_all_sides, row_of, stays_by
from gateway.ledger.schema import BODY, JOINED, rows_of
from gateway.ledger.side import Mention, count_mentioned
from gateway.ledger.store import Store, ledger_snapshot
from gateway.ledger.subjects import milliseconds
from gateway.ledger.transaction import Job, Transaction
from gateway.terms import ALL_PURPOSES, CALLERS_CHOICES, ChoiceKind, Source

# As the index entry_screen says it, word for word.
SCREEN = """
CASE WHEN json_valid(CAST(e.body AS TEXT)) THEN coalesce(
  json_extract(CAST(e.body AS TEXT), '$.ui'), json_extract(json_extract(CAST(e.body AS TEXT), '$.was'), '$.ui')) END
"""
# Of pruned entries by those that hold them whole.
CONSENTED = f"""
SELECT d.seq, d.key FROM entry e CROSS JOIN detail d ON d.seq = e.seq WHERE {SCREEN} = ?1
UNION SELECT d.seq, d.key FROM entry e CROSS JOIN restated x ON x.seq = e.seq CROSS JOIN detail d ON d.seq = x.of
WHERE {SCREEN} = ?1
"""  # noqa: S608 - ours


FIRST_UNLINK = "SELECT min(seq) FROM erasure WHERE mode = 'unlink'"
BESIDE_ENTRIES = f"SELECT {COLUMNS} FROM side s WHERE s.place > ? AND NOT s.entered ORDER BY s.place"  # noqa: S608 - ours


def void_consents(tx: Transaction, ui: str, reason_sha256: bytes, at: datetime) -> bool:
    """One entry, the first time; whether it is that. What it takes does not depend on how many consented there."""
    if is_void(tx, ui):
        return False
    body = entry.voided(event=os.urandom(16), ui=ui, reason=reason_sha256, at=at)
    now = milliseconds(at)
    seq = tx.append(body, [Record(tx.size, now, NOBODY, ScreenVoided(ui))], now)
    tx.db.execute("INSERT INTO voided_ui VALUES (?, ?, ?)", (ui, seq, now))
    return True


def consents_of(db: sqlite3.Connection, ui: str) -> int:
    """How many consents were given on a screen, as far as their entries are kept: also those that a later choice had
    replaced, and those to one recipient or programme. For whoever voided it: nobody waits for this one.
    """
    return int(db.execute(f"SELECT count(*) FROM ({CONSENTED}) AS given", (ui,)).fetchone()[0])  # noqa: S608 - ours


def consented_on(store: Store, ui: str) -> tuple[int, list[bytes]]:
    """The same, and whom they opened, each once: whoever got data of them on one is told once it is void."""
    with ledger_snapshot(store) as db:
        whose = {key for _, key in db.execute(CONSENTED, (ui,))}
        return consents_of(db, ui), sorted(whose | _opened_by_forgotten(db, ui))


def _opened_by_forgotten(db: sqlite3.Connection, ui: str) -> set[bytes]:
    """Whose no a yes on a screen took back of somebody who is forgotten since, of which only that is kept."""
    [first] = db.execute(FIRST_UNLINK).fetchone()
    if first is None:
        return set()
    sides = map(row_of, db.execute(BESIDE_ENTRIES, (place_of_entry(db, first),)))
    kept = ((each.key, each.said) for side in sides for each in side.records(words={KeptEnd}))
    return {key for key, said in kept if isinstance(said, KeptEnd) and said.no and said.screen == ui}


def is_void(tx: Transaction, ui: str) -> bool:
    """Whether consents of a screen count for nothing."""
    return bool(ui) and tx.db.execute("SELECT 1 FROM voided_ui WHERE ui = ?", (ui,)).fetchone() is not None


CHOICES = 10  # of one entry: to fold whoever has a dozen names takes two milliseconds, and opt-outs wait behind it
OFFICERS = 2
DENYING = frozenset({ChoiceKind.OPT_OUT, ChoiceKind.LIMIT, ChoiceKind.WITHDRAW})  # no yes among what was said
FOUND_CHOICE = f"""
SELECT d.seq, d.key, json_extract(CAST({BODY} AS TEXT), '$.e'), d.seq < (SELECT pruned FROM head)
FROM detail d {JOINED} WHERE d.seq = ?
"""  # noqa: S608 - the pieces are ours


class NotVoided(Exception):
    """Nothing was voided. The text says why."""


@dataclass(frozen=True, slots=True)
class Belief:
    """Who believes what. `sha256` of the written belief; the officers' names are sealed, and only committed to."""

    sha256: bytes
    officers: tuple[str, ...]

    def check(self) -> None:
        """Raises `NotVoided` unless two different people stand for it."""
        names = {" ".join(name.split()).casefold() for name in self.officers} - {""}
        if len(names) < OFFICERS:
            raise NotVoided("two different officers decide on a void (R34)")


@dataclass(slots=True)
class Voided:
    """`entries`: choices that were voided now; `keys`: whose they are; `changed`: of whom something else stands now, of
    purposes or of what is granted.
    """

    entries: int = 0
    keys: set[bytes] = field(default_factory=set)
    changed: set[bytes] = field(default_factory=set)

    def add(self, other: "Voided") -> None:
        self.entries += other.entries
        self.keys |= other.keys
        self.changed |= other.changed


class Rehearsed(Exception):
    """Raised at the end of a rehearsal, so that its transaction is undone."""

    def __init__(self, voided: Voided) -> None:
        super().__init__()
        self.voided = voided


def void_jobs(seqs: Iterable[int], belief: Belief, at: datetime, *, rehearse: bool = False) -> Iterator[Job[Voided]]:
    """The void in parts, each a job of the writer and an entry of its own, once all of it was checked; each is done
    before the next is asked for. Each raises `NotVoided`.

    What opened goes first: a forged yes may have lifted a no that somebody said, and only a forged no still deny there.
    Whoever is cut off between two parts opens nobody whom all of them would not.
    """
    belief.check()
    listed = sorted(set(seqs))
    if not listed:
        raise NotVoided("no entry is named")
    denying = set[int]()
    yield from (partial(_checked, seqs=part, denying=denying) for part in _parts(listed))
    for some in ([seq for seq in listed if seq not in denying], sorted(denying)):
        yield from (partial(_part, seqs=part, belief=belief, at=at, rehearse=rehearse) for part in _parts(some))


def _parts(seqs: Sequence[int]) -> list[Sequence[int]]:
    return [seqs[start : start + CHOICES] for start in range(0, len(seqs), CHOICES)]


def _checked(tx: Transaction, seqs: Sequence[int], denying: set[int]) -> Voided:
    denying |= {seq for seq, (_, kind) in check_choices(tx, seqs).items() if kind in DENYING}
    return Voided()


def check_choices(tx: Transaction, seqs: Iterable[int]) -> dict[int, tuple[bytes, str]]:
    """Whose the entries are, and the kind of each. Raises `NotVoided` for what is no choice of a person, and for what
    was pruned: of an entry that was restated nobody knows any more what else would hold without it.
    """
    found: dict[int, tuple[bytes, str]] = {}
    for seq in seqs:
        row = tx.db.execute(FOUND_CHOICE, (seq,)).fetchone()
        if row is None or row[2] not in CALLERS_CHOICES or row[3]:
            raise NotVoided(f"entry {seq} is no choice of a person, or is not kept any more")
        found[seq] = row[1], row[2]
    return found


def _part(tx: Transaction, seqs: Sequence[int], belief: Belief, at: datetime, *, rehearse: bool) -> Voided:
    voided = void_choices(tx, seqs, belief, at)
    if rehearse:
        raise Rehearsed(voided)
    return voided


def void_choices(tx: Transaction, seqs: Iterable[int], belief: Belief, at: datetime) -> Voided:
    """One entry for those that were not voided before; a request that was answered with one is a new one when it comes
    again. Raises `NotVoided`.
    """
    belief.check()
    whose = {seq: key for seq, (key, _) in check_choices(tx, seqs).items()}
    new = [seq for seq in whose if not tx.db.execute("SELECT 1 FROM voided_choice WHERE seq = ?", (seq,)).fetchone()]
    done = Voided(len(new), set(whose.values()))
    if new:
        now, people = milliseconds(at), {whose[seq] for seq in new} | stays_by(tx.db, new)
        told = Relations(tx.db)
        touched = with_looser(tx.db, connected_people(tx.db, people, told), told)
        everybody = connected_people(tx.db, touched, told)
        rows = told.about()
        before = _what_stands(folded_from(tx.db, rows, everybody), touched, now)
        by = _write_void(tx, new, belief, at)
        tx.db.executemany("INSERT INTO voided_choice VALUES (?, ?, ?)", [(seq, by, now) for seq in new])
        tx.tell_anew(new)
        for seq in new:
            idempotency.forget_answers(
                tx, tx.db.execute("SELECT event, at FROM detail WHERE seq = ?", (seq,)).fetchall()
            )
        after = _what_stands(folded_from(tx.db, rows, everybody), touched, now)
        done.changed = {key for key in touched if after[key] != before[key]}
    return done


def _what_stands(folded: Mapping[Place, Any], keys: set[bytes], now: int) -> dict[bytes, Any]:
    """Of each key what is compared. Of the names of one identifier it is read once."""
    people = StandingPeople(folded.get)
    slate, found = people.slate(), dict[Alike | bytes, Any]()
    read_as = {key: alike(slate.row(key)) or key for key in keys}
    for key, those in read_as.items():
        if those not in found:
            found[those] = people.standing(key, now), people.grants(key, now)
    return {key: found[those] for key, those in read_as.items()}


def _write_void(tx: Transaction, seqs: Sequence[int], belief: Belief, at: datetime) -> int:
    event, rd, person = os.urandom(16), os.urandom(32), tx.persons.new_person()
    members = {"officers": list(belief.officers), "at": at.isoformat(timespec="milliseconds")}
    details = json.dumps(members, sort_keys=True, separators=(",", ":")).encode()
    commitment = entry.details_commitment(rd, details)
    body = entry.void_of_choices(event=event, ranges=ranges(seqs), belief=belief.sha256, details=commitment, at=at)
    seq = tx.append(body)
    sealed = person.seal(event, rd + details)
    tx.db.execute("INSERT INTO void_act VALUES (?, ?, ?, ?, ?)", (seq, event, person.person, milliseconds(at), sealed))
    return seq


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers in order as spans, both ends included."""
    listed = sorted(set(seqs))
    ends = [one for one, other in pairwise([*listed, -1]) if other != one + 1]
    starts = [other for one, other in pairwise([-2, *listed]) if other != one + 1]
    return list(zip(starts, ends, strict=True))


PART = 250  # requests of one entry: while it is folded nobody is answered, and each that is known takes 2 ms
# Its mark tells it from what anybody said by the same digest: a signal beside it is news, and outlives it.
ORDER = SaidOut(ALL_PURPOSES, Source.DROP, mark=Source.DROP)
ORDER_ABROAD = ORDER._replace(mark="")  # by its second key: nobody else speaks by that
LIVE = "SELECT id, key, seq FROM deletion_row WHERE id IN ({marks}) AND gone IS NULL"
ENDED = "SELECT id, key FROM deletion_row WHERE id IN ({marks}) AND gone IS NOT NULL"
# By the same file also what is over: whoever changed their mind since is not asked about again.
SAID_BEFORE = """
SELECT r.id, r.key FROM deletion_row r JOIN deletion_batch b ON b.seq = r.seq
WHERE r.id IN ({marks}) AND (r.gone IS NULL OR b.file = ?)
"""
UNTOLD = """
SELECT r.seq, r.key FROM deletion_row r LEFT JOIN deletion_abroad a ON a.key = r.key AND a.seq = r.seq
WHERE r.key IN ({marks}) AND r.gone IS NULL AND a.key IS NULL
"""
PUT_ABROAD = "INSERT OR IGNORE INTO deletion_abroad VALUES (?, ?, ?)"
PUT = "INSERT INTO deletion_row (id, seq, key) VALUES (?, ?, ?)"
END = "UPDATE deletion_row SET gone = ?, gone_at = ? WHERE id = ? AND seq = ?"


@dataclass(frozen=True, slots=True)
class ListPart:
    """Which file a part is of, and when. `place`: whose list (ISO 3166-2); `kind`: of its identifiers; `received`: the
    day of the download.
    """

    place: str
    file: str
    kind: str
    received: date
    at: datetime


class ListedRequest(NamedTuple):
    """`id`: the state's own number of it. `key`: of its digest."""

    id: str
    key: bytes


@dataclass(slots=True)
class PartTaken:
    """How many requests of a part are new, or are over now; how many were so `before`. Of what a list takes back:
    `unknown`: never taken, or with another digest than the one that was, by their numbers.
    """

    done: int = 0
    before: int = 0
    unknown: tuple[str, ...] = ()

    def add(self, other: "PartTaken") -> None:
        """`unknown` is each part's own."""
        self.done += other.done
        self.before += other.before


def take_part(
    tx: Transaction, part: ListPart, requests: Sequence[ListedRequest], abroad: Mapping[bytes, bytes]
) -> PartTaken:
    """Every request that is not live yet, nor was taken from this file, and the entry of all of them; none where there
    is nothing new. One number with two digests is two requests, in an entry each. `abroad`: the second keys, by the
    first; of numbers alone.
    """
    said = {*rows_of(tx.db, SAID_BEFORE, [each.id for each in requests], part.file)}
    fresh = {each: None for each in requests if each not in said}
    new = [*{each.id: each for each in reversed(fresh)}.values()]
    now = milliseconds(part.at)
    tx.say([Record(tx.size, now, each.key, ORDER) for each in new], now)
    tx.db.executemany(PUT, [(each.id, tx.size, each.key) for each in new])
    _say_abroad(tx, abroad, now)
    if new:
        _append_part(tx, part, entry.DELETION_LIST, len(new))
    taken = PartTaken(len(new), len(requests) - len(fresh))
    once = {*new}
    if more := [each for each in fresh if each not in once]:
        taken.add(take_part(tx, part, more, abroad))
    return taken


def _say_abroad(tx: Transaction, abroad: Mapping[bytes, bytes], now: int) -> None:
    """Every live request of these digests by its second key, beside the entry that it came with: also those that were
    taken by a gateway that knew no second keys.
    """
    untold = sorted(rows_of(tx.db, UNTOLD, abroad.keys()))
    for seq, of in groupby(untold, key=itemgetter(0)):
        tx.say([Record(seq, now, abroad[key], ORDER_ABROAD) for _, key in of], now)
    tx.db.executemany(PUT_ABROAD, [(key, seq, abroad[key]) for seq, key in untold])


def end_part(tx: Transaction, part: ListPart, requests: Sequence[ListedRequest]) -> PartTaken:
    """Every live request among these is over, by one entry; what else says no of anybody stays. In doubt about whom one
    means it stays, too.
    """
    ids = [each.id for each in requests]
    live = {ListedRequest(id_, key): seq for id_, key, seq in rows_of(tx.db, LIVE, ids)}
    ended = {each: live[each] for each in requests if each in live}
    gone = {*rows_of(tx.db, ENDED, ids)} - ended.keys()
    if ended:
        seq, now = _append_part(tx, part, entry.TAKEN_BACK, len(ended)), milliseconds(part.at)
        tx.db.executemany(END, [(seq, now, each.id, said_by) for each, said_by in ended.items()])
        tx.tell_anew({*ended.values()})
    unknown = tuple(each.id for each in requests if each not in ended and each not in gone)
    return PartTaken(len(ended), sum(each in gone for each in requests), unknown)


def know_numbers(tx: Transaction, names: Mapping[bytes, bytes], at: datetime) -> None:
    """American numbers that were known before they had a name in lists have it from now on. `names`: that name, by the
    looser form that each such number always had.
    """
    told = Relations(tx.db, Mention.NAME)
    told.read(names.keys())
    owners = {owner: name for form, name in names.items() for owner in told.owners[form]}
    told.read(owners.keys())
    now, new = milliseconds(at), [each for each in owners.items() if each[1] not in told.names[each[0]]]
    tx.say([Record(tx.size, now, owner, NamesLearnt((name,))) for owner, name in new], now)


def _append_part(tx: Transaction, part: ListPart, kind: str, count: int) -> int:
    body = entry.deletion_list(
        event=os.urandom(16), kind=kind, place=part.place, listed=part.kind, count=count, at=part.at
    )
    seq = tx.append(body, (), milliseconds(part.at))
    row = (seq, milliseconds(part.at), part.place, part.file, part.kind, part.received.toordinal(), count)
    tx.db.execute("INSERT INTO deletion_batch VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return seq


REPLACED, RETIRED = "replaced", "retired"

KEY_COLUMNS = (
    ("detail", "key"),
    ("link_event", "account"),
    ("link_event", "identifier"),
    ("disclosure", "key"),
    ("disclosed", "key"),
    ("erased", "identifier"),
    ("suppression", "key"),
    ("held", "named"),
    ("held_key", "key"),
    ("informed", "named"),
    ("account_name", "key"),
    ("act_claim", "key"),
    ("deletion_row", "key"),
    ("deletion_abroad", "key"),
    ("deletion_abroad", "abroad"),
)


KEYED = ("side", "mention_piece", *sorted({table for table, _ in KEY_COLUMNS}))  # tables in which keys stand
KEYS_AT_ONCE = 50_000  # keys that a server is told at once


def note_key(tx: Transaction, kind: str, step: str, at: datetime, vkey: str = "", lasting: str = "") -> int:
    """The entry about a key; of a signing key with its verifier keys, so that the older ones vouch for them."""
    seq = tx.append(entry.key_event(event=os.urandom(16), kind=kind, step=step, vkey=vkey, at=at, lasting=lasting))
    tx.db.execute("INSERT INTO key_event VALUES (?, ?, ?, ?)", (seq, kind, step, milliseconds(at)))
    return seq


def rewrap(tx: Transaction, wrap: Callable[[bytes], bytes], peppers: int, mark: int) -> int:
    """Rewrites every key column and says how many peppers hold now, and which (`mark`, as `Secrets.marks` has it).
    Returns of how many keys something may stand.
    """
    (_rewrap_in_file if disk.is_file(tx.db) else _rewrap_on_server)(tx.db, wrap)
    rewrite_all_sides(tx.db, lambda _, record: with_keys(record, wrap), peppers)
    tx.db.execute("UPDATE head SET peppers = ?", (peppers,))
    tx.db.execute(f"PRAGMA application_id = {mark:d}")
    tx.tell_forgotten(None)
    tx.stands = tx.onward = None  # what stood before knows nobody by these
    return count_mentioned(tx.db)


def _rewrap_in_file(db: sqlite3.Connection, wrap: Callable[[bytes], bytes]) -> None:
    db.create_function("wrap", 1, wrap, deterministic=True)
    for table, column in KEY_COLUMNS:
        db.execute(f"UPDATE {table} SET {column} = wrap({column})")  # noqa: S608 - names are ours


def _rewrap_on_server(db: sqlite3.Connection, wrap: Callable[[bytes], bytes]) -> None:
    """No server has our peppers: it is told what each key becomes, for as long as the transaction lasts."""
    db.execute("CREATE TEMP TABLE rewrapped (before BLOB PRIMARY KEY, becomes BLOB NOT NULL) STRICT")
    for table, column in KEY_COLUMNS:
        for part in _keys_in_parts(db, table, column):
            rows = [(key, wrap(key)) for key in part]
            db.executemany("INSERT OR IGNORE INTO temp.rewrapped VALUES (?, ?)", rows)
        becomes = f"(SELECT r.becomes FROM temp.rewrapped r WHERE r.before = {table}.{column})"  # noqa: S608 - ours
        db.execute(f"UPDATE {table} SET {column} = {becomes} WHERE {column} IS NOT NULL")  # noqa: S608 - ours
    db.execute("DROP TABLE temp.rewrapped")


def _keys_in_parts(db: sqlite3.Connection, table: str, column: str) -> Iterator[list[bytes]]:
    """The keys of a column in their order: there may be more than a process has room for."""
    sql = f"SELECT DISTINCT {column} FROM {table} WHERE {column} %s ? ORDER BY {column} LIMIT {KEYS_AT_ONCE}"  # noqa: S608 - ours
    part = [key for (key,) in db.execute(sql % ">=", (b"",))]
    while part:
        yield part
        part = [key for (key,) in db.execute(sql % ">", (part[-1],))]


def with_keys(record: Record, wrap: Callable[[bytes], bytes]) -> Record:
    """With every key another one, as a new pepper makes it."""
    said = record.said
    match said:
        case told.NamesLearnt():
            same, looser = (tuple(map(wrap, forms)) for forms in (said.same, said.looser))
            said = told.NamesLearnt(same, looser, None if said.mailbox is None else wrap(said.mailbox))
        case told.LinkSaid():
            said = said._replace(account=wrap(said.account))
        case told.KeptNo():
            said = said._replace(origin=wrap(said.origin), via=wrap(said.via))
    return record._replace(key=wrap(record.key), said=said) if record.key else record
