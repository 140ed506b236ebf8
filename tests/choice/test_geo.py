"""Location: a coarsened point always stands for more than a circle of 1,850 ft (L67), or it is dropped."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.choice import geo

QUICKLY = settings(max_examples=150, deadline=1000)
STATUTORY_KM2 = 0.999
EARTH_KM = 6371.0
COMPARABLE = 0.02  # WGS84 in the vectors against our sphere
LATITUDES = st.floats(18, 72)
LONGITUDES = st.floats(-170, -60)


def brief(value):
    """A short name for a case, for values of any size."""
    return "a huge number" if isinstance(value, int) and value > 1 else repr(value)[:40]


def two_decimals(_field, value):
    """The control: what many call coarse, and the law calls precise north of about 36 degrees."""
    return round(value, 2)


def reach(coarsen, field, value):
    """How far the values go, on both sides of `value`, that come out the same: found by halving."""
    came_out = coarsen(field, value)
    ends = []
    for direction in (-1.0, 1.0):
        inside, outside = value, value + direction
        for _ in range(40):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if coarsen(field, middle) == came_out else (inside, middle)
        ends.append(inside)
    return ends


def hidden_area_km2(coarsen, latitude, longitude):
    """The area of all the points that a recipient cannot tell from this one."""
    south, north = (math.radians(end) for end in reach(coarsen, "lat", latitude))
    west, east = (math.radians(end) for end in reach(coarsen, "lon", longitude))
    return EARTH_KM**2 * (east - west) * (math.sin(north) - math.sin(south))


def always_coarse(coarsen):
    """The property of L67 for one way of coarsening."""

    @settings(QUICKLY, database=None, report_multiple_bugs=False)
    @given(LATITUDES, LONGITUDES)
    def holds(latitude, longitude):
        assert hidden_area_km2(coarsen, latitude, longitude) > STATUTORY_KM2

    return holds


def test_a_coarsened_point_never_tells_less_than_the_statutory_circle():
    always_coarse(geo.coarsen)()


def test_two_decimals_would_tell_where_a_person_in_the_north_is():
    with pytest.raises(AssertionError):
        always_coarse(two_decimals)()


@QUICKLY
@given(LATITUDES)
def test_our_own_area_of_a_cell_is_above_the_circle_and_two_decimals_is_not_in_the_north(latitude):
    assert geo.cell_area_km2(latitude, geo.DECIMALS) > geo.PRECISE_AREA_KM2
    if latitude > 37:
        assert geo.cell_area_km2(latitude, 2) < geo.PRECISE_AREA_KM2


def test_the_statutory_circle_has_the_area_that_the_law_gives():
    assert abs(geo.PRECISE_AREA_KM2 - 0.9989) < 1e-4


def test_our_areas_agree_with_the_ellipsoids(vectors):
    cases = json.loads((vectors / "enforcement" / "geo_precision.json").read_text())["cases"]
    comparable = [case for case in cases if case["scheme"].startswith("decimals_")]
    assert len(comparable) >= 20
    for case in comparable:
        area = geo.cell_area_km2(case["lat"], int(case["scheme"][-1]))
        assert area == pytest.approx(case["area_km2"], rel=COMPARABLE), case["id"]
        assert (area <= geo.PRECISE_AREA_KM2) == (case["area_test_1850ft"] == "precise"), case["id"]


@pytest.mark.parametrize(
    "field", ["lat", "LAT", "latitude", "Latitude", "geo.lat", "device.geo.lat", "lon", "lng", "long"]
)
@pytest.mark.parametrize("value", [45.5231, "45.5231", " 45.5231 "], ids=repr)
def test_a_coordinate_goes_with_one_decimal_under_any_of_its_names(field, value):
    assert geo.coarsen(field, value) == 45.5


@pytest.mark.parametrize(
    "field", ["accuracy", "speed", "heading", "altitude", "timezone", "flat", "lat2", "lon.x", "", "."]
)
def test_what_is_no_coordinate_is_dropped(field):
    assert geo.coarsen(field, 45.5231) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        "",
        "north",
        "45,5",
        "nan",
        "inf",
        float("nan"),
        float("-inf"),
        10**400,
        "9" * 100_000,
        [45.5],
        {},
        b"45.5",
    ],
    ids=brief,
)
def test_a_coordinate_that_cannot_be_read_is_dropped(value):
    assert geo.coarsen("lat", value) is None


@pytest.mark.parametrize(
    ("field", "value"), [("lat", 85.1), ("lat", -90.0), ("lat", 91), ("lon", 180.1), ("lon", -999)]
)
def test_a_point_near_a_pole_or_off_the_globe_is_dropped(field, value):
    assert geo.coarsen(field, value) is None


def test_no_sign_of_a_zero_tells_the_side_of_the_line():
    assert math.copysign(1, geo.coarsen("lon", -0.01)) == 1.0


@QUICKLY
@given(st.text(max_size=12), st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.booleans(), st.binary()))
def test_any_field_and_value_come_out_coarse_or_not_at_all(field, value):
    for name in (field, "lat", "lon"):
        coarse = geo.coarsen(name, value)
        assert coarse is None or coarse == round(coarse, 1)
