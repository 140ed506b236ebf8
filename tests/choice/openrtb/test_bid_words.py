"""What a bid request tells of its person beside ids counts wherever it stands: as a data class, a place, an age."""

import time

import pytest

from gateway.choice.openrtb import bid_words, members, reading, signs
from gateway.terms import DataClass

YEAR = 2026
PORTLAND = (45.523064, -122.676483)
NORTH, EAST = PORTLAND
POINT, COARSE, PERSON, CONTACT = (
    DataClass.PRECISE_GEO,
    DataClass.COARSE_GEO,
    DataClass.DEMOGRAPHICS,
    DataClass.CONTACT,
)


def slot(**extension) -> dict:
    return {"imp": [{"id": "1", "ext": extension}]}


def with_parameters(bag: object) -> dict:
    return slot(prebid={"bidder": {"pubmatic": bag}})


ANYWHERE = {
    "a bidder's parameters": with_parameters,
    "an object in them": lambda bag: with_parameters({"user": {"more": [bag]}}),
    "first-party data of a slot": lambda bag: slot(data=bag),
    "Prebid's bag": lambda bag: slot(prebid={"passthrough": bag}),
    "a user's data": lambda bag: {"user": {"ext": {"data": bag}}},
    "a device's extension": lambda bag: {"device": {"ext": bag}},
    "a page's data": lambda bag: {"site": {"ext": {"data": bag}}},
    "a place's extension": lambda bag: {"device": {"geo": {"ext": bag}}},
}


def read(request: dict) -> reading.BidSaid:
    return reading.said_in_bid({"id": "1", **request})


def told(request: dict) -> frozenset[DataClass]:
    return read(request).words.classes


def points(request: dict) -> set[tuple[object, object]]:
    return {(each.get("lat"), each.get("lon")) for each in read(request).geo}


def youngest(request: dict) -> str | None:
    return read(request).words.youngest(YEAR)


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize(
    ("north", "east"),
    [
        ("lat", "lon"),
        ("latitude", "longitude"),
        ("user_lat", "user_lng"),
        ("deviceLat", "deviceLong"),
        ("lat", "long"),
        ("LAT", "LONG"),
    ],
)
def test_a_point_counts_under_any_of_its_names(where, north, east):
    request = ANYWHERE[where]({north: NORTH, east: str(EAST)})
    assert told(request) == {POINT}
    assert PORTLAND in points(request)


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize(
    "bag",
    [
        {"latlong": "45.52,-122.67"}, {"lat_long": [45.5, -122.6]}, {"geohash": "c20fbr3n"}, {"zip": "97205"},
        {"postal_code": "97205"}, {"lat": NORTH}, {"lon": "somewhere"}, {"coordinates": [EAST, NORTH]}, {"h3_index": "8a2a1072b59ffff"},
        {"segment": [{"name": "lat", "value": "45.5"}]}, {"h3": 622236750694711295}, {"userlat": "45.5"}, {"homezip": "97205"},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_a_places_by_its_name_is_precise_whether_or_not_it_can_be_read(where, bag):
    assert told(ANYWHERE[where](bag)) == {POINT}


def test_of_a_pair_and_a_geohash_the_place_is_known():
    assert points(with_parameters({"latlng": "45.5, -122.6"})) == {(45.5, -122.6)}
    assert points(with_parameters({"coordinates": [-122.6, 45.5]})) == {(45.5, -122.6)}
    assert read(with_parameters({"geohash": "c20fbr"})).geo == ({"geohash": "c20fbr"},)


PLANTED = {
    "a page": lambda text: {"site": {"page": f"https://w.example/at/{text}/today"}},
    "a query": lambda text: {"app": {"content": {"url": f"https://w.example/?q={text}&z=15"}}},
    "a tag": lambda text: {"imp": [{"id": "1", "tagid": f"geo:{text}"}]},
    "a parameter": lambda text: with_parameters({"p": text}),
    "a name": lambda text: with_parameters({text: 1}),
    "a slot's id": lambda text: {"imp": [{"id": text}]},
}


@pytest.mark.parametrize("where", [each for each in PLANTED if each != "a slot's id"])
@pytest.mark.parametrize(
    "text",
    [
        "45.523064,-122.676483", "45.523064:-122.676483", "45.523064-122.676483", "lat=45.523064&zoom=15&lon=-122.676483",
        "45.523064%2C-122.676483", "45%2E523064%20-122%2E676483", "-122.676483;45.523064", "45.523/-122.676",
    ],
)  # fmt: skip
def test_a_pair_of_exact_degrees_counts_in_any_text(where, text):
    request = PLANTED[where](text)
    assert told(request) == {POINT}
    assert {round(abs(each[0]), 1) for each in points(request)} == {45.5}


@pytest.mark.parametrize(
    "text",
    [
        "45.52,-122.67", "Chrome/120.0.6099.144 Safari/537.365", "0.8534|0.9121", "203.0.113.77", "45.523064", "1.2345.6789",
        "95.1234,200.1234", "1701234567.8901,5.2", "2026-12-01T00:00:00.000Z", "45.523064" + "x" * 40 + "-122.676483",
    ],
)  # fmt: skip
def test_versions_prices_and_single_numbers_are_no_point(text):
    assert not told(PLANTED["a tag"](text))


def test_two_texts_make_no_pair():
    assert not told({"imp": [{"id": "1", "tagid": "45.523064"}, {"id": "2", "tagid": "-122.676483"}]})


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize(
    "bag", [{"yob": 1985}, {"gender": "F"}, {"age": 34}, {"dateOfBirth": "1985-01-30"}, {"sex": 1}, {"age_25_34": 1}]
)
def test_an_age_and_a_gender_are_demographic_anywhere(where, bag):
    assert told(ANYWHERE[where](bag)) == {PERSON}
    assert youngest(ANYWHERE[where](bag)) in {None, "adult"}


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize(
    ("bag", "band"),
    [
        ({"yob": 2014}, "under_13"), ({"age": 12}, "under_13"), ({"ageRange": "13-15"}, "13_15"), ({"age": ["34", "14"]}, "13_15"),
        ({"birthyear": "2011"}, "13_15"), ({"is_minor": 1}, "under_13"), ({"coppa": True}, "under_13"),
        ({"name": "age_range", "value": "13-15"}, "13_15"), ({"key": "age", "value": ["12"]}, "under_13"),
        ({"segment": [{"id": "13-15", "name": "age_range"}]}, "13_15"), ({"segment": [{"name": "Age Range", "value": "13-15"}]}, "13_15"),
    ],
    ids=repr,
)  # fmt: skip
def test_an_age_counts_wherever_it_is_said(where, bag, band):
    assert youngest(ANYWHERE[where](bag)) == band


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize(
    "bag",
    [
        {"yob": 0}, {"yob": ""}, {"age": None}, {"age": []}, {"is_minor": 0}, {"coppa": 0}, {"under_13": "0"}, {"lat": ""},
        {"lon": None}, {"geohash": {}}, {"lat": 0}, {"lat": True}, {"language": "en"}, {"page": 3}, {"long": "tail"}, {"long_form": 1}, {"coordinates": {"x": 1, "y": 2}},
        {"name": "lat", "value": ""}, {"name": "Minor league baseball", "value": "7"}, {"segment": "lat"}, {"value": 12},
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_empty_or_says_nothing_does_not_count(where, bag):
    request = ANYWHERE[where](bag)
    assert not told(request)
    assert youngest(request) is None


def test_segments_of_a_user_are_fields_whose_text_may_be_ages():
    def of(segment):
        return {"user": {"data": [{"id": "d", "name": "x", "segment": [segment]}]}}

    assert youngest(of({"id": "13-15", "name": "age_range", "value": "13-15"})) == "13_15"
    assert youngest(of({"id": "7", "name": "Demographic | Age Range | 13-15"})) == "13_15"
    assert youngest(of({"id": "7", "name": "age", "value": "a teen"})) == "under_13"  # what cannot be read is a child's
    assert youngest(of({"id": "12", "name": "Sports", "value": "1"})) is None
    assert youngest(of({"id": "1", "name": "age_13_15", "value": "1"})) == "13_15"
    assert youngest(of({"id": "1", "name": "age_25_34", "value": "1"})) == "adult"
    assert youngest({"site": {"content": {"data": [{"segment": [{"name": "13-15"}]}]}}}) is None  # a film's


def test_what_cannot_be_read_is_a_childs_in_a_user_alone():
    assert youngest({"user": {"ext": {"data": {"age": "young"}}}}) == "under_13"
    assert youngest({"user": {"age": {"band": 3}}}) == "under_13"
    assert youngest(with_parameters({"age": "young"})) is None
    assert youngest(with_parameters({"cacheAge": 12})) is None


@pytest.mark.parametrize(
    "text", ["jane.roe@example.com", "mailto:jane.roe@example.com", "jane.roe%40example.com", "+14155550107", "%2B14155550107"]
)  # fmt: skip
@pytest.mark.parametrize("where", PLANTED)
def test_an_address_and_a_number_with_its_plus_are_contact_in_any_text(where, text):
    assert told(PLANTED[where](text)) == {CONTACT}


@pytest.mark.parametrize("text", ["@example", "1+1", "a+b@", "4155550107", "jane at example"])
def test_what_has_no_form_of_either_is_none(text):
    assert not told(PLANTED["a parameter"](text))


def test_what_is_read_in_its_own_place_is_told_once():
    request = {
        "device": {"geo": {"lat": NORTH, "lon": EAST, "zip": "97205", "country": "USA"}},
        "user": {"yob": 1980, "gender": "F", "geo": {"lat": 1.5, "lon": 2.5}},
    }
    said = read(request)
    assert said.words == bid_words.NO_WORDS
    assert said.geo == (request["device"]["geo"], request["user"]["geo"])
    assert members.classes_in(request) == members.classes_in(request, said.words.classes)
    request["user"]["age"], request["device"]["geo"]["latlong"] = 12, "45.5,-122.6"
    assert told(request) == {PERSON, POINT}
    assert youngest(request) == "under_13"
    assert told({"user": {"lat": NORTH}}) == {POINT}
    assert told({"device": {"geo": {"yob": 1985}}}) == {PERSON}


def test_more_points_or_ages_than_are_looked_at_deny():
    for bag in (
        [{"lat": 1 + n / 1000, "lon": 2} for n in range(101)],
        [{"age": n, "birthyear": 1950 + n} for n in range(1, 60)],
        [{f"a{n}_lat": n / 10 + 1 for n in range(101)} | {"lon": 2}],
    ):
        said = read(with_parameters({"p": bag}))
        assert reading.UNREAD in said.identifiers
        assert not said.words.is_whole
        assert max(len(said.geo), len(said.words.ages)) <= bid_words.MOST_SAID
    few = read(with_parameters({"p": [{"lat": 1 + n / 1000, "lon": 2} for n in range(100)]}))
    assert reading.UNREAD not in few.identifiers


@pytest.mark.parametrize(
    "value", [[], {}, [[{"lat": []}]], {"value": {}}, 10**400, float("nan"), float("inf"), True, "9" * 5000, "\ud800", [None]]
)  # fmt: skip
def test_no_value_of_a_stranger_stops_the_reading(value):
    for name in (
        "lat",
        "lon",
        "latlong",
        "geohash",
        "zip",
        "age",
        "yob",
        "is_minor",
        "gender",
        "segment",
        "value",
        "name",
    ):
        for where in ANYWHERE.values():
            read(where({name: value, "lon": value, "name": "age"})).words.youngest(YEAR)


def test_members_that_say_nothing_are_known_for_it():
    """Control: if no known name said anything, a bidder's `yob` would not be heard."""
    assert {"yob", "gender", "lat", "lon", "zip"} == {
        name for name in reading.KNOWN - reading.SILENT if bid_words.named_for(name) and name != "coppa"
    }
    assert not {"metro", "accuracy", "language", "page", "at", "w", "h"} - reading.SILENT


def test_a_hostile_text_is_read_in_no_more_time_than_it_is_long():
    for text in ("45." + "1" * 300_000 + ".1", ".111" * 100_000, "45.123,46.123 " * 20_000, "a@" * 100_000):
        began = time.thread_time()
        read({"imp": [{"id": "1", "tagid": text}]})
        assert time.thread_time() - began < 2


@pytest.mark.parametrize(
    "text",
    [
        "52.520008,13.404954",
        "lat=52.520&lon=13.405",
        "/@52.520,13.405",
        "52.520/-0.127",
        "userLat:52.520,x:13.405",
        "15:52.520008,13.404954",
    ],
)
def test_of_two_numbers_decimals_a_sign_or_a_name_make_a_point(text):
    assert told(PLANTED["a parameter"](text)) == {POINT}


@pytest.mark.parametrize(
    "text", ["52.520,13.405", "00:00:52.520008,00:00:13.404954", "00%3A00%3A52.5200,00%3A00%3A13.4049", "52.5200Z/13.4049Z", "latency=52.520,13.405"]
)  # fmt: skip
def test_without_them_they_are_prices_and_seconds(text):
    assert not told(PLANTED["a parameter"](text))


@pytest.mark.parametrize("where", ANYWHERE)
@pytest.mark.parametrize("value", ["same", "other"])
def test_hostile_values_of_degrees_are_read_in_no_more_time_than_they_are_long(where, value):
    def degrees(word, n):
        return {f"{word}_{'a' * n}": 1.5 if value == "same" else "no number"}

    bag = {name: each for n in range(60) for word in ("lat", "lon") for name, each in degrees(word, n).items()}
    began = time.thread_time()
    said = read(ANYWHERE[where]({"p": [bag] * 300}))
    assert time.thread_time() - began < 0.4
    assert said.words.classes == {POINT}
    assert said.words.is_whole


def test_segments_are_read_in_no_more_time_than_they_are_long():
    for text in ("13-1x {}", "{}", "audience {}", "over " * 500 + "{}"):
        began = time.thread_time()
        said = read({"user": {"data": [{"segment": [{"id": text.format(n)} for n in range(5000)]}]}})
        assert time.thread_time() - began < 1
        assert not said.words.classes or text == "{}"


@pytest.mark.parametrize(
    ("segment", "band"),
    [
        ({"name": "Household > Age 13-15"}, "13_15"), ({"name": "Number of Children | 13-15"}, None), ({"name": "members", "value": "13-15"}, "13_15"),
        ({"name": "household_size", "id": "13-15"}, None), ({"name": "Age of the household's head", "value": "13-15"}, "13_15"),
    ],
    ids=repr,
)  # fmt: skip
def test_of_a_segment_what_is_counted_is_no_age_unless_its_title_says_one(segment, band):
    assert youngest({"user": {"data": [{"segment": [segment]}]}}) == band


@pytest.mark.parametrize(
    ("bag", "band"),
    [
        ({"customer_age": 14}, "13_15"), ({"customer_age": "gold"}, None), ({"user_age": "gold"}, "under_13"), ({"account_dob": YEAR - 10}, "under_13"),
        ({"device_age": 3}, None), ({"app_coppa": 1}, "under_13"), ({"age_verified": 1}, None), ({"age_years": {"x": 1}}, None),
    ],
    ids=repr,
)  # fmt: skip
def test_in_a_user_a_name_that_says_more_than_an_age_counts_where_it_can_be_read(bag, band):
    assert youngest({"user": {"ext": {"data": bag}}}) == band


@pytest.mark.parametrize("bag", [{"minor": 1}, {"is_minor": "yes"}, {"coppa": True}, {"under_13": 1.0}])
def test_that_somebody_is_a_child_is_heard_anywhere(bag):
    assert youngest(with_parameters(bag)) == "under_13"
    assert youngest(with_parameters(bag | {"major": 1})) == (None if "minor" in bag else "under_13")


def test_pairs_are_told_with_where_they_begin():
    (pair,) = signs.degree_pairs("/at/45.523064,-122.676483/")
    assert (pair.at, pair.points) == (4, (PORTLAND,))
    assert not list(signs.degree_pairs(signs.APART.join(["45.523064", "-122.676483"])))
