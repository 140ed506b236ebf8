"""What the fold makes of strangers, as a form with holes: what stands of somebody of whom nothing was known differs
from what stands of the last such one in keys and numbers alone. Whoever writes the state (`transactions`) fills it in,
in place of folding, reading and packing a dozen rows.

No rule is written a second time: a form is made by folding stand-ins, and taken only where other stand-ins, several
times, come out of it byte by byte as they do out of the fold.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from gateway.fold.record import NamesLearnt, Record, SaidOut
from gateway.state.packed_rows import CHANGED, KEY_BYTES, pack_number

FORMS, TRIALS = 512, 4  # kept at once; stand-ins that a form is tried with: one order of two among them passes by luck
MOST = 8  # records of one stranger: of an address with its looser forms
FIRST = 256  # the first entry with a number that cannot be taken for something else
WIDTHS = (FIRST, 2**16, 2**32)  # from which entry on a number is a longer one
Made = Callable[[Sequence[Record], Sequence[int]], Mapping[bytes, bytes]]


class Stranger(NamedTuple):
    """All that one entry says of somebody, and of nobody else. `keys`: theirs first, then their names', each once;
    `positions`: behind each record.
    """

    records: Sequence[Record]
    positions: Sequence[int]
    keys: Sequence[bytes]

    def like(self) -> tuple[Any, ...]:
        """What is the same of all who fill the same form."""
        seq, first = self.records[0].seq, self.positions[0]
        words = (
            (len(said.same), len(said.looser), said.mailbox is not None)
            if isinstance(said := each.said, NamesLearnt)
            else (each.account, *said)
            for each in self.records
        )
        return sum(seq >= each for each in WIDTHS), *(each - first for each in self.positions), *words

    def values(self) -> list[bytes]:
        """What stands in the holes."""
        return [*self.keys, pack_number(self.records[0].seq), *map(CHANGED.pack, self.positions)]

    def stand_in(self) -> "Stranger":
        """Somebody else who is like them."""
        seq, start = self.records[0].seq, int.from_bytes(os.urandom(6), "big")
        width = max(each for each in WIDTHS if each <= seq)
        other = width + int.from_bytes(os.urandom(8), "big") % (width * (width if width == FIRST else 2**15) - width)
        keys = [os.urandom(KEY_BYTES) for _ in self.keys]
        given = dict(zip(self.keys, keys, strict=True))
        records = [each._replace(seq=other, key=keys[0], said=_renamed(each.said, given)) for each in self.records]
        return Stranger(records, [start + each - self.positions[0] for each in self.positions], keys)


def stranger_of(records: Sequence[Record], positions: Sequence[int]) -> Stranger | None:
    """None: these are not what a form can be made of."""
    keys, seq = [records[0].key], records[0].seq
    for each in records:
        said = each.said
        if isinstance(said, NamesLearnt):
            keys += [*said.same, *said.looser, *((said.mailbox,) if said.mailbox else ())]
        elif not isinstance(said, SaidOut) or said.mark:
            return None
    whole = seq >= FIRST and len(records) <= MOST and len({*keys}) == len(keys)
    return Stranger(records, positions, keys) if whole else None


def _renamed(said: Any, given: Mapping[bytes, bytes]) -> Any:
    if not isinstance(said, NamesLearnt):
        return said
    names, looser = ([given[each] for each in some] for some in (said.same, said.looser))
    return NamesLearnt((*names,), (*looser,), given[said.mailbox] if said.mailbox else None)


class RowForm(NamedTuple):
    """One row: under which of a stranger's keys it lies, what it is but for its holes, and what stands in those."""

    key: int
    text: bytes
    holes: Callable[[Sequence[bytes]], tuple[bytes, ...]]


class StrangerForms:
    """Those that were made so far. `made`: what the fold makes of the records of somebody of whom nothing is known, by
    place, as it is written.
    """

    def __init__(self, made: Made) -> None:
        self._made = made
        self._forms: dict[tuple[Any, ...], list[RowForm] | None] = {}

    def rows(self, stranger: Stranger) -> list[tuple[bytes, bytes]] | None:
        """(key, what lies there) of each row; None: there is no form for it."""
        like = stranger.like()
        if like not in self._forms:
            if len(self._forms) == FORMS:
                self._forms.clear()
            self._forms[like] = self._form_of(stranger)
        form = self._forms[like]
        return None if form is None else _filled(form, stranger)

    def _form_of(self, stranger: Stranger) -> list[RowForm] | None:
        """None where it does not come out as it should."""
        one = stranger.stand_in()
        form = _with_holes(self._made(one.records, one.positions), one)
        if form is None:
            return None
        for _ in range(TRIALS):
            other = stranger.stand_in()
            if dict(_filled(form, other)) != self._made(other.records, other.positions):
                return None
        return form


def _with_holes(rows: Mapping[bytes, bytes], stranger: Stranger) -> list[RowForm] | None:
    """None where something lies elsewhere than with the stranger."""
    values, places = stranger.values(), {key: number for number, key in enumerate(stranger.keys)}
    longest_first = sorted({*values}, key=len, reverse=True)
    holes = re.compile(b"|".join(map(re.escape, longest_first)), re.DOTALL)
    form = []
    for key, packed in rows.items():
        if key not in places:
            return None
        text = b"%b".join(each.replace(b"%", b"%%") for each in holes.split(packed))
        form.append(RowForm(places[key], text, _several([values.index(each) for each in holes.findall(packed)])))
    return form


def _several(numbers: Sequence[int]) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
    """`itemgetter` that always gives several."""
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return lambda values: tuple(values[number] for number in numbers)


def _filled(form: Sequence[RowForm], stranger: Stranger) -> list[tuple[bytes, bytes]]:
    values = stranger.values()
    return [(values[row.key], row.text % row.holes(values)) for row in form]
