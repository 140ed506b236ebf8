import json

import maxminddb
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from gateway.choice.outlines import BOXES, Boundary, boundaries
from gateway.choice.place import STATES
from gateway.consent.places import FOREIGN, Places

SQUARE = [[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]  # made up: (longitude, latitude)
HOLE = [[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5], [0.5, 0.5]]
FAR = [[[10, 10], [11, 10], [11, 11], [10, 11], [10, 10]]]


def feature(place, geometry, coordinates):
    return {"properties": {"place": place}, "geometry": {"type": geometry, "coordinates": coordinates}}


MONTANA = boundaries({"features": [feature("US-MT", "Polygon", [SQUARE])]})
BANNING = frozenset({"US-MD", "US-OR"})


def places_at(latitude, longitude, boundaries=(), banning=BANNING):
    """Where a point is, of which the caller says that it is in New York."""
    places = Places(boundaries=boundaries, banning=banning)
    return places.of("US-NY", {"lat": latitude, "lon": longitude}) - {"US-NY"}


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
    ("US", "CA", {"US", "US-CA"}), ("CA", "qc", {"CA", "CA-QC"}), ("CA", "Quebec", {"CA"}), ("US-NH", ["CA"], {"US-NH", FOREIGN}), ("US-NH", "", {"US-NH"}),
])  # fmt: skip
def test_a_region_without_its_country_is_foreign_unless_a_place_beside_it_says_the_same(place, region, places):
    """R13. To a country alone it is joined."""
    assert Places().of(place, {"region": region}) == places


def test_a_region_is_read_beside_another_geo_that_has_both():
    assert Places().of(geo=({"region": "NY"}, {"country": "USA", "region": "NY"})) == {"US-NY"}
    assert Places().of(geo=({"region": "CA"}, {"country": "USA", "region": "NY"})) == {"US-NY", FOREIGN}


def test_a_row_with_coordinates_in_oregon_is_in_oregon_whatever_else_it_says():
    places = Places(boundaries=MONTANA, banning=BANNING)
    assert places.of("US-NY", {"lat": 1, "lon": 1}) == {"US-NY", "US-MT"}
    assert places.of(None, {"lat": 1.5, "lon": 0.5, "country": "USA", "region": "NY"}) == {"US-NY", "US-MT"}
    assert places.of("US-NY", {"lat": 1, "lon": 3}) == {"US-NY"}
    assert Places().of("US-NY", {"lat": 1, "lon": 1}) == {"US-NY"}


def test_all_the_places_that_are_known_hold_together(book):
    places = Places(book, MONTANA, banning=BANNING)
    assert places.of("US-NY", {"lat": 1, "lon": 1}, "198.51.100.7") == {"US-NY", "US-MT", "DE"}
    assert places.of(None, {"country": "USA", "region": "NY"}, "198.51.100.7") == {"US-NY", "DE"}
    assert places.of(None, {"lat": 9, "lon": 9}, "198.51.100.7") == {"DE"}


def test_without_boundaries_a_point_near_oregon_or_maryland_only_tightens():
    portland, baltimore, paris = (
        {"lat": 45.52, "lon": -122.68},
        {"lat": "39.29", "lon": "-76.61"},
        {"lat": 48.86, "lon": 2.35},
    )
    places = Places(banning=BANNING)
    assert places.of("US-NY", portland) == {"US-NY", "US-OR"}
    assert places.of("US-NY", baltimore) == {"US-NY", "US-MD"}
    assert places.of("US-NY", paris) == {"US-NY"}
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
    shape = boundaries({"features": [feature("US-MT", "MultiPolygon", [[SQUARE, HOLE], FAR])]})
    assert places_at(latitude, longitude, shape) == ({"US-MT"} if inside else set())


def test_latitude_and_longitude_are_not_mixed_up():
    wide = [Boundary("US-OR", (((0, 0), (10, 0), (10, 1), (0, 1)),))]
    assert places_at(0.5, 5, wide, ["US-MD"]) == {"US-OR"}
    assert places_at(5, 0.5, wide, ["US-MD"]) == set()


@pytest.mark.parametrize("point", [(None, 1), (1, None), ("x", 1), ([], {}), (float("nan"), 1), (float("inf"), 1)])
def test_a_point_that_is_none_is_nowhere(point):
    assert places_at(*point, MONTANA) == set()


def test_neighbouring_states_both_count_for_a_point_in_both():
    both = [*MONTANA, *boundaries({"features": [feature("US-CA", "Polygon", [SQUARE])]})]
    assert places_at(1, 1, both) == {"US-MT", "US-CA"}


@pytest.mark.parametrize(
    "bad",
    [None, [], {}, {"features": None}, {"features": []}, {"features": [None]}, {"features": [{}]},
     feature("US-OR", "Polygon", [SQUARE]), {"features": [{"properties": {"place": "US-OR"}, "geometry": {"type": "Polygon"}}]}],
)  # fmt: skip
def test_a_boundary_file_with_nothing_that_can_be_read_is_no_empty_one(bad):
    with pytest.raises(ValueError):
        boundaries(bad)


def test_points_with_a_height_are_read_too():
    [outline] = boundaries({"features": [feature("US-MT", "Polygon", [[[x, y, 9.0] for x, y in SQUARE]])]})
    assert outline == MONTANA[0]


@pytest.mark.parametrize("bad", [feature(None, "Polygon", [SQUARE]), feature("US-OR", "Point", [1, 1]),
                                 feature("US-OR", "Polygon", [[[1]]]), feature("US-OR", "Polygon", [[["x", 1]]])])  # fmt: skip
def test_a_boundary_file_that_cannot_be_read_is_refused_at_start(bad):
    with pytest.raises(ValueError):
        boundaries(json.loads(json.dumps({"features": [bad]})))


# The corners of Oregon and Maryland, roughly: an outline of the operator's own that a law's ban may rest on.
REAL = [[-124.6, 42.0], [-116.5, 42.0], [-116.5, 46.25], [-124.6, 46.25], [-124.6, 42.0]]
PORTLAND = (45.52, -122.68)


def test_a_file_without_oregon_takes_its_ban_from_nobody():
    assert places_at(*PORTLAND, MONTANA) == {"US-OR"}
    assert places_at(1.0, 1.0, MONTANA) == {"US-MT"}


def test_a_box_beside_a_file_is_no_residence_either():
    """Somebody in a neighbour's corner of the box would have the law of the state instead of the strictest of all."""
    only_montana = Places(boundaries=MONTANA, banning=BANNING)
    assert only_montana.of(None, {"lat": PORTLAND[0], "lon": PORTLAND[1]}) == set()
    assert only_montana.of(None, {"lat": 1, "lon": 1}) == {"US-MT"}


def test_a_file_with_oregons_own_outline_is_believed():
    own = boundaries({"features": [feature("US-OR", "Polygon", [REAL])]})
    assert places_at(*PORTLAND, own) == {"US-OR"}
    assert places_at(41.95, -122.68, own) == set(), "which the box would hold"
    assert places_at(39.0, -77.0, own) == {"US-MD"}, "and Maryland's ban stays beside it"


@pytest.mark.parametrize(
    "drawn", [[SQUARE], [[[-124.6, 42.0], [-120.0, 42.0], [-120.0, 46.25], [-124.6, 46.25]]], [[[y, x] for x, y in REAL]]]
)  # fmt: skip
def test_an_outline_that_ends_before_the_state_does_is_refused(drawn):
    try:
        own = boundaries({"features": [feature("US-OR", "Polygon", drawn)]})
    except ValueError:
        return  # degrees that are on no earth
    with pytest.raises(ValueError, match="the outline of US-OR ends before the state does"):
        Places(boundaries=own, banning=["US-OR"])
    assert Places(boundaries=own, banning=["US-MD"]), "without a ban it is nobody's loss"


def test_a_banned_place_of_which_there_is_no_outline_is_refused_by_its_name():
    with pytest.raises(ValueError, match="bans precise points in CA-QC, of which there is no outline"):
        Places(banning=["US-OR", "CA-QC"])
    quebec = [Boundary("CA-QC", (((-79.8, 45.0), (-57.1, 45.0), (-57.1, 62.6), (-79.8, 62.6)),))]
    assert places_at(46.81, -71.21, quebec, ["US-OR", "CA-QC"]) == {"CA-QC"}


CITIES = """
AL 32.38 -86.30 | AK 58.30 -134.42 | AK 52.92 172.91 | AZ 33.45 -112.07 | AR 34.75 -92.29 | CA 38.58 -121.49
CO 39.74 -104.98 | CT 41.76 -72.68 | DE 39.16 -75.52 | DC 38.90 -77.04 | FL 24.56 -81.78 | GA 33.75 -84.39
HI 21.31 -157.86 | ID 43.62 -116.20 | IL 39.80 -89.65 | IN 39.77 -86.16 | IA 41.59 -93.60 | KS 39.05 -95.68
KY 38.19 -84.87 | LA 30.45 -91.19 | ME 44.31 -69.78 | MD 39.29 -76.61 | MA 42.36 -71.06 | MI 42.73 -84.56
MN 44.95 -93.09 | MS 32.30 -90.18 | MO 38.58 -92.17 | MT 46.59 -112.04 | NE 40.81 -96.70 | NV 36.17 -115.14
NH 43.21 -71.54 | NJ 40.22 -74.76 | NM 35.69 -105.94 | NY 42.65 -73.75 | NC 35.78 -78.64 | ND 46.81 -100.78
OH 39.96 -83.00 | OK 35.47 -97.52 | OR 44.94 -123.04 | PA 40.27 -76.88 | RI 41.82 -71.41 | SC 34.00 -81.03
SD 44.37 -100.35 | TN 36.17 -86.78 | TX 31.76 -106.49 | UT 40.76 -111.89 | VT 44.26 -72.58 | VA 37.27 -79.94
WA 47.61 -122.33 | WV 38.35 -81.63 | WI 43.07 -89.40 | WY 41.14 -104.82
AS -14.28 -170.70 | GU 13.47 144.75 | MP 15.18 145.75 | PR 18.47 -66.11 | VI 18.34 -64.93
"""  # a city of each state, from the atlas


def test_every_state_has_a_box_and_its_city_lies_in_it():
    assert {place[3:] for place in BOXES} == STATES
    seen = set()
    for line in CITIES.replace("|", "\n").strip().splitlines():
        state, latitude, longitude = line.split()
        seen.add(state)
        assert places_at(float(latitude), float(longitude), banning=[f"US-{state}"]) == {f"US-{state}"} - {"US-NY"}
    assert seen == STATES


def test_a_ban_of_the_whole_country_counts_in_each_of_its_states():
    assert "US-TX" in places_at(31.76, -106.49, banning=["US"])
    assert places_at(48.86, 2.35, banning=["US"]) == set()


@pytest.mark.parametrize("geohash", ["dnxhh", "DNXHHBV3", "dnxhhbv3qzx"])
def test_a_cell_lies_where_its_corners_do(geohash):
    """Of Roanoke."""
    places = Places(banning=["US-VA"])
    assert places.of("US-NY", {"geohash": geohash}) == {"US-NY", "US-VA"}
    assert places.of(None, {"geohash": geohash}) == set()
    drawn = Places(boundaries=[Boundary("US-TX", (((-180, -90), (180, -90), (180, 90), (-180, 90)),))], banning=[])
    assert drawn.of(None, {"geohash": geohash}) == set(), "a cell may be as large as a country"
    assert drawn.of("US-NY", {"geohash": geohash}) == {"US-NY", "US-TX"}
