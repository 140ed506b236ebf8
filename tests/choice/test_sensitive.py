"""Nobody who was at a clinic is told of: the index finds whatever a search of every place finds."""

import math
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.times import quickest

from gateway.choice import sensitive
from gateway.choice.sensitive import Circle, Polygon, SensitivePlaces

CLINIC = Circle(37.774929, -122.419416, 100.0)
SQUARE = Polygon((((-122.42, 37.77), (-122.41, 37.77), (-122.41, 37.78), (-122.42, 37.78), (-122.42, 37.77)),))
METRE = 1 / 111_195  # degrees of latitude


def north_of(point: Circle, metres: float) -> tuple[float, float]:
    return point.latitude + metres * METRE, point.longitude


@pytest.mark.parametrize(
    ("metres", "accuracy", "margin", "near"),
    [
        (0, 0, 0, True),
        (99, 0, 0, True),
        (101, 0, 0, False),
        (149, 0, 50, True),
        (151, 0, 50, False),
        (199, 50, 50, True),
        (201, 50, 50, False),
        (101, -5, 0, False),
        (50_000, 10_001, 0, True),  # known so badly that it may be anywhere
        (50_000, math.inf, 0, True),
    ],
)
def test_a_point_is_near_as_far_as_the_place_the_margin_and_its_own_accuracy_reach(metres, accuracy, margin, near):
    assert SensitivePlaces([CLINIC], margin).near(*north_of(CLINIC, metres), accuracy) is near


@pytest.mark.parametrize(
    ("longitude", "latitude", "near"),
    [
        (-122.415, 37.775, True),
        (-122.4201, 37.775, True),  # nine metres outside
        (-122.4205, 37.775, False),
        (-122.415, 37.7805, False),
        (-122.40995, 37.775, True),
    ],
)
def test_a_polygon_counts_with_its_margin(longitude, latitude, near):
    assert SensitivePlaces([SQUARE], 10).near(latitude, longitude) is near


def test_a_hole_in_a_polygon_is_outside_of_it_but_for_its_edge():
    hole = ((-122.418, 37.772), (-122.412, 37.772), (-122.412, 37.778), (-122.418, 37.778))
    places = SensitivePlaces([Polygon((*SQUARE.rings, hole))], 10)
    assert not places.near(37.775, -122.415)
    assert places.near(37.77201, -122.415)
    assert places.near(37.771, -122.415)


def test_places_across_the_date_line_and_at_a_pole_are_found():
    fiji = Polygon((((179.99, -17.0), (-179.99, -17.0), (-179.99, -16.9), (179.99, -16.9)),))
    places = SensitivePlaces([fiji, Circle(-16.5, 180.0, 100), Circle(89.99, 10.0, 5000)])
    assert places.near(-16.95, 179.999)
    assert places.near(-16.95, -179.999)
    assert places.near(-16.5, -180.0)
    assert places.near(89.995, -170.0)
    assert not places.near(-16.95, 0.0)
    assert not places.near(80.0, 10.0)


latitudes = st.floats(-90, 90) | st.floats(37, 38) | st.sampled_from([-90.0, 0.0, 84.99, 85.01, 90.0])
longitudes = st.floats(-180, 180) | st.floats(-123, -122) | st.sampled_from([-180.0, -179.9999, 0.0, 179.9999, 180.0])
radii = st.floats(0.5, 3000) | st.floats(3000, 900_000)


@st.composite
def circles(draw):
    return Circle(draw(latitudes), draw(longitudes), draw(radii))


@st.composite
def polygons(draw):
    south, west = draw(st.floats(-80, 80)), draw(longitudes)
    corners = [
        (west + draw(st.floats(0, 0.2)), south + draw(st.floats(0, 0.2))) for _ in range(draw(st.integers(3, 6)))
    ]
    return Polygon((tuple(((x + 180) % 360 - 180, y) for x, y in corners),))


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.lists(circles() | polygons(), max_size=8), st.data())
@example([CLINIC], None)
def test_the_index_finds_what_a_search_of_every_place_finds(shapes, data):
    places = SensitivePlaces(shapes, 50)
    for _ in range(5) if data else ():
        latitude, longitude, accuracy = data.draw(latitudes), data.draw(longitudes), data.draw(st.floats(0, 9000))
        if shapes and data.draw(st.booleans()):  # near an edge
            south, north, west, east = data.draw(st.sampled_from(shapes)).box()
            latitude = max(
                -90.0, min(90.0, data.draw(st.sampled_from([south, north])) + data.draw(st.floats(-0.01, 0.01)))
            )
            longitude = (data.draw(st.sampled_from([west, east])) + 180) % 360 - 180
        naive = any(shape.touches(latitude, longitude, 50 + accuracy) for shape in shapes)
        assert places.near(latitude, longitude, accuracy) is naive, (latitude, longitude, accuracy)


def test_a_polygon_on_the_far_side_of_the_earth_is_not_here():
    """Its corners lie a half turn away, some to the east and some to the west."""
    far = Polygon((((-180.0, 0.0), (-179.9, 0.1), (-179.875, 0.0)),))
    assert not far.touches(0.0, 0.05, 50.0)
    assert far.touches(0.01, -179.9, 50.0)
    assert far.touches(0.0, 180.0, 50.0)


def test_an_index_that_looks_into_one_cell_alone_is_found_out(monkeypatch):
    """The control: a clinic on the other side of a cell's edge is missed."""
    around = sensitive._around
    clinic = Circle(37.8001, -122.419, 100.0)
    places = SensitivePlaces([clinic])
    assert places.near(37.7995, -122.419)
    monkeypatch.setattr(sensitive, "_around", lambda latitude, longitude, metres: around(latitude, longitude, 0.0))
    careless = SensitivePlaces([clinic])
    assert not careless.near(37.7995, -122.419)


@pytest.mark.parametrize(
    ("spot", "told"),
    [
        ({"lat": 37.774929, "lon": -122.419416}, True),
        ({"lat": "37.774929", "lon": "-122.419416"}, True),
        ({"lat": 37.9, "lon": -122.419416}, False),
        ({"lat": 37.9, "lon": -122.419416, "accuracy": 14_000}, True),
        ({"lat": 37.9, "lon": -122.419416, "accuracy": "good"}, True),
        ({"lat": 37.9}, True),
        ({"lon": 5}, True),
        ({"lat": "37°46'29\"N", "lon": "122°25'9\"W"}, True),
        ({"lat": 95, "lon": 0}, True),
        ({"geohash": "9q8yyk8ytpxr"}, True),
        ({"geohash": "9q8"}, True),  # a cell that holds it
        ({"geohash": "dr5regw3p"}, False),
        ({"geohash": "not!"}, True),
        ({"geohash": "9" * 5000}, False),
        ({"h3": "8928308280fffff"}, True),
        ({"zip": "94103"}, True),
        ({"country": "USA", "region": "CA"}, False),
        ({}, False),
        (None, False),
        ("37.774929,-122.419416", False),
    ],
)
def test_what_cannot_be_looked_up_may_lie_in_one(spot, told):
    assert SensitivePlaces([CLINIC]).tells_of_one(spot) is told
    assert not SensitivePlaces().tells_of_one(spot)


@pytest.mark.slow
def test_a_hundred_thousand_places_are_looked_up_fast(figure):
    draw = random.Random(1)
    shapes = [Circle(draw.uniform(25, 49), draw.uniform(-124, -67), draw.uniform(20, 300)) for _ in range(100_000)]
    places = SensitivePlaces(shapes, 50)
    asked = [(draw.uniform(25, 49), draw.uniform(-124, -67)) for _ in range(2000)]
    asked += [(shape.latitude, shape.longitude) for shape in shapes[:2000]]
    found = [places.near(*point, 10) for point in asked]
    took = quickest(lambda: [places.near(*point, 10) for point in asked]) / len(asked)
    assert all(found[2000:])
    sample = asked[:40]
    naive = [any(shape.touches(*point, 60) for shape in shapes) for point in sample]
    assert found[:40] == naive
    figure("a point among 100,000 sensitive places", f"{took * 1e6:.0f} us")
    assert took < 0.001


GEOJSON = """{"type": "FeatureCollection", "features": [
  {"type": "Feature", "properties": {"radius_m": 100}, "geometry": {"type": "Point", "coordinates": [-122.4, 37.7]}},
  {"type": "Feature", "properties": null,
   "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}},
  {"type": "Feature", "properties": {},
   "geometry": {"type": "MultiPolygon", "coordinates": [[[[0, 0], [1, 0], [1, 1]]], [[[5, 5], [6, 5], [6, 6]]]]}}]}"""


def test_both_kinds_of_file_are_read():
    text = "name,lat,lon,radius_m\nA clinic,37.7,-122.4,100\n"
    assert sensitive.read_shapes(text, geojson=False) == [Circle(37.7, -122.4, 100.0)]
    shapes = sensitive.read_shapes(GEOJSON, geojson=True)
    assert shapes[0] == Circle(37.7, -122.4, 100.0)
    assert [len(shape.rings) for shape in shapes[1:]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lat,lon\n1,2\n", "lacks radius_m"),
        ("lat,lon,radius_m\n1,2,\n", "line 2: radius_m"),
        ("lat,lon,radius_m\n1,2,5\n1,2,0\n", "line 3: radius_m"),
        ("lat,lon,radius_m\n91,2,5\n", "line 2: lat"),
        ("lat,lon,radius_m\n1\n", "line 2: "),
        ('lat,lon,radius_m\n1,2,"5\n1,2,5\n', "line 2: a quote"),
        ('lat,lon,radius_m,name\n1,2,5,"a\n1,2,5,b\n1,2,5,c"\n', "line 2: a quote"),  # b was no place
        ("lat,lon,radius_m\n1,2,5,6\n", "line 2: more cells"),
        ("lat,lon,radius_m\n1,2,5\u20281,2,5\n", "line 2: it holds a control"),
        ("lat,lon,radius_m\n\n1,2,5\nlat,lon,radius_m\n", "line 4: the header again"),
        ("lat,lon,radius_m,lat\n1,2,5,6\n", "column 4 is there twice"),
        ("lat,lon,radius_m\n", "lists no place"),
        ("", "no header: it lacks lat, lon, radius_m"),
    ],
)
def test_a_table_with_one_bad_line_is_refused_whole(text, why):
    with pytest.raises(ValueError, match=why):
        sensitive.read_shapes(text, geojson=False)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"features": 5}', '{"features": []}', '{"features": [null]}', '{"features": [{}]}',
        GEOJSON.replace('"radius_m": 100', '"radius": 100'), GEOJSON.replace('"Point"', '"LineString"'),
        GEOJSON.replace("37.7", "97.7"), GEOJSON.replace("[1, 0], [1, 1], [0, 0]", "[0, 0]"), GEOJSON.replace("[1, 0]", "[1]"),
        GEOJSON.replace("37.7", "NaN"), "[" * 100_000,
    ],
)  # fmt: skip
def test_a_geojson_with_one_bad_feature_is_refused_whole(text):
    with pytest.raises(ValueError):
        sensitive.read_shapes(text, geojson=True)
