import json

import maxminddb
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from gateway.consent.places import FOREIGN, Boundary, Places, boundaries

SQUARE = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]  # made up: (longitude, latitude)
HOLE = [[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5], [0.5, 0.5]]
FAR = [[[10, 10], [11, 10], [11, 11], [10, 11], [10, 10]]]


def feature(place, geometry, coordinates):
    return {"properties": {"place": place}, "geometry": {"type": geometry, "coordinates": coordinates}}


NEVADA = boundaries({"features": [feature("US-NV", "Polygon", [SQUARE])]})


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A small IP database in MaxMind's format, of documentation networks."""
    made = MMDBWriter(ip_version=6, ipv4_compatible=True)
    made.insert_network(IPSet(["192.0.2.0/24"]), {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "OR"}]})
    made.insert_network(IPSet(["198.51.100.0/24"]), {"country": {"iso_code": "DE"}})
    made.insert_network(IPSet(["203.0.113.0/24"]), {"country": {}, "subdivisions": []})
    made.insert_network(IPSet(["2001:db8::/32"]), {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "CA"}]})
    path = tmp_path_factory.mktemp("ip") / "places.mmdb"
    made.to_db_file(str(path))
    with maxminddb.open_database(path) as reader:
        yield reader


def test_nothing_said_is_no_place_and_not_a_lenient_one():
    assert Places().of() == frozenset()


@pytest.mark.parametrize(("said", "places"), [
    ("US-CA", {"US-CA"}), (" us-ca ", {"US-CA"}), ("DE", {"DE"}), (["US-NY", "US-OR"], {"US-NY", "US-OR"}),
    (["US-NY", "us-ny"], {"US-NY"}), ([], set()), ("", set()),
])  # fmt: skip
def test_the_place_that_was_said_counts(said, places):
    assert Places().of(said) == places


@pytest.mark.parametrize("said", ["California", "US_CA", "US-CALI", "USA", "US-", "-CA", "12", "日本", "US-CA,US-NY"])
def test_a_place_that_cannot_be_read_counts_as_foreign(said):
    assert Places().of(said) == {FOREIGN}
    assert Places().of(["US-NY", said]) == {"US-NY", FOREIGN}


@pytest.mark.parametrize(("geo", "places"), [
    ({"country": "USA", "region": "OR"}, {"US-OR"}), ({"country": "us", "region": " or "}, {"US-OR"}),
    ({"country": "USA"}, {"US"}), ({"country": "USA", "region": 5}, {"US"}), ({"country": "USA", "region": "Oregon"}, {"US"}),
    ({"country": "DEU"}, {"DE"}), ({"country": "JPN"}, {FOREIGN}), ({"country": "??"}, {FOREIGN}),
    ({"country": ""}, set()), ({"country": 5}, {FOREIGN}), ({"country": ["DE"]}, {FOREIGN}), ({"country": " "}, set()),
    ({}, set()), (None, set()), ("US-OR", {FOREIGN}), ({"region": " "}, set()), ({"country": "", "region": None}, set()),
    ({"region": "CA"}, {FOREIGN}), ({"country": " ", "region": "CA"}, {FOREIGN}), ({"region": 5}, {FOREIGN}),
])  # fmt: skip
def test_geo_is_read_in_openrtbs_spelling(geo, places):
    assert Places().of(geo=geo) == places


@pytest.mark.parametrize(("place", "region", "places"), [
    ("US-NH", "CA", {"US-NH", FOREIGN}), ("US-CA", " ca ", {"US-CA"}), (["US-NH", "US-CA"], "CA", {"US-NH", "US-CA"}),
    ("US", "CA", {"US"}), ("US-NH", ["CA"], {"US-NH", FOREIGN}), ("US-NH", "", {"US-NH"}),
])  # fmt: skip
def test_a_region_without_its_country_is_foreign_unless_a_place_beside_it_says_the_same(place, region, places):
    """R13. A country alone is the strictest of its regions already."""
    assert Places().of(place, {"region": region}) == places


def test_a_region_is_read_beside_another_geo_that_has_both():
    assert Places().of(geo=({"region": "NY"}, {"country": "USA", "region": "NY"})) == {"US-NY"}
    assert Places().of(geo=({"region": "CA"}, {"country": "USA", "region": "NY"})) == {"US-NY", FOREIGN}


def test_a_row_with_coordinates_in_oregon_is_in_oregon_whatever_else_it_says():
    places = Places(boundaries=NEVADA)
    assert places.of("US-NY", {"lat": 1, "lon": 1}) == {"US-NY", "US-NV"}
    assert places.of(None, {"lat": 1.5, "lon": 0.5, "country": "USA", "region": "NY"}) == {"US-NY", "US-NV"}
    assert places.of("US-NY", {"lat": 1, "lon": 3}) == {"US-NY"}
    assert Places().of("US-NY", {"lat": 1, "lon": 1}) == {"US-NY"}


def test_all_the_places_that_are_known_hold_together(book):
    places = Places(book, NEVADA)
    assert places.of("US-NY", {"lat": 1, "lon": 1}, "198.51.100.7") == {"US-NY", "US-NV", "DE"}
    assert places.of(None, {"country": "USA", "region": "NY"}, "198.51.100.7") == {"US-NY", "DE"}
    assert places.of(None, {"lat": 9, "lon": 9}, "198.51.100.7") == {"DE"}


def test_without_boundaries_a_point_near_oregon_or_maryland_only_tightens():
    portland, baltimore, paris = (
        {"lat": 45.52, "lon": -122.68},
        {"lat": "39.29", "lon": "-76.61"},
        {"lat": 48.86, "lon": 2.35},
    )
    assert Places().of("US-NY", portland) == {"US-NY", "US-OR"}
    assert Places().of("US-NY", baltimore) == {"US-NY", "US-MD"}
    assert Places().of("US-NY", paris) == {"US-NY"}
    assert Places().of(None, portland) == set(), "a box is no residence"


@pytest.mark.parametrize(("ip", "places"), [
    ("192.0.2.1", {"US-OR"}), ("198.51.100.7", {"DE"}), ("2001:db8::1", {"US-CA"}), ("203.0.113.1", set()),
    ("127.0.0.1", set()), ("nonsense", set()), ("", set()), (5, set()), (None, set()),
])  # fmt: skip
def test_an_ip_leads_to_a_place_where_the_operators_database_knows_it(book, ip, places):
    assert Places(book).of(ip=ip) == places
    assert Places().of(ip=ip) == set()


@pytest.mark.parametrize(("latitude", "longitude", "inside"), [
    (1, 0.25, True), (1, 1, False), (0.25, 1, True), (3, 1, False), (1, 3, False), (-1, 1, False), (10.5, 10.5, True),
])  # fmt: skip
def test_a_state_has_holes_and_islands(latitude, longitude, inside):
    shape = boundaries({"features": [feature("US-NV", "MultiPolygon", [[SQUARE, HOLE], FAR])]})
    assert Places(boundaries=shape).at(latitude, longitude) == ({"US-NV"} if inside else set())


def test_latitude_and_longitude_are_not_mixed_up():
    wide = [Boundary("US-OR", (((0, 0), (10, 0), (10, 1), (0, 1)),))]
    assert Places(boundaries=wide).at(0.5, 5) == {"US-OR"}
    assert Places(boundaries=wide).at(5, 0.5) == set()


@pytest.mark.parametrize("point", [(None, 1), (1, None), ("x", 1), ([], {}), (float("nan"), 1), (float("inf"), 1)])
def test_a_point_that_is_none_is_nowhere(point):
    assert Places(boundaries=NEVADA).at(*point) == set()


def test_neighbouring_states_both_count_for_a_point_in_both():
    both = [*NEVADA, *boundaries({"features": [feature("US-CA", "Polygon", [SQUARE])]})]
    assert Places(boundaries=both).at(1, 1) == {"US-NV", "US-CA"}


@pytest.mark.parametrize(
    "bad",
    [None, [], {}, {"features": None}, {"features": []}, {"features": [None]}, {"features": [{}]},
     feature("US-OR", "Polygon", [SQUARE]), {"features": [{"properties": {"place": "US-OR"}, "geometry": {"type": "Polygon"}}]}],
)  # fmt: skip
def test_a_boundary_file_with_nothing_that_can_be_read_is_no_empty_one(bad):
    with pytest.raises(ValueError):
        boundaries(bad)


def test_points_with_a_height_are_read_too():
    [outline] = boundaries({"features": [feature("US-NV", "Polygon", [[[x, y, 9.0] for x, y in SQUARE]])]})
    assert outline == NEVADA[0]


@pytest.mark.parametrize("bad", [feature(None, "Polygon", [SQUARE]), feature("US-OR", "Point", [1, 1]),
                                 feature("US-OR", "Polygon", [[[1]]]), feature("US-OR", "Polygon", [[["x", 1]]])])  # fmt: skip
def test_a_boundary_file_that_cannot_be_read_is_refused_at_start(bad):
    with pytest.raises(ValueError):
        boundaries(json.loads(json.dumps({"features": [bad]})))


# The corners of Oregon and Maryland, roughly: an outline of the operator's own that a law's ban may rest on.
REAL = [[-124.6, 42.0], [-116.5, 42.0], [-116.5, 46.25], [-124.6, 46.25], [-124.6, 42.0]]
PORTLAND, NEVADAS = (45.52, -122.68), (1.0, 1.0)


def test_a_file_without_oregon_takes_its_ban_from_nobody():
    only_nevada = Places(boundaries=NEVADA)
    assert only_nevada.at(*PORTLAND) == {"US-OR"}
    assert only_nevada.of(None, {"lat": PORTLAND[0], "lon": PORTLAND[1]}) == {"US-OR"}
    assert only_nevada.at(*NEVADAS) == {"US-NV"}


def test_a_file_with_oregons_own_outline_is_believed():
    own = Places(boundaries=boundaries({"features": [feature("US-OR", "Polygon", [REAL])]}))
    assert own.at(*PORTLAND) == {"US-OR"}
    assert own.at(39.0, -77.0) == {"US-MD"}, "and Maryland's ban stays beside it"


@pytest.mark.parametrize(
    "drawn",
    [[SQUARE], [], [[[-124.6, 42.0], [-120.0, 42.0], [-120.0, 46.25], [-124.6, 46.25]]], [[[y, x] for x, y in REAL]]],
)
def test_an_outline_that_ends_before_the_state_does_is_refused(drawn):
    with pytest.raises(ValueError, match=r"US-OR|three corners|on earth"):
        boundaries({"features": [feature("US-OR", "Polygon", drawn)]})
