"""A row of a share: what the verdict denies, what the recipient did not name and what is raw or exact does not
leave."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.people import GAID, IDFV, ZERO, email, phone

from gateway.choice import identity, keywords, row_shape
from gateway.choice.keywords import Why
from gateway.choice.recipient import Holds
from gateway.terms import Answer, DataClass

QUICKLY = examples(150)
FIELDS = {
    "lat": DataClass.PRECISE_GEO,
    "lon": DataClass.PRECISE_GEO,
    "accuracy": DataClass.PRECISE_GEO,
    "ad_id": DataClass.AD_ID,
    "email": DataClass.EMAIL_HASH,
    "phone": DataClass.PHONE_HASH,
    "kw": DataClass.KEYWORDS,
    "ip": DataClass.IP,
    "region": DataClass.COARSE_GEO,
    "gender": DataClass.DEMOGRAPHICS,
}
ROW = {"lat": 45.5231, "lon": -122.6765, "accuracy": 4, "ad_id": GAID, "email": email(1), "phone": phone(1)}
ALLOWED = dict.fromkeys(DataClass, Answer.ALLOW)
WORDS = keywords.vocabulary(["travel", "used cars"], ["health"])
NOTHING = ({}, ())


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def shape(row, answers=ALLOWED, fields=FIELDS):
    """What leaves and as what, without the counts."""
    out, classes, _ = row_shape.shape(row, fields, answers, WORDS)
    return out, classes


def held_back(row, answers=ALLOWED, fields=FIELDS):
    return row_shape.shape(row, fields, answers, WORDS).dropped


def test_a_row_leaves_as_it_stands_but_for_raw_addresses_and_numbers():
    out, classes = shape(ROW)
    assert out == ROW | {"email": sha256(email(1)), "phone": sha256(phone(1))}
    assert classes == ("ad_id", "email_hash", "phone_hash", "precise_geo")


def test_a_denied_person_has_nothing_in_the_row():
    assert shape(ROW, dict.fromkeys(DataClass, Answer.DENY)) == NOTHING
    assert shape(ROW, {}) == NOTHING  # a class without an answer is denied


def test_a_field_that_the_recipients_schema_does_not_name_never_leaves():
    row = {"ad_id": GAID, "message": "see you at 8", "Ad_Id": GAID}
    assert shape(row) == ({"ad_id": GAID}, ("ad_id",))
    assert held_back(row) == {row_shape.UNMAPPED: 2}


def test_a_coarsened_point_leaves_with_one_decimal_and_without_what_would_sharpen_it():
    assert shape(ROW, {DataClass.PRECISE_GEO: Answer.COARSEN}) == ({"lat": 45.5, "lon": -122.7}, ("coarse_geo",))


def test_a_point_near_a_pole_takes_its_longitude_with_it_and_leaves_the_rest_of_the_row():
    row = ROW | {"lat": 89.2}
    out, _ = shape(row, ALLOWED | {DataClass.PRECISE_GEO: Answer.COARSEN})
    assert set(out) == {"ad_id", "email", "phone"}
    assert held_back(row, ALLOWED | {DataClass.PRECISE_GEO: Answer.COARSEN}) == {row_shape.UNREADABLE: 3}


def test_calling_a_place_coarse_does_not_make_it_so():
    fields = dict.fromkeys(
        ("lat", "lon", "geohash", "zip", "accuracy", "metro", "region", "city"), DataClass.COARSE_GEO
    )
    told = {"lat": 45.5231, "lon": -122.6765, "geohash": "c20fbm", "zip": "97201", "accuracy": 4, "metro": 820}
    out, classes = shape(told | {"region": "OR", "city": "Portland"}, fields=fields)
    assert out == {"lat": 45.5, "lon": -122.7, "region": "OR"}
    assert classes == ("coarse_geo",)
    assert shape({"geohash": "c20fbm", "region": "OR"}, fields=fields)[0] == {"geohash": "c20fb", "region": "OR"}


def test_a_place_said_twice_in_two_classes_still_leaves_in_one_way():
    fields = {"lat": DataClass.PRECISE_GEO, "lon": DataClass.PRECISE_GEO, "geohash": DataClass.COARSE_GEO}
    row = {"lat": 45.5231, "lon": -122.6765, "geohash": "c20fb"}
    answers = {DataClass.PRECISE_GEO: Answer.COARSEN, DataClass.COARSE_GEO: Answer.ALLOW}
    assert shape(row, answers, fields) == ({"lat": 45.5, "lon": -122.7}, ("coarse_geo",))
    denied = answers | {DataClass.PRECISE_GEO: Answer.DENY}
    assert shape(row, denied, fields) == ({"geohash": "c20fb"}, ("coarse_geo",))


def test_one_denied_class_does_not_take_the_others_with_it():
    out, _ = shape(ROW, ALLOWED | {DataClass.PRECISE_GEO: Answer.DENY})
    assert set(out) == {"ad_id", "email", "phone"}


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.77", "203.0.113.0"), ("2001:db8:1:2::9", "2001:db8:1::"), ("10.0.0.9:80", "10.0.0.0")],
)
def test_an_address_leaves_as_its_network(address, network):
    assert shape({"ip": address}) == ({"ip": network}, ("ip",))


@pytest.mark.parametrize("address", ["", "here", 3405803853, ["203.0.113.77"]], ids=repr)
def test_an_address_that_cannot_be_read_is_dropped(address):
    assert shape({"ip": address}) == NOTHING
    assert held_back({"ip": address}) == {row_shape.UNREADABLE: 1}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("used cars, travel,see you at 8", "travel,used cars"),
        (["travel", "my health"], ["travel"]),
        ("pat@example.com", None),
        (["see you"], None),
        ({"travel": 1}, None),
        (7, None),
    ],
    ids=repr,
)
def test_only_listed_keywords_leave(said, kept):
    expected = NOTHING if kept is None else ({"kw": kept}, ("keywords",))
    assert shape({"kw": said}) == expected


@pytest.mark.parametrize("answer", [Answer.COARSEN, Answer.HASH, Answer.DENY])
def test_keywords_leave_only_where_they_are_allowed(answer):
    assert shape({"kw": "travel"}, {DataClass.KEYWORDS: answer}) == NOTHING


def test_how_much_was_held_back_and_why_is_told_for_counting():
    row = {
        "ad_id": "nobody's",
        "lat": 45.5,
        "ip": "203.0.113.77",
        "email": "?",
        "message": "hi",
        "note": None,
        "gender": None,
        "kw": "travel, my health, flat 4, hello, bye",
    }
    assert held_back(row, ALLOWED | {DataClass.PRECISE_GEO: Answer.DENY}) == {
        row_shape.UNMAPPED: 1,
        row_shape.DENIED: 1,
        row_shape.UNREADABLE: 2,
        Why.SENSITIVE: 1,
        Why.DIGITS: 1,
        Why.UNLISTED: 2,
    }
    assert held_back({"ad_id": GAID}) == {}


@pytest.mark.parametrize("answer", [Answer.ALLOW, Answer.HASH])
@pytest.mark.parametrize("spelling", [email(1), f" {email(1).upper()} ", sha256(email(1)), sha256(email(1)).upper()])
def test_an_address_leaves_as_the_hash_of_its_normal_form_and_a_hash_stays_that_hash(answer, spelling):
    out, _ = shape({"email": spelling}, {DataClass.EMAIL_HASH: answer})
    assert out == {"email": sha256(email(1))}


@pytest.mark.parametrize("field", ["email", "phone"])
@pytest.mark.parametrize(
    "value", ["", "not one", sha256(""), sha256(ZERO), "0" * 64, 7.5, True, [email(1)], {"e": email(1)}], ids=repr
)
def test_a_value_that_has_no_hash_of_a_person_is_dropped(field, value):
    assert shape({field: value}) == NOTHING
    assert held_back({field: value}) == {row_shape.UNREADABLE: 1}


@pytest.mark.parametrize(
    ("field", "data_class"),
    [("ad_id", DataClass.AD_ID), ("device", DataClass.DEVICE_ID), ("account", DataClass.ACCOUNT)],
)
def test_an_id_that_could_not_be_checked_does_not_leave(field, data_class):
    for value in ("", "\x00", [GAID], None, 2.5):
        assert shape({field: value}, fields={field: data_class}) == NOTHING
    assert shape({field: GAID}, fields={field: data_class}) == ({field: GAID}, (data_class,))


@pytest.mark.parametrize("value", ["f", 34, 0.5, False], ids=repr)
def test_other_values_leave_as_they_stand(value):
    assert shape({"gender": value}) == ({"gender": value}, ("demographics",))


@pytest.mark.parametrize("value", [["f"], {"gender": "f"}, b"f", ("f",)], ids=repr)
def test_a_list_or_an_object_could_hold_anything_and_does_not_leave(value):
    assert shape({"gender": value}) == NOTHING


@pytest.mark.parametrize(("raw", "hashed"), [(email(1), sha256(email(1))), (phone(1), sha256(phone(1)))])
def test_contact_data_that_may_go_hashed_goes_as_the_hash_of_its_own_kind(raw, hashed):
    fields = {"contact": DataClass.CONTACT}
    assert shape({"contact": raw}, {DataClass.CONTACT: Answer.HASH}, fields) == ({"contact": hashed}, ("contact",))
    assert shape({"contact": "?"}, {DataClass.CONTACT: Answer.HASH}, fields) == NOTHING
    assert shape({"contact": raw}, fields=fields) == ({"contact": raw}, ("contact",))


def test_an_empty_field_is_not_asked_for_and_does_not_leave():
    assert shape({"ad_id": None}) == NOTHING
    assert row_shape.classes_of({"ad_id": None, "unnamed": 1}, FIELDS) == ()


def test_a_row_asks_for_its_classes_once_each_in_a_fixed_order():
    reversed_row = dict(reversed(ROW.items()))
    asked = ("ad_id", "email_hash", "phone_hash", "precise_geo")
    assert row_shape.classes_of(ROW, FIELDS) == row_shape.classes_of(reversed_row, FIELDS) == asked


def test_every_place_that_a_row_names_is_found_for_the_law_and_for_what_is_sensitive():
    assert row_shape.spots(ROW, FIELDS) == ({"lat": 45.5231, "lon": -122.6765, "accuracy": 4},)
    named = dict.fromkeys(("Latitude", "lng", "home.lat", "geohash", "zip", "acc.accuracy"), DataClass.PRECISE_GEO)
    assert row_shape.spots({"lng": 2.0, "Latitude": 1.0}, named) == ({"lat": 1.0, "lon": 2.0},)
    assert row_shape.spots({"lng": 2.0, "Latitude": 1.0, "home.lat": 3.0}, named) == (
        {"lat": 1.0, "lon": 2.0},
        {"lat": 3.0, "lon": 2.0},
    )
    assert row_shape.spots({"geohash": "9q8yy", "zip": "94103"}, named) == ({"geohash": "9q8yy"}, {"zip": "94103"})
    assert row_shape.spots({"Latitude": 1.0}, named) == ({"lat": 1.0, "lon": None},)
    called_coarse = {"lat": DataClass.COARSE_GEO, "lon": DataClass.COARSE_GEO}
    assert row_shape.spots({"lat": 1.0, "lon": 2.0}, called_coarse) == ({"lat": 1.0, "lon": 2.0},)
    assert row_shape.spots({"lat": 1.0, "lon": 2.0}, {}) == ()
    assert row_shape.spots({"accuracy": 4}, FIELDS) == ()


def test_a_row_of_more_places_than_are_looked_at_has_one_that_cannot_be_read():
    named = {f"p{number}.{kind}": DataClass.PRECISE_GEO for number in range(9) for kind in ("lat", "lon")}
    spots = row_shape.spots(dict.fromkeys(named, 1.0), named)
    assert len(spots) == row_shape.SPOTS + 1
    assert spots[-1]["lon"] == row_shape.UNREADABLE


@pytest.mark.parametrize("value", ["14.155.50.100", email(1), GAID, 4155550100])
def test_the_hash_of_what_is_no_contact_data_does_not_leave_either(value):
    assert shape({"ip": value}, {DataClass.IP: Answer.HASH}) == NOTHING
    assert shape({"ad_id": value}, {DataClass.AD_ID: Answer.HASH}) == NOTHING


VALUES = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=12), st.just(email(2)), st.just(GAID),
    st.lists(st.sampled_from(["travel", "health", "hi"]), max_size=3), st.ip_addresses().map(str), st.floats(-90, 90),
)  # fmt: skip
NAMES = st.sampled_from([*FIELDS, "extra", "message"])
ANSWERS = st.dictionaries(st.sampled_from(list(DataClass)), st.sampled_from(list(Answer)))


@QUICKLY
@given(st.dictionaries(NAMES, VALUES), ANSWERS)
def test_whatever_the_row_and_the_answers_nothing_denied_unnamed_raw_or_exact_leaves(row, answers):
    out, classes = shape(row, answers)
    for name, value in out.items():
        assert answers.get(FIELDS[name], Answer.DENY) is not Answer.DENY
        if name in {"email", "phone"}:
            assert len(value) == 64
        if name in {"lat", "lon"} and answers[DataClass.PRECISE_GEO] is Answer.COARSEN:
            assert value == round(value, 1)
        if name == "kw":
            assert set(value.split(",") if isinstance(value, str) else value) <= WORDS.listed
        if name == "ip":
            assert value.endswith((".0", "::"))
    assert bool(out) == bool(classes)
    assert DataClass.PRECISE_GEO not in classes or answers[DataClass.PRECISE_GEO] is not Answer.COARSEN


@QUICKLY
@given(st.dictionaries(NAMES, VALUES), ANSWERS)
def test_every_value_of_a_row_leaves_or_is_counted(row, answers):
    row = {name: value for name, value in row.items() if name != "kw" and value is not None}
    out, _, dropped = row_shape.shape(row, FIELDS, answers, WORDS)
    assert len(row) == len(out) + sum(dropped.values())


# --- what a field is said to hold ---------------------------------------------------------------------------------

DEVICE = {"device_id": DataClass.DEVICE_ID}


def shape_held(row, fields, held):
    return row_shape.shape(row, fields, ALLOWED, WORDS, held).out


@pytest.mark.parametrize(
    ("kind", "own", "others"),
    [
        ("idfv", [IDFV, IDFV.upper()], ["R58N12ABCDE", "490154203237518", email(1), sha256(GAID)]),
        ("imei", ["490154203237518"], [email(1), "40.7128,-74.0060"]),
        ("serial", ["R58N12ABCDE"], [email(1), phone(1), "203.0.113.7", "https://example.com/a", "Jane Roe"]),
        ("udid", ["00008030-001a2b3c4d5e6f70"], [email(1), phone(1)]),
        ("id:appsflyer", ["1600000000000-1234567", GAID, 17], [email(1), phone(1), "40.7128,-74.0060"]),
    ],
)
def test_a_value_leaves_only_as_the_kind_that_its_field_holds(kind, own, others):
    held = {"device_id": Holds((kind,))}
    for value in own:
        assert shape_held({"device_id": value}, DEVICE, held) == {"device_id": value}
    for value in others:
        assert shape_held({"device_id": value}, DEVICE, held) == {}


def test_a_rows_ids_are_looked_up_as_their_fields_kind_and_as_what_they_could_be():
    held = {"device_id": Holds(("id:appsflyer",))}
    found = row_shape.identifiers_in({"device_id": GAID, "kw": GAID}, DEVICE | {"kw": DataClass.KEYWORDS}, held)
    hyphenated = {kind for kind, size in identity.DIGESTS.items() if size == 16}
    assert {each["type"] for each in found} == {"id:appsflyer", *identity.UUIDS, *hyphenated, "account"}
    plain = row_shape.identifiers_in({"device_id": "a-word"}, DEVICE, held)
    kinds = ("id:appsflyer", "imei", "serial", "udid", "account")  # a serial number is a word like any other
    assert plain == [{"type": kind, "value": "a-word"} for kind in kinds]


def test_many_ids_of_one_row_are_as_many_times_the_work_of_one():
    fields = {f"device_{number}": DataClass.DEVICE_ID for number in range(500)}
    row = {name: f"38400000-8cf0-11bd-b23e-{number:012x}" for number, name in enumerate(fields)}
    one = len(row_shape.identifiers_in({"device_0": row["device_0"]}, fields))
    assert len(row_shape.identifiers_in(row, fields)) == 500 * one
    assert one < 20


def test_a_text_that_the_operator_lists_leaves_as_it_is_listed():
    fields, held = {"city": DataClass.COARSE_GEO}, {"city": Holds((), {"portland": "Portland"})}
    assert shape_held({"city": " PORTLAND "}, fields, held) == {"city": "Portland"}
    for other in ("Salem", "Portland, 7 Main St", email(1), ["Portland"]):
        assert shape_held({"city": other}, fields, held) == {}


POINT = dict.fromkeys(("lat", "lon", "altitude", "geohash", "h3", "zip", "note"), DataClass.PRECISE_GEO)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lat", email(1)), ("lat", 4155550101), ("lon", 181), ("altitude", 4155550101), ("geohash", "jane roe"), ("h3", "x" * 15),
     ("zip", "Main St"), ("zip", email(1)), ("note", "at home"), ("note", GAID)],
)  # fmt: skip
def test_of_a_precise_point_that_may_go_nothing_goes_that_is_no_part_of_one(name, value):
    good = {
        "lat": 45.5,
        "lon": "-122.67",
        "altitude": 12.5,
        "geohash": "c20fbm",
        "h3": "8928308280fffff",
        "zip": "97201-1234",
    }
    assert shape(good, fields=POINT)[0] == good
    assert shape(good | {name: value}, fields=POINT)[0] == {each: good[each] for each in good if each != name}


OF_NO_ID = [DataClass.AGGREGATE, DataClass.DEIDENTIFIED, DataClass.CPNI]
HONEST = (
    0, 12, -7, 999_999_999, 0.5, 1234.25, True, "1234567", "Monday", "US-CA", "2026-11", "2026-11-24",
    "2026-11-24T10:15:00Z", "2026-11-24 10:15", "2026-11-24T10:15:00.123456+00:00", "prepaid 10 GB", "under_30",
)  # fmt: skip
PERSONS = (
    email(1), phone(1), GAID, sha256("x"), "40.7128,-74.0060", "203.0.113.7", ["x"],
    int(phone(1)[1:]), float(phone(1)[1:]), -int(phone(1)[1:]), phone(1)[2:], int(phone(1)[2:]), "490154203237518", float("inf"),
    float("nan"), f"{email(1)} {GAID}", f"call {phone(1)} now", f"{phone(1)[1:]}.0", "1,415,555,0101", "+1_415_555_0101",
    base64.b64encode(f"call {phone(1)} now".encode()).decode(), "x" * 400, f"{'x ' * 200}{email(1)}",
)  # fmt: skip


@pytest.mark.parametrize("data_class", OF_NO_ID)
def test_what_is_said_to_be_of_many_or_of_nobody_has_no_persons_form(data_class):
    fields = {"x": data_class}
    for value in HONEST:
        assert shape({"x": value}, fields=fields)[0] == {"x": value}
    for value in PERSONS:
        assert shape({"x": value}, fields=fields)[0] == {}


@pytest.mark.parametrize("data_class", OF_NO_ID)
@pytest.mark.parametrize("own", ["cust-88231", "R58N12ABCDE", "12345678", "jane_roe"])
def test_what_names_nobody_never_holds_an_id_by_which_the_row_says_whom_it_is_about(data_class, own):
    fields = {"x": data_class}
    hidden = base64.b64encode(f"of {own}".encode()).decode()
    for value in (own, own.upper(), f"n:{own}", hidden, *([int(own), float(own)] if own.isdigit() else [])):
        assert row_shape.shape({"x": value}, fields, ALLOWED, WORDS, own=[own, phone(1)]).out == {}
    for value in HONEST:
        assert row_shape.shape({"x": value}, fields, ALLOWED, WORDS, own=[own, phone(1)]).out == {"x": value}


@pytest.mark.parametrize("data_class", OF_NO_ID)
def test_what_stands_in_a_field_of_no_ids_is_looked_up_as_whatever_it_could_be(data_class):
    def kinds(value):
        return {each["type"] for each in row_shape.identifiers_in({"x": value}, {"x": data_class})}

    assert {*identity.UUIDS, "account"} <= kinds(GAID)
    assert "phone" in kinds(phone(1)) & kinds(int(phone(1)[1:])) & kinds(f"{phone(1)[1:]}.0")
    assert {"imei", "account"} <= kinds("490154203237518") & kinds(490154203237518)
    assert {"serial", "account"} <= kinds("R58N12ABCDE")
    assert "email" in kinds(email(1))
    assert kinds(12) == kinds(0.5) == kinds("Mon") == set()


def test_whom_calls_were_with_leaves_where_the_map_says_that_the_field_holds_a_number():
    fields, held = {"called": DataClass.CPNI}, {"called": Holds(("phone",))}
    assert shape_held({"called": phone(1)}, fields, held) == {"called": phone(1)}
    assert {"type": "phone", "value": phone(1)} in row_shape.identifiers_in({"called": phone(1)}, fields, held)
    assert shape_held({"called": email(1)}, fields, held) == {}
