"""A row of a share: what the verdict denies, what the recipient did not name and what is raw does not leave."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.people import GAID, ZERO, email, phone

from gateway.choice import rows
from gateway.terms import Answer, DataClass

QUICKLY = settings(max_examples=150, deadline=1000)
FIELDS = {
    "lat": DataClass.PRECISE_GEO,
    "lon": DataClass.PRECISE_GEO,
    "accuracy": DataClass.PRECISE_GEO,
    "ad_id": DataClass.AD_ID,
    "email": DataClass.EMAIL_HASH,
    "phone": DataClass.PHONE_HASH,
    "kw": DataClass.KEYWORDS,
}
ROW = {"lat": 45.5231, "lon": -122.6765, "accuracy": 4, "ad_id": GAID, "email": email(1), "phone": phone(1)}
ALLOWED = dict.fromkeys(DataClass, Answer.ALLOW)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_row_leaves_as_it_stands_but_for_raw_addresses_and_numbers():
    out, classes = rows.shape(ROW, FIELDS, ALLOWED)
    assert out == ROW | {"email": sha256(email(1)), "phone": sha256(phone(1))}
    assert classes == ("ad_id", "email_hash", "phone_hash", "precise_geo")


def test_a_denied_person_has_nothing_in_the_row():
    assert rows.shape(ROW, FIELDS, dict.fromkeys(DataClass, Answer.DENY)) == ({}, ())
    assert rows.shape(ROW, FIELDS, {}) == ({}, ())  # a class without an answer is denied


def test_a_field_that_the_recipients_schema_does_not_name_never_leaves():
    out, classes = rows.shape({"ad_id": GAID, "message": "see you at 8", "Ad_Id": GAID}, FIELDS, ALLOWED)
    assert (out, classes) == ({"ad_id": GAID}, ("ad_id",))


def test_a_coarsened_point_leaves_with_one_decimal_and_without_what_would_sharpen_it():
    out, classes = rows.shape(ROW, FIELDS, {DataClass.PRECISE_GEO: Answer.COARSEN})
    assert out == {"lat": 45.5, "lon": -122.7}
    assert classes == ("coarse_geo",)


def test_one_denied_class_does_not_take_the_others_with_it():
    out, _ = rows.shape(ROW, FIELDS, ALLOWED | {DataClass.PRECISE_GEO: Answer.DENY})
    assert set(out) == {"ad_id", "email", "phone"}


@pytest.mark.parametrize("answer", [Answer.ALLOW, Answer.HASH])
@pytest.mark.parametrize("spelling", [email(1), f" {email(1).upper()} ", sha256(email(1)), sha256(email(1)).upper()])
def test_an_address_leaves_as_the_hash_of_its_normal_form_and_a_hash_stays_that_hash(answer, spelling):
    out, _ = rows.shape({"email": spelling}, FIELDS, {DataClass.EMAIL_HASH: answer})
    assert out == {"email": sha256(email(1))}


@pytest.mark.parametrize("field", ["email", "phone"])
@pytest.mark.parametrize(
    "value", ["", "not one", sha256(""), sha256(ZERO), "0" * 64, 7.5, True, [email(1)], {"e": email(1)}], ids=repr
)
def test_a_value_that_has_no_hash_of_a_person_is_dropped(field, value):
    assert rows.shape({field: value}, FIELDS, ALLOWED) == ({}, ())


def test_an_empty_field_is_not_asked_for_and_does_not_leave():
    assert rows.shape({"ad_id": None}, FIELDS, ALLOWED) == ({}, ())
    assert rows.classes_of({"ad_id": None, "unnamed": 1}, FIELDS) == ()


def test_a_row_asks_for_its_classes_once_each_in_a_fixed_order():
    reversed_row = dict(reversed(ROW.items()))
    asked = ("ad_id", "email_hash", "phone_hash", "precise_geo")
    assert rows.classes_of(ROW, FIELDS) == rows.classes_of(reversed_row, FIELDS) == asked


def test_a_rows_own_coordinates_are_found_for_the_place_it_was_taken_at():
    assert rows.coordinates(ROW, FIELDS) == (45.5231, -122.6765)
    named = {"Latitude": DataClass.PRECISE_GEO, "lng": DataClass.PRECISE_GEO}
    assert rows.coordinates({"lng": 2.0, "Latitude": 1.0}, named) == (1.0, 2.0)
    assert rows.coordinates({"lat": 1.0, "lon": 2.0}, {}) == (None, None)
    assert rows.coordinates({"accuracy": 4}, FIELDS) == (None, None)


VALUES = st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=12), st.just(email(2)), st.just(GAID))
NAMES = st.sampled_from([*FIELDS, "extra", "message"])
ANSWERS = st.dictionaries(st.sampled_from(list(DataClass)), st.sampled_from(list(Answer)))


@QUICKLY
@given(st.dictionaries(NAMES, VALUES), ANSWERS)
def test_whatever_the_row_and_the_answers_nothing_denied_unnamed_or_raw_leaves(row, answers):
    out, classes = rows.shape(row, FIELDS, answers)
    for name, value in out.items():
        assert answers.get(FIELDS[name], Answer.DENY) is not Answer.DENY
        if name in {"email", "phone"}:
            assert len(value) == 64
        if name in {"lat", "lon"} and answers[DataClass.PRECISE_GEO] is Answer.COARSEN:
            assert value == round(value, 1)
    assert bool(out) == bool(classes)
    assert DataClass.PRECISE_GEO not in classes or answers[DataClass.PRECISE_GEO] is not Answer.COARSEN
