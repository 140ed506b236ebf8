"""What the fold makes of strangers, as a form with holes: what stands of somebody of whom nothing was known, or of an
account and an identifier that it has from then on, differs from what stands of the last such one in keys and numbers
alone. Whoever writes the state (`transactions`) fills it in, in place of folding, reading and packing a dozen rows.

No rule is written a second time: a form is made by folding stand-ins, and taken only where other stand-ins, several
times, come out of it byte by byte as they do out of the fold.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from gateway.fold.record import LinkSaid, NamesLearnt, Record, SaidOut
from gateway.state.packed_rows import CHANGED, KEY_BYTES, pack_number

FORMS, TRIALS = 2048, 4  # kept at once; stand-ins that a form is tried with: one order of two among them passes by luck
MOST = 8  # records of one stranger: of an address with its looser forms
FIRST = 256  # the first entry with a number that cannot be taken for something else
STARTS = range(2**40, 2**41)  # milliseconds of 2004 to 2039: when a link began, a number that is as long as any of them
WIDTHS = (FIRST, 2**16, 2**32)  # from which entry on a number is a longer one
PlacedBytes = tuple[bytes, bytes]  # a place, and what lies there
Made = Callable[[Sequence[Record], Sequence[int]], Mapping[bytes, bytes]]


class Stranger(NamedTuple):
    """All that one entry says of somebody, and of nobody else but the account that has them. `keys`: theirs first, then
    their names' and the account's, each once; `positions`: behind each record.
    """

    records: Sequence[Record]
    positions: Sequence[int]
    keys: Sequence[bytes]

    def like(self) -> tuple[Any, ...]:
        """What is the same of all who fill the same form."""
        seq, first = self.records[0].seq, self.positions[0]
        words = [_word(each) for each in self.records]
        return sum(seq >= each for each in WIDTHS), *[each - first for each in self.positions], *words

    def values(self) -> list[bytes]:
        """What stands in the holes."""
        starts = [pack_number(said.start) for each in self.records if isinstance(said := each.said, LinkSaid)]
        return [*self.keys, pack_number(self.records[0].seq), *map(CHANGED.pack, self.positions), *starts]

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
        elif isinstance(said, LinkSaid):
            if said.until is not None or said.start not in STARTS:
                return None
            keys.append(said.account)
        elif not isinstance(said, SaidOut) or said.mark:
            return None
    whole = seq >= FIRST and len(records) <= MOST and len({*keys}) == len(keys)
    return Stranger(records, positions, keys) if whole else None


def _word(record: Record) -> tuple[Any, ...]:
    said = record.said
    if isinstance(said, NamesLearnt):
        return len(said.same), len(said.looser), said.mailbox is not None
    return (LinkSaid, record.account, said.claimed) if isinstance(said, LinkSaid) else (record.account, *said)


def _renamed(said: Any, given: Mapping[bytes, bytes]) -> Any:
    if isinstance(said, LinkSaid):
        start = STARTS.start + int.from_bytes(os.urandom(8), "big") % len(STARTS)
        return said._replace(account=given[said.account], start=start)
    if not isinstance(said, NamesLearnt):
        return said
    names, looser = ([given[each] for each in some] for some in (said.same, said.looser))
    return NamesLearnt((*names,), (*looser,), given[said.mailbox] if said.mailbox else None)


class RowForm(NamedTuple):
    """What lies in some places, as all names of an identifier have the same: under which of a stranger's keys each of
    these is, an edge under two; what lies there but for its holes; and what stands in those.
    """

    places: Sequence[Sequence[int]]
    text: bytes
    holes: Callable[[Sequence[bytes]], tuple[bytes, ...]]


NOT_TRIED: list[RowForm] = []


class StrangerForms:
    """Those that were made so far. `made`: what the fold makes of the records of somebody of whom nothing is known, by
    place, as it is written.
    """

    def __init__(self, made: Made) -> None:
        self._made = made
        self._forms: dict[tuple[Any, ...], list[RowForm] | None] = {}

    def rows(self, stranger: Stranger) -> list[PlacedBytes] | None:
        """(key, what lies there) of each row and edge; None: there is no form for it."""
        like, forms = stranger.like(), self._forms
        form = forms.get(like, NOT_TRIED)
        if form is NOT_TRIED:
            form = self._form_of(stranger)
            if len(forms) >= FORMS:
                forms.clear()  # a state that is made beside ours may just look for its own
            forms[like] = form
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
    form, alike = list[RowForm](), defaultdict[bytes, list[list[int]]](list)
    for place, packed in rows.items():
        keys = [place[at : at + KEY_BYTES] for at in range(0, len(place), KEY_BYTES)]
        if not places.keys() >= {*keys}:
            return None
        alike[packed].append([places[each] for each in keys])
    for packed, lie in alike.items():
        text = b"%b".join(each.replace(b"%", b"%%") for each in holes.split(packed))
        form.append(RowForm(lie, text, _several([values.index(each) for each in holes.findall(packed)])))
    return form


def _several(numbers: Sequence[int]) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
    """`itemgetter` that always gives several."""
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return lambda values: tuple(values[number] for number in numbers)


def _filled(form: Sequence[RowForm], stranger: Stranger) -> list[PlacedBytes]:
    values = stranger.values()
    found = list[PlacedBytes]()
    for row in form:
        packed = row.text % row.holes(values)
        found += [(b"".join([values[key] for key in place]), packed) for place in row.places]
    return found
