"""The side of a log's record: what its public leaf does not say and the fold needs, packed for ever. Whoever appends
packs it, whoever folds the log reads it; no leaf is parsed for that. And which rows of the log mention a key, and how:
the way from a person to what was said of them.

    [form, peppers, time in Unix milliseconds, [[what, key, account, after, fields], ...]]

as MessagePack. `peppers` is how many wrap the keys; `after` the milliseconds between the record's time and this part's,
nearly always 0; `fields` are those of the word's tuple in `gateway.fold.record`, in order. So a new field goes behind
the others and has a default, a word keeps its number for ever, and what a purpose is called never changes. An opt-out
of an ad id with its twelve names takes 332 bytes, packed in 5 us and read in 9. Never in a side: an identifier, or what
anybody is called. Keys are pseudonyms, which a pepper makes.

Keys are random, so in one tree of all of them each name of a batch would lie on a page of its own. Here a batch's
mentions are one sorted run, written in the transaction of the rows that they lead to: nothing is ever behind. Eight
runs of a level become one of the next, a part at a time between two batches. Each part is one transaction, behind which
every mention lies in one run as before it; so there is nothing to mend after a crash, and a look takes one place of
each run: some twenty where a million people are on record. `verify` makes all of it again and compares.
"""

import sqlite3
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from heapq import merge
from itertools import chain, groupby, repeat
from struct import Struct
from typing import Any, NamedTuple

import msgspec

from gateway.disk import whole
from gateway.fold import record as told
from gateway.fold.record import Record, Said

FORM = 1
WORDS: dict[int, type[Any]] = {
    1: told.SaidOut, 2: told.SaidPruned, 3: told.SaidIn, 4: told.GrantSaid, 5: told.ActUsed, 6: told.LinkSaid,
    7: told.Released, 8: told.NamesLearnt, 9: told.StateSaid, 10: told.AgeTold, 11: told.NoticeGiven,
    12: told.ChildFound, 13: told.ScreenVoided, 14: told.KeptNo, 15: told.KeptEnd, 16: told.KeptRevoked,
    17: told.KeptAge, 18: told.KeptNotice, 19: told.OrderOver, 20: told.NoticeBounced,
}  # fmt: skip
NUMBERS = {word: number for number, word in WORDS.items()}


class SideUnreadable(ValueError):
    """No side of a form that this program knows: it must not fold the log."""


class PackedSaid(NamedTuple):
    """One thing that is said, about one key."""

    word: int
    key: bytes
    account: bool
    after: int
    fields: msgspec.Raw


class PackedSide(NamedTuple):
    form: int
    peppers: int
    at: int
    said: tuple[PackedSaid, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(PackedSide).decode
_decode_word = {number: msgspec.msgpack.Decoder(word).decode for number, word in WORDS.items()}


def pack_side(records: Iterable[Record], at: int, peppers: int) -> bytes:
    """Of all that one entry of the log says, in its order. `at`: when it was said, Unix milliseconds."""
    said = [(NUMBERS[type(each.said)], each.key, each.account, each.at - at, _fields(each.said)) for each in records]
    return _encode((FORM, peppers, at, said))


def _fields(said: Said) -> tuple[Any, ...]:
    """Without a place that nobody said: so releases of before version 37 read what says none."""
    return tuple(said)[:-1] if getattr(said, "place", None) == "" else tuple(said)


def read_side(packed: bytes) -> PackedSide:
    """Raises `SideUnreadable`."""
    try:
        side = _decode(packed)
    except msgspec.DecodeError as error:
        raise SideUnreadable(f"not the side of a record: {error}") from error
    if side.form != FORM:
        raise SideUnreadable(f"the side of a record has form {side.form}; this program knows form {FORM}")
    return side


def records_within(
    seq: int, side: PackedSide, keys: Collection[bytes] | None = None, words: Collection[type] | None = None
) -> list[Record]:
    """What the entry with a number says. `keys`: only what is said of these; `words`: and only in these. Raises
    `SideUnreadable`.
    """
    try:
        return [
            Record(seq, side.at + each.after, each.key, _decode_word[each.word](each.fields), each.account)
            for each in side.said
            if (keys is None or each.key in keys) and (words is None or WORDS.get(each.word) in words)
        ]
    except (KeyError, msgspec.DecodeError) as error:
        raise SideUnreadable(f"the side of entry {seq} says what this program does not know: {error}") from error


class Mention(IntEnum):
    """How a key stands in what is said. Numbers of what leads to it, for ever."""

    OF = 0  # it is said of it
    NAME = 1  # as a name, a looser form or a mailbox
    THROUGH = 2  # as the account of a link, or whoever a no had come from or through: there may be thousands
    MARK = 3  # no key, but an installation's mark


def mentioned(record: Record) -> list[tuple[bytes, Mention]]:
    """Every key that leads to what is said, and how."""
    said, found = record.said, [(record.key, Mention.OF)]
    match said:
        case told.NamesLearnt():
            forms = (*said.same, *said.looser, *(() if said.mailbox is None else (said.mailbox,)))
            found += zip(forms, repeat(Mention.NAME))
        case told.LinkSaid():
            found.append((said.account, Mention.THROUGH))
        case told.KeptNo():
            found += [(said.origin, Mention.THROUGH), (said.via, Mention.THROUGH)]
        case told.SaidOut() | told.SaidPruned() | told.StateSaid() | told.AgeTold() if said.mark:
            found.append((mark_key(said.mark), Mention.MARK))
    return found


@lru_cache
def mark_key(mark: str) -> bytes:
    """By which everything is found that one installation said. No pepper makes it: a mark is a hash of a random id."""
    return sha256(f"mark {mark}".encode()).digest()[:16]


KEY = 16  # bytes of a key; that of nobody has none, and lies here as zeros
ENTRY = 22  # bytes of a mention: its key, then way and place as one number, so that bytes sort as those three do
PLACE_BITS = 40
PARTS = Struct(f">{KEY}sBBI")  # of a mention: key, way, and place in two
PIECE = 60  # mentions of one row: three rows fill a page
RUNS = 8  # of a level, that become one of the next
SMALLEST = 512  # mentions of a run of the lowest level; of the next, eight times as many
AT_ONCE = 128  # pieces of one part: 3 to 4 ms, 10 to 19 on a busy machine
ASKED = 200  # keys of one statement
READ = 500  # rows that are read at once
REMADE = 250_000  # mentions of a run that is made again

NEW_RUN = "INSERT INTO mention_run (run, level) SELECT coalesce(max(run), 0) + 1, ? FROM mention_run"
PUT = "INSERT INTO mention_piece (run, first, packed) VALUES ((SELECT max(run) FROM mention_run), ?, ?)"
LAST_RUN = "SELECT coalesce(max(run), 0) FROM mention_run"
ALL_RUNS = "SELECT run, level, becomes FROM mention_run ORDER BY level, run"
NEXT = "SELECT first, packed FROM mention_piece WHERE run = ? AND first > ? ORDER BY first LIMIT ?"
CHANGE = "UPDATE mention_piece SET run = ?, first = ?, packed = ? WHERE run = ? AND first = ?"
DROP = "DELETE FROM mention_piece WHERE run = ? AND first = ?"
# Of each run the last piece that could have one of some mentions.
LAST_PIECES = """
WITH wanted (low, high) AS (VALUES {marks})
SELECT w.low, w.high, (
  SELECT p.packed FROM mention_piece p WHERE p.run = r.run AND p.first <= w.high ORDER BY p.first DESC LIMIT 1)
FROM wanted w CROSS JOIN mention_run r WHERE r.level > {small}
"""
# Of each run the piece in which a mention would be, and those behind it up to another one.
AMONG = """
WITH wanted (low, high) AS (VALUES {marks})
SELECT p.run, p.first, p.packed, w.low FROM wanted w CROSS JOIN mention_run r
CROSS JOIN mention_piece p ON p.run = r.run AND p.first <= w.high AND p.first >= coalesce(
  (SELECT b.first FROM mention_piece b WHERE b.run = r.run AND b.first <= w.low ORDER BY b.first DESC LIMIT 1), x'')
WHERE r.level > {small}
"""
SMALL = "SELECT run, first, packed FROM mention_piece WHERE run IN (SELECT run FROM mention_run WHERE level <= ?)"
STRAY = (
    f"SELECT 1 FROM mention_piece WHERE first <> substr(packed, 1, {ENTRY})"  # noqa: S608 - ours
    " OR run NOT IN (SELECT run FROM mention_run) LIMIT 1"
)
SIDES = "SELECT place, seq, packed FROM side WHERE place > ? ORDER BY place LIMIT ?"
REWRITE = "UPDATE side SET packed = ? WHERE place = ?"
CAME_BACK = """
SELECT s.seq, s.place, s.packed, t.notice, t.day, d.key, d.kind = 'account', h.peppers
FROM told_event t JOIN detail d ON d.seq = t.seq JOIN side s ON s.seq = t.seq AND s.entered CROSS JOIN head h
WHERE t.outcome = 'bounced' AND t.seq > ? AND (EXISTS (SELECT 1 FROM entry e WHERE e.seq = t.seq)
OR EXISTS (SELECT 1 FROM restated x WHERE x.of = t.seq)) ORDER BY t.seq LIMIT ?
"""


class Led(NamedTuple):
    """That a row of the log mentions a key."""

    key: bytes
    way: int
    place: int


def pack_mention(key: bytes, way: int, place: int) -> bytes:
    """As it lies in a piece."""
    return key.ljust(KEY, b"\0") + (way << PLACE_BITS | place).to_bytes(ENTRY - KEY, "big")


def pack_mentions(place: int, named: Iterable[tuple[bytes, Mention]]) -> set[bytes]:
    """The same of all keys that lead to one place, a dozen or more: what they have alike is packed once a way."""
    ends = [pack_mention(b"", way, place)[KEY:] for way in Mention]
    return {key.ljust(KEY, b"\0") + ends[way] for key, way in named}


def read_mention(packed: bytes) -> Led:
    """The other way."""
    key, number = packed[:KEY], int.from_bytes(packed[KEY:], "big")
    return Led(key if any(key) else b"", number >> PLACE_BITS, number & (1 << PLACE_BITS) - 1)


def add_mentions(db: sqlite3.Connection, packed: Iterable[bytes]) -> None:
    """A run of their own, within a transaction."""
    entries = sorted({*packed})
    if entries:
        db.execute(NEW_RUN, (_level_of(len(entries)),))
        db.executemany(PUT, [(piece[:ENTRY], piece) for piece in _pieces(entries)])


def gather_mentions(db: sqlite3.Connection, last: int) -> None:
    """What a transaction added bit by bit becomes one run, at its end. `last`: the last run of before."""
    runs = [run for (run,) in db.execute("SELECT run FROM mention_run WHERE run > ? AND level = 0", (last,))]
    if len(runs) > 1:
        entries = [each for run in runs for piece in _of_run(db, run) for each in _entries(piece)]
        for table in ("mention_piece", "mention_run"):
            db.executemany(f"DELETE FROM {table} WHERE run = ?", [(run,) for run in runs])  # noqa: S608 - ours
        add_mentions(db, entries)


def remove_mentions(db: sqlite3.Connection, packed: Collection[bytes]) -> None:
    """From wherever they lie, within a transaction."""
    gone, found = {*packed}, dict[tuple[int, bytes], bytes]()
    small = _small_level(len(gone))
    for run, first, piece, *_ in chain(
        _small_runs(db, small), _asked(db, AMONG, [(each, each) for each in gone], small)
    ):
        found[run, first] = piece
    for (run, first), piece in found.items():
        left = b"".join(each for each in _entries(piece) if each not in gone)
        if not left:
            db.execute(DROP, (run, first))
        elif left != piece:
            db.execute(CHANGE, (run, left[:ENTRY], left, run, first))


def mentions_of(db: sqlite3.Connection, keys: Collection[bytes], ways: Mention = Mention.MARK) -> set[Led]:
    """Every mention of some keys. `ways`: the last of those that count."""
    wanted = {key.ljust(KEY, b"\0"): key for key in keys}
    last = ((ways + 1 << PLACE_BITS) - 1).to_bytes(ENTRY - KEY, "big")
    asked = [(pack_mention(key, 0, 0), padded + last) for padded, key in wanted.items()]
    small, found, more = _small_level(len(asked)), set[Led](), set[tuple[bytes, bytes]]()
    for *_, piece in _small_runs(db, small):
        for key, way, high, low in PARTS.iter_unpack(piece):
            if key in wanted and way <= ways:
                found.add(Led(wanted[key], way, high << 32 | low))
    for low, high, piece in _asked(db, LAST_PIECES, asked, small):
        found |= _led_in(piece or b"", low[:KEY], ways)
        if piece and piece[:ENTRY] > low:  # it begins with the key, so the one before may end with it
            more.add((low, high))
    for _, _, piece, low in _asked(db, AMONG, [*more], small):
        found |= _led_in(piece, low[:KEY], ways)
    return found


def _led_in(piece: bytes, key: bytes, ways: Mention) -> set[Led]:
    found, at = set[Led](), piece.find(key)
    while at >= 0:
        if at % ENTRY == 0 and (led := read_mention(piece[at : at + ENTRY])).way <= ways:
            found.add(led)
        at = piece.find(key, at + 1)
    return found


def _asked(
    db: sqlite3.Connection, sql: str, bounds: Sequence[tuple[bytes, bytes]], small: int
) -> Iterator[tuple[Any, ...]]:
    """The rows of a statement that has `{marks}` for first and last mentions, of the runs above a level."""
    for start in range(0, len(bounds), ASKED):
        some = bounds[start : start + ASKED]
        marks = ", ".join(["(?, ?)"] * len(some))
        yield from db.execute(sql.format(marks=marks, small=small), [*chain.from_iterable(some)]).fetchall()


def _small_level(looks: int) -> int:
    """The last level, or -1, whose runs have no more pieces than are looked for: to read one whole costs less."""
    level = -1
    while _pieces_at(level + 1) <= looks:
        level += 1
    return level


def _small_runs(db: sqlite3.Connection, level: int) -> list[tuple[int, bytes, bytes]]:
    """(run, first, piece) of all up to a level."""
    return db.execute(SMALL, (level,)).fetchall() if level >= 0 else []


def _pieces_at(level: int) -> int:
    """At most, of a run."""
    return -(-(SMALLEST * int(RUNS**level)) // PIECE)


def places_of_each(db: sqlite3.Connection, number_of: Mapping[bytes, int], before: int) -> "list[array[int]]":
    """Where before a place anything is said of keys, by the numbers from 0 on that these have: for who asks for so many
    that all of it is read once, run by run. Within a transaction.
    """
    found = [array("Q") for _ in range(max(number_of.values(), default=-1) + 1)]
    for run, *_ in _runs(db):
        for piece in _of_run(db, run):
            for key, way, high, low in PARTS.iter_unpack(piece):
                if way == Mention.OF and (place := high << 32 | low) < before:
                    number = number_of.get(key)
                    if number is not None:
                        found[number].append(place)
    return found


def all_mentions(db: sqlite3.Connection) -> Iterator[bytes]:
    """Every one, packed, in their order. Within a transaction."""
    yield from merge(*(chain.from_iterable(map(_entries, _of_run(db, run))) for run, *_ in _runs(db)))


def count_mentioned(db: sqlite3.Connection) -> int:
    """How many keys of people anything mentions."""
    ours = (each[:KEY] for each in all_mentions(db) if read_mention(each).way != Mention.MARK)
    return sum(1 for _ in groupby(ours))


def often_mentioned(db: sqlite3.Connection) -> set[bytes]:
    """The keys that more than one row mentions, or one in more than one way; not nobody's."""
    grouped = groupby(all_mentions(db), key=lambda each: each[:KEY])
    return {key for key, each in grouped if any(key) and sum(1 for _ in each) > 1}


def sum_of_mentions(db: sqlite3.Connection) -> int | None:
    """Of the hashes of all. None: some lie where nobody finds them."""
    total = 0
    for run, *_ in _runs(db):
        last = b""
        for piece in _of_run(db, run):
            entries = _entries(piece)
            if not entries or entries != sorted({*entries}) or last >= entries[0] or len(piece) % ENTRY:
                return None
            last, total = entries[-1], total + sum(map(hash, entries))
    return None if db.execute(STRAY).fetchone() else total


def join_runs(db: sqlite3.Connection) -> bool:
    """One part of what makes few runs of many, in a transaction of its own; under the lock. Whether there was any."""
    if not _due(_runs(db)):
        return False
    with whole(db):
        if due := _due(_runs(db)):  # whoever else writes may have done it
            _join_some(db, *due)
    return True


class _Run(NamedTuple):
    """`becomes`: the run that takes it up just now."""

    run: int
    level: int
    becomes: int | None


def _runs(db: sqlite3.Connection) -> list[_Run]:
    return [_Run(*row) for row in db.execute(ALL_RUNS)]


def _due(runs: Sequence[_Run]) -> tuple[list[_Run], int | None] | None:
    """Which become one, and which one where that was begun; the smallest first."""
    targets = {each.becomes for each in runs}
    for _, level in groupby(runs, key=lambda each: each.level):
        here = [each for each in level if each.run not in targets]
        if begun := [each for each in here if each.becomes is not None]:
            return begun, begun[0].becomes
        if len(here) >= RUNS:
            return here[:RUNS], None
    return None


def _join_some(db: sqlite3.Connection, runs: Sequence[_Run], into: int | None) -> None:
    if into is None:
        db.execute(NEW_RUN, (runs[0].level + 1,))
        [into] = db.execute(LAST_RUN).fetchone()
        db.executemany("UPDATE mention_run SET becomes = ? WHERE run = ?", [(into, each.run) for each in runs])
    most = AT_ONCE // len(runs)
    heads = {each.run: db.execute(NEXT, (each.run, b"", most)).fetchall() for each in runs}
    bound = min((rows[-1][1][-ENTRY:] for rows in heads.values() if len(rows) == most), default=None)
    entries = sorted(chain.from_iterable(_entries(piece) for rows in heads.values() for _, piece in rows))
    if bound is not None:  # what lies behind the last piece that was read of a run is not known yet
        entries = entries[: bisect_right(entries, bound)]
        entries = entries[: len(entries) // PIECE * PIECE or len(entries)]
    if entries:
        _move(db, heads, entries, into)
    if bound is None:
        db.execute("DELETE FROM mention_run WHERE becomes = ?", (into,))


def _move(
    db: sqlite3.Connection, heads: dict[int, list[tuple[bytes, bytes]]], entries: Sequence[bytes], into: int
) -> None:
    """What is moved takes the rows of what it was: nothing is freed, and nothing has to be zeroed."""
    last, freed, cut = entries[-1], list[tuple[int, bytes]](), list[tuple[int, bytes, bytes, int, bytes]]()
    for run, rows in heads.items():
        for first, piece in rows:
            if piece[-ENTRY:] <= last:
                freed.append((run, first))
            elif first <= last:
                left = b"".join(each for each in _entries(piece) if each > last)
                cut.append((run, left[:ENTRY], left, run, first))
    pieces = [*_pieces(entries)]
    moved = [(into, piece[:ENTRY], piece, *row) for piece, row in zip(pieces, freed, strict=False)]
    db.executemany(CHANGE, cut + moved)
    more = [(into, piece[:ENTRY], piece) for piece in pieces[len(freed) :]]
    db.executemany("INSERT INTO mention_piece (run, first, packed) VALUES (?, ?, ?)", more)
    db.executemany(DROP, freed[len(pieces) :])


def remake_mentions(db: sqlite3.Connection) -> None:
    """All of it from what the rows of the log say, within a transaction: for a new pepper, or where none is."""
    db.execute("DELETE FROM mention_piece")
    db.execute("DELETE FROM mention_run")
    waiting = list[bytes]()
    for place, _, records in told_rows(db):
        waiting += led_by(place, records)
        if len(waiting) >= REMADE:
            add_mentions(db, waiting)
            waiting.clear()
    add_mentions(db, waiting)


def as_rows(db: sqlite3.Connection) -> None:
    """For an older gateway (`schema.take_back`): each a row of the table that it has."""
    for place, _, records in told_rows(db):
        led = sorted(map(read_mention, led_by(place, records)))
        db.executemany("INSERT OR IGNORE INTO about VALUES (?, ?, ?)", led)


def rewrite_side(
    db: sqlite3.Connection, place: int, side: PackedSide, told_before: Iterable[Record], now: Sequence[Record]
) -> None:
    """A row of the log tells other records from here on, and what leads to it follows: for steps of a migration."""
    were, are = led_by(place, told_before), led_by(place, now)
    db.execute(REWRITE, (pack_side(now, side.at, side.peppers), place))
    remove_mentions(db, were - are)
    add_mentions(db, are - were)


def led_by(place: int, records: Iterable[Record]) -> set[bytes]:
    """What leads to a row of the log that tells these records."""
    return pack_mentions(place, chain.from_iterable(map(mentioned, records)))


def tell_bounces(db: sqlite3.Connection) -> None:
    """The other way for whom a notice came back to: an older gateway tells it for reports alone (`schema.FILLED`)."""
    after = -1
    while rows := db.execute(CAME_BACK, (after, READ)).fetchall():
        for after, place, packed, notice, day, key, is_account, peppers in rows:
            with suppress(SideUnreadable):
                said = records_within(after, side := read_side(packed))
                if all(isinstance(each.said, told.NamesLearnt) for each in said):
                    bounce = Record(after, side.at, key, told.NoticeBounced(notice, day), bool(is_account))
                    rewrite_side(db, place, side._replace(peppers=peppers), said, [*said, bounce])


def told_rows(db: sqlite3.Connection) -> Iterator[tuple[int, PackedSide, list[Record]]]:
    """Each row of the log with its place and its records; what cannot be read is told by `verify`."""
    place = 0
    while rows := db.execute(SIDES, (place, READ)).fetchall():
        for place, seq, packed in rows:
            with suppress(SideUnreadable):
                yield place, (side := read_side(packed)), records_within(seq, side)


def _level_of(count: int) -> int:
    level = 0
    while count > SMALLEST:
        count, level = count // RUNS, level + 1
    return level


def _of_run(db: sqlite3.Connection, run: int) -> Iterator[bytes]:
    after = b""
    while rows := db.execute(NEXT, (run, after, READ)).fetchall():
        yield from (piece for _, piece in rows)
        after = rows[-1][0]


def _entries(piece: bytes) -> list[bytes]:
    return [piece[at : at + ENTRY] for at in range(0, len(piece), ENTRY)]


def _pieces(entries: Sequence[bytes]) -> Iterator[bytes]:
    for start in range(0, len(entries), PIECE):
        yield b"".join(entries[start : start + PIECE])


Step = Callable[[sqlite3.Connection], None]
