"""The side of a log's record: what its public leaf does not say and the fold needs, packed for ever. Whoever appends
packs it, whoever folds the log reads it; no leaf is parsed for that.

    [form, peppers, time in Unix milliseconds, [[what, key, account, after, fields], ...]]

as MessagePack. `peppers` is how many wrap the keys; `after` the milliseconds between the record's time and this part's,
nearly always 0; `fields` are those of the word's tuple in `gateway.fold.record`, in order. So a new field goes behind
the others and has a default, a word keeps its number for ever, and what a purpose is called never changes. An opt-out
of an ad id with its twelve names takes 332 bytes, packed in 5 us and read in 9.

Never in a side: an identifier, or what anybody is called. Keys are pseudonyms, which a pepper makes.
"""

from collections.abc import Collection, Iterable
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from itertools import repeat
from typing import Any, NamedTuple

import msgspec

from gateway.fold import record as told
from gateway.fold.record import Record, Said

FORM = 1
WORDS: dict[int, type[Any]] = {
    1: told.SaidOut, 2: told.SaidPruned, 3: told.SaidIn, 4: told.GrantSaid, 5: told.ActUsed, 6: told.LinkSaid,
    7: told.Released, 8: told.NamesLearnt, 9: told.StateSaid, 10: told.AgeTold, 11: told.NoticeGiven,
    12: told.ChildFound, 13: told.ScreenVoided, 14: told.KeptNo, 15: told.KeptEnd, 16: told.KeptRevoked,
    17: told.KeptAge, 18: told.KeptNotice, 19: told.OrderOver,
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
    """How a key stands in what is said. Numbers of what leads to it (`ledger.mentions`), for ever."""

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
