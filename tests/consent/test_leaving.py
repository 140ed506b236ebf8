"""What leaves is named as the check named it, and within one call nothing is named twice."""

import random
from datetime import UTC, datetime

import pytest
from support.people import GAID, IDFV, ZERO, email, gaid, named, phone

from gateway.choice.identity import AD_IDS
from gateway.choice.row_shape import KINDS_OF, identifiers_in
from gateway.consent import people as people_of
from gateway.consent.asked import Ask
from gateway.consent.people import People, left
from gateway.keys.secret_files import Secrets
from gateway.terms import DataClass

PEOPLE = People(Secrets(*((bytes([number]) * 32,) for number in range(6))), lambda: datetime(2026, 11, 24, tzinfo=UTC))
VALUES = (GAID, GAID.upper(), IDFV, ZERO, gaid(1), email(1), phone(1), "4155550101", "1", 1, 1.0, True, None, ["1"], {})
KINDS = ("gaid", "idfa", "idfv", "account", "email", "phone", "ad_id_sha256", "cookie", "browser", "id:other", 7)
FIELDS = {f"{data_class.value}_{number}": data_class for data_class in KINDS_OF for number in range(2)}


def identifiers(rng):
    """Some of them alike, with and without a source, and what is no identifier at all."""
    made = [
        {"type": rng.choice(KINDS), "value": rng.choice(VALUES), **rng.choice([{}, {}, {"source": "a.example"}])}
        for _ in range(8)
    ]
    return [*made, "none", *rng.sample(made, 3)]


def one_call_is_as_many(lists=300):
    for rng in map(random.Random, range(lists)):
        said = {}
        for _ in range(2):
            asked = identifiers(rng)
            assert PEOPLE.name(asked, "US", said) == PEOPLE.name(asked, "US"), asked


def test_within_a_call_whatever_was_named_before_is_named_the_same():
    one_call_is_as_many()


@pytest.mark.parametrize(
    "careless",
    [
        lambda item: ("", item["value"]) if isinstance(item, dict) and isinstance(item.get("value"), str) else None,
        lambda item: (item.get("type"), str(item.get("value"))) if isinstance(item, dict) else None,
    ],
    ids=["without the kind", "a number as text"],
)
def test_if_an_identifier_were_known_again_by_less_the_property_would_fail(monkeypatch, careless):
    monkeypatch.setattr(people_of, "_text", careless)
    with pytest.raises(AssertionError):
        one_call_is_as_many()


def test_no_key_is_made_twice_in_a_call(monkeypatch):
    """Not of an id in its normal form, which is read under all kinds at once, nor of any other."""
    made, whole = [], Secrets.keys
    monkeypatch.setattr(Secrets, "keys", lambda self, names: whole(self, [made.append(name) or name for name in names]))
    said = {}
    for _ in range(3):
        PEOPLE.name([named(kind, GAID) for kind in (*AD_IDS, "account")], "US", said)
        PEOPLE.name([named("gaid", gaid(1).upper()), named("email", email(1))], "US", said)
    assert len(made) == len(set(made))
    assert {("gaid", GAID), ("idfa", GAID), ("account", GAID), ("gaid", gaid(1))} < set(made)


def test_what_leaves_is_on_record_under_the_same_keys_whether_the_check_named_it_or_not():
    for rng in map(random.Random, range(300)):
        own = [item for item in identifiers(rng) if isinstance(item, dict)]
        out = {name: rng.choice(VALUES[:-4]) for name in rng.sample(sorted(FIELDS), 3)}
        said = {}
        keys = PEOPLE.name(own, said=said).keys
        PEOPLE.name(identifiers_in(out, FIELDS), said=said)
        kinds = [item["type"] for item in own]
        assert left(PEOPLE, out, FIELDS, kinds, keys, said) == left(PEOPLE, out, FIELDS, kinds, keys)


def test_a_field_that_names_nobody_leaves_nobody():
    assert left(PEOPLE, {"a": 41.0}, {"a": DataClass.COARSE_GEO}, [], ()) == ()


def test_each_key_of_a_row_is_looked_up_once_and_the_phone_under_every_kind_it_may_be(house):
    """The row says gaid; the data's ad id may be of any platform."""
    ask = Ask(("advertisers",), [named("gaid", GAID)], row=True, beside=[named(kind, GAID) for kind in AD_IDS])
    checked = house.consent.checks.check(ask)
    assert len(checked.keys) == len(set(checked.keys))
    wanted = house.consent.people.name([named(kind, GAID) for kind in AD_IDS])
    assert set(checked.keys) == set(wanted.keys)
    assert checked.own == house.consent.people.name([named("gaid", GAID)]).keys
