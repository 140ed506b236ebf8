import hashlib
from datetime import UTC, datetime
from itertools import permutations

import pytest
from support.people import GAID, ZERO, email, named, phone

from gateway.choice.identity import KINDS
from gateway.consent.people import People
from gateway.keys import seals
from gateway.keys.secret_files import Secrets

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECRETS = Secrets(*((letter * 32,) for letter in (b"p", b"s", b"t", b"w", b"a", b"g")))
PEOPLE = People(SECRETS, lambda: AT, declared=("loyalty",), country="US")
NOW = int(AT.timestamp())


def test_a_person_is_known_by_a_key_and_not_by_the_spelling_of_their_address():
    spelled = [email(1), email(1).upper(), f"  {email(1)} "]
    keys = {PEOPLE.name([named("email", each)]).subjects[0].keys for each in spelled}
    assert len(keys) == 1


def test_a_raw_value_brings_the_keys_of_its_digests():
    [subject] = PEOPLE.name([named("email", email(1))]).subjects
    for algorithm, size in (("sha256", 32), ("sha1", 20), ("md5", 16)):
        hashed = hashlib.new(algorithm, email(1).encode(), usedforsecurity=False).hexdigest()
        assert len(hashed) == 2 * size
        [digest] = PEOPLE.name([named(f"email_{algorithm}", hashed)]).subjects
        assert digest.key in subject.keys
        assert len(digest.keys) == 1
    assert len(subject.keys) == 3
    assert PEOPLE.name([named("email", email(1))]).keys == subject.keys


DIGITS = "12345678-1234-1234-1234-123456789012"  # one spelling in either case
OF_NOTHING = "d41d8cd9-8f00-b204-e980-0998ecf8427e"  # MD5 of an empty text, written as an id
UUID_VALUES = [GAID, GAID.upper(), "{" + GAID.replace("-", "") + "}", f"gaid: {GAID}", ZERO, "x"]


@pytest.mark.parametrize("value", UUID_VALUES)
@pytest.mark.parametrize("kinds", [*permutations(("gaid", "idfa", "oaid", "idfv", "account"), 2)])
def test_an_id_that_a_row_names_as_two_platforms_is_whoever_either_is(value, kinds):
    both, said = [named(kind, value) for kind in kinds], {}
    assert PEOPLE.name(both, said=said) == PEOPLE.name(both)
    for each in both:
        assert PEOPLE.name([each], said=said) == PEOPLE.name([each])


@pytest.mark.parametrize("value", [*UUID_VALUES, DIGITS, OF_NOTHING, email(1), phone(1)])
def test_what_a_row_names_by_every_kind_at_once_is_what_it_names_by_each(value):
    every, said = [named(kind, value) for kind in KINDS], {}
    assert PEOPLE.name(every, said=said) == PEOPLE.name(every)
    for each in every:
        assert PEOPLE.name([each], said=said).subjects == PEOPLE.name([each]).subjects


def test_a_national_number_is_read_in_the_country_that_was_said():
    [american] = PEOPLE.name([named("phone", "(415) 555-0101")]).subjects
    assert american.value == phone(1)
    [british] = PEOPLE.name([named("phone", "020 7946 0958")], "GB").subjects
    assert british.value == "+442079460958"
    [same] = PEOPLE.name([named("phone", phone(1))], "GB").subjects
    assert same.key == american.key


def test_a_national_number_is_nobodys_where_no_country_was_said():
    nowhere = People(SECRETS, lambda: AT)
    for text in ("(415) 555-0101", "020 7946 0958"):
        assert nowhere.name([named("phone", text)]).ignored == ((0, "malformed"),)
        assert nowhere.typed("phone", text) == ([], False)
    assert nowhere.name([named("phone", phone(1))]).subjects[0].key == PEOPLE.name([named("phone", phone(1))]).keys[0]


def test_one_identifier_named_twice_is_one():
    found = PEOPLE.name([named("gaid", GAID), named("gaid", GAID.upper()), named("phone", phone(1))])
    assert [subject.kind for subject in found.subjects] == ["gaid", "phone"]


def test_one_bad_identifier_of_three_costs_the_others_nothing():
    found = PEOPLE.name([named("email", "nonsense"), named("phone", phone(1)), named("gaid", ZERO)])
    assert [subject.kind for subject in found.subjects] == ["phone"]
    assert found.ignored == ((0, "malformed"), (2, "limited"))
    assert (found.malformed, found.limited, found.undeclared) == (True, True, False)


@pytest.mark.parametrize("item", [
    None, 5, "x", [], {}, {"type": "email"}, {"value": "x"}, {"type": 5, "value": "x"}, {"type": "email", "value": []},
    {"type": "cookie", "value": "x"}, {"type": "browser", "value": None}, {"type": "browser", "value": GAID},
])  # fmt: skip
def test_what_cannot_be_read_is_told_and_never_raised(item):
    found = PEOPLE.name([item])
    assert (found.subjects, found.malformed) == ((), True)
    assert found.limited


def test_nobody_named_is_not_the_same_as_nobody_usable():
    assert not PEOPLE.name([]).limited
    assert PEOPLE.name([named("gaid", ZERO)]).limited


def test_kinds_of_the_operators_own_are_those_that_the_configuration_declares():
    assert PEOPLE.name([named("id:loyalty", "4711")]).subjects[0].kind == "id:loyalty"
    for kind in ("id:other", "nonsense"):
        found = PEOPLE.name([named(kind, "4711")])
        assert (found.subjects, found.undeclared) == ((), True)


def test_a_browser_is_named_by_its_sealed_token_or_cookie_and_never_by_its_bare_id():
    browser = seals.new_browser()
    expected = PEOPLE.browser(browser.hex()).key
    cookie = seals.seal_cookie(SECRETS.seals, seals.BrowserCookie(browser, 1, frozenset()))
    for said in (seals.seal_browser(SECRETS.seals, browser, NOW), cookie):
        [subject] = PEOPLE.name([named("browser", said)]).subjects
        assert subject.key == expected
    assert PEOPLE.name([named("browser", browser.hex())]).malformed


def test_a_browser_token_of_yesterday_or_of_another_installation_names_nobody():
    browser = seals.new_browser()
    assert PEOPLE.name([named("browser", seals.seal_browser(SECRETS.seals, browser, NOW - 1))]).malformed
    assert PEOPLE.name([named("browser", seals.seal_browser([b"x" * 32], browser, NOW))]).malformed


def test_a_signed_in_account_is_the_same_as_a_named_one():
    assert PEOPLE.account("a1").key == PEOPLE.name([named("account", "a1")]).subjects[0].key
    assert PEOPLE.account("a1").is_account
    assert not PEOPLE.browser("ab").is_account
    assert PEOPLE.account("a1").key != PEOPLE.account("A1").key


def test_the_same_text_as_another_kind_is_somebody_else():
    kinds = ("account", "imei", "serial", "udid")
    assert len({PEOPLE.name([named(kind, "4711")]).subjects[0].key for kind in kinds}) == len(kinds)


def test_a_cookie_is_told_apart_by_the_name_of_its_site():
    one, two = ({"type": "cookie", "value": "v", "source": source} for source in ("uid", "sid"))
    assert PEOPLE.name([one]).keys != PEOPLE.name([two]).keys


def test_a_kind_that_is_spelled_otherwise_is_read_for_a_no_and_for_nothing_else():
    found = PEOPLE.name(
        [named("GAID", GAID), named("Device", "forged"), named("ID: Loyalty", "7"), named("gaids", GAID)]
    )
    [gaid] = PEOPLE.name([named("gaid", GAID)]).subjects
    [card] = PEOPLE.name([named("id:loyalty", "7")]).subjects
    assert (found.subjects, found.keys, found.undeclared, found.limited) == ((), (), True, True)
    assert set(found.looser) == {*gaid.keys, *gaid.looser, *card.keys}, "they can only deny"
    no = found.for_a_no()
    assert no.subjects == (gaid, card)
    assert no.ignored == ((1, "undeclared"), (3, "undeclared"))
    assert (no.undeclared, no.limited) == (True, True), "what is answered of it opens nothing"


def test_two_declared_kinds_that_are_spelled_alike_are_both_meant_by_a_third_spelling():
    people = People(SECRETS, lambda: AT, declared=("card", "Card"))
    assert len(people.name([named("id:card", "7")]).subjects) == 1
    assert len(people.name([named("ID:CARD", "7")]).for_a_no().subjects) == 2
