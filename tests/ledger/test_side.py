"""The sides of records: what the fold reads of an entry comes back as it was said, in a form that never changes. The
oracle (tests/ledger/test_oracle.py) folds nothing but what comes back out of a side.
"""

from typing import get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fold.record import (
    ActUsed,
    AgeTold,
    ChildFound,
    GrantName,
    GrantSaid,
    KeptAge,
    KeptEnd,
    KeptNo,
    KeptNotice,
    KeptRevoked,
    KeyAge,
    LinkSaid,
    NamesLearnt,
    NoticeBounced,
    NoticeGiven,
    OrderOver,
    Record,
    Released,
    Said,
    SaidIn,
    SaidOut,
    SaidPruned,
    ScreenVoided,
    StateSaid,
)
from gateway.ledger.acts.office_acts import with_keys
from gateway.ledger.side import (
    WORDS,
    Mention,
    SideUnreadable,
    mentioned,
    pack_side,
    read_side,
    records_within,
)
from gateway.terms import DataClass, GrantKind, NoticeKind, Purpose

AT = 1_774_000_000_123


def records_of_side(seq, packed):
    return records_within(seq, read_side(packed))


KEY, OTHER = b"k" * 16, b"o" * 16
SALE, PRIVACY = Purpose.SALE, NoticeKind.PRIVACY
GRANT = GrantName("bank", Purpose.SHARING, DataClass.PRECISE_GEO, GrantKind.OPTED_IN)
DIRECTED = GrantSaid("bank", (Purpose.SHARING,), DataClass.PRECISE_GEO, GrantKind.DIRECTED, "ui-3", AT + 1)
K, O = f"c410{KEY.hex()}", f"c410{OTHER.hex()}"  # noqa: E741
# One of each word and its bytes behind those of its key, as they lie in logs: a line that was ever released never changes.
FOR_EVER = [
    (SaidOut((SALE, Purpose.SENSITIVE), "api", "app", dated=False, signal=True),
     "9592a473616c65a973656e736974697665a3617069a3617070c2c3"),
    (SaidPruned("app"), "91a3617070"),
    (OrderOver((SALE,)), "9191a473616c65"),
    (SaidIn((SALE,), "ui-3", informed=True, parental=True), "9491a473616c65a475692d33c3c3"),
    (DIRECTED, "96a462616e6b91a773686172696e67ab707265636973655f67656fa86469726563746564a475692d33cf0000019d0aa3cc7c"),
    (ActUsed("bank"), "91a462616e6b"),
    (LinkSaid(OTHER, AT - 5, AT + 5, claimed=True), f"94{O}cf0000019d0aa3cc76cf0000019d0aa3cc80c3"),
    (Released(), "90"),
    (NamesLearnt((OTHER,), (OTHER, KEY), OTHER), f"9391{O}92{O}{K}{O}"),
    (StateSaid(True, (SALE,), "device", "app"), "94c391a473616c65a6646576696365a3617070"),
    (AgeTold("13_15", True, "app"), "93a531335f3135c3a3617070"),
    (NoticeGiven(PRIVACY, 739_000), "92a770726976616379ce000b46b8"),
    (ChildFound(), "90"),
    (ScreenVoided("ui-3"), "91a475692d33"),
    (KeptNo(SALE, KEY, OTHER), f"93a473616c65{K}{O}"),
    (KeptEnd(SALE, no=True, screen="ui-3"), "93a473616c65c3a475692d33"),
    (KeptRevoked(GRANT), "9194a462616e6ba773686172696e67ab707265636973655f67656fa86f707465645f696e"),
    (KeptAge(KeyAge("13_15", "under_13", fixed=True)), "9193a531335f3135a8756e6465725f3133c3"),
    (KeptNotice(PRIVACY, 739_000), "92a770726976616379ce000b46b8"),
    (NoticeBounced(PRIVACY, 739_000), "92a770726976616379ce000b46b8"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "fields"), FOR_EVER, ids=lambda each: type(each).__name__)
def test_a_word_lies_in_a_log_for_ever_as_it_was_first_packed(said, fields):
    number = next(number for number, word in WORDS.items() if word is type(said))
    packed = bytes.fromhex(f"940102cf0000019d0aa3cc7b9195{number:02x}{K}c300{fields}")
    assert pack_side([Record(7, AT, KEY, said, account=True)], AT, 2) == packed
    assert records_of_side(7, packed) == [Record(7, AT, KEY, said, account=True)]
    assert type(records_of_side(7, packed)[0].said) is type(said)


def test_every_word_of_the_fold_has_a_number_and_an_example():
    assert {*WORDS.values()} == {*get_args(Said)} == {type(said) for said, _ in FOR_EVER}


def any_of(word):
    times = st.integers(-(2**53), 2**53)
    known = {int: times, int | None: st.none() | times}
    hints = get_type_hints(word)
    return st.builds(
        word, **{name: known[hint] if hint in known else st.from_type(hint) for name, hint in hints.items()}
    )


RECORDS = st.builds(
    Record,
    st.just(3),
    st.integers(0, 2**45),
    st.binary(max_size=16),
    st.one_of(map(any_of, WORDS.values())),
    st.booleans(),
)


@given(st.lists(RECORDS, max_size=5), st.integers(0, 2**45), st.integers(0, 9))
def test_whatever_is_said_comes_back_in_its_order(records, at, peppers):
    packed = pack_side(records, at, peppers)
    assert records_of_side(3, packed) == records
    assert (read_side(packed).at, read_side(packed).peppers) == (at, peppers)


@given(
    st.binary(max_size=60)
    | st.builds(msgspec.msgpack.encode, st.lists(st.integers(0, 2**40) | st.binary() | st.just([])))
)
def test_what_is_no_side_is_refused_and_never_folded(packed):
    with pytest.raises(SideUnreadable):
        records_of_side(0, packed)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda packed: packed[:-1], id="cut"),
        pytest.param(lambda packed: packed + b"\x00", id="grown"),
        pytest.param(lambda packed: packed.replace(b"\x94\x01", b"\x94\x02", 1), id="a later form"),
        pytest.param(lambda packed: packed.replace(b"\x95\x01", b"\x95\x63", 1), id="a later word"),
        pytest.param(lambda packed: packed.replace(b"sale", b"sail"), id="a later purpose"),
    ],
)
def test_a_side_that_was_cut_grown_or_is_of_a_later_program_is_refused(change):
    packed = pack_side([Record(0, AT, KEY, SaidOut((SALE,), "api"))], AT, 1)
    assert change(packed) != packed
    with pytest.raises(SideUnreadable):
        records_of_side(0, change(packed))


def test_the_side_of_a_word_without_its_later_fields_is_read_with_what_they_stand_for():
    """So a field may come, behind the others."""
    packed = msgspec.msgpack.encode((1, 1, AT, [(1, KEY, False, 0, (("sale",), "api"))]))
    assert records_of_side(0, packed) == [Record(0, AT, KEY, SaidOut((SALE,), "api"))]


def keys_in(value):
    """All that is a key, wherever it stands in a record."""
    if isinstance(value, bytes):
        return {value}
    return {key for each in value for key in keys_in(each)} if isinstance(value, tuple) else set()


@pytest.mark.parametrize("said", [said for said, _ in FOR_EVER], ids=lambda said: type(said).__name__)
def test_every_key_in_a_record_leads_to_it_and_becomes_another_with_a_new_pepper(said):
    record = Record(7, AT, b"w" * 16, said)
    ways = {key: way for key, way in mentioned(record) if way is not Mention.MARK}
    assert ways.keys() == keys_in(record)
    assert ways[record.key] is Mention.OF
    fresh = with_keys(record, lambda key: key[::-1] + b"2")
    assert keys_in(fresh) == {key[::-1] + b"2" for key in keys_in(record)}
    assert with_keys(fresh, lambda key: key[:-1][::-1]) == record
