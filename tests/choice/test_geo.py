"""Location: a coarsened point always stands for more than a circle of 1,850 ft (L67), or it is dropped."""

import json
import math
from collections import Counter

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.examples import examples

from gateway.choice import coarsening

QUICKLY = examples(150)
STATUTORY_KM2 = 0.999
STATUTORY_M = 563.9  # 1,850 ft
DEGREE_M = 110_574  # the shortest there is: of a meridian, at the equator
SAME = 0.005  # areas are printed with four digits, and with fewer for small cells
HALF_METRE = 0.51  # sides are printed in whole metres
SERVED = st.one_of(st.floats(-72, 72), st.floats(18, 72))  # the second: the United States, L67
LONGITUDES = st.floats(-179.9, 179.9)
TESTS = {1850: "area_test_1850ft", 1750: "area_test_1750ft"}
FAR_NORTH = 84.2  # from here on even one decimal would be precise


def brief(value):
    """A short name for a case, for values of any size."""
    return "a huge number" if isinstance(value, int) and value > 1 else repr(value)[:40]


def two_decimals(_field, value):
    """The control: what many call coarse, and the law calls precise north of about 36 degrees."""
    return round(value, 2)


def reach(coarsen, field, value):
    """How far the values go, on both sides of `value`, that come out the same: found by halving."""
    came_out = coarsen(field, value)
    assert came_out is not None
    ends = []
    for direction in (-1.0, 1.0):
        inside, outside = value, value + direction
        for _ in range(40):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if coarsen(field, middle) == came_out else (inside, middle)
        ends.append(inside)
    return ends


def hidden(coarsen, latitude, longitude):
    """The sides in metres of the ground whose points a recipient cannot tell from this one, rather too small."""
    south, north = reach(coarsen, "lat", latitude)
    west, east = reach(coarsen, "lon", longitude)
    narrowest = math.cos(math.radians(max(abs(south), abs(north))))
    return (north - south) * DEGREE_M, (east - west) * DEGREE_M * narrowest


def large(coarsen, latitude, longitude):
    """The area test."""
    tall, wide = hidden(coarsen, latitude, longitude)
    assert tall * wide / 1e6 > STATUTORY_KM2


def wide_on_all_sides(coarsen, latitude, longitude):
    """The radius test: the statutory circle fits in."""
    assert min(hidden(coarsen, latitude, longitude)) / 2 > STATUTORY_M


def everywhere(test, coarsen):
    """One of both tests as a property of one way of coarsening."""

    @settings(QUICKLY, database=None, report_multiple_bugs=False, phases=[Phase.generate])
    @given(SERVED, LONGITUDES)
    def holds(latitude, longitude):
        test(coarsen, latitude, longitude)

    return holds


@pytest.mark.parametrize("test", [large, wide_on_all_sides])
def test_a_coarsened_point_never_tells_less_than_the_statutory_circle(test):
    everywhere(test, coarsening.coarsen)()


@pytest.mark.parametrize("test", [large, wide_on_all_sides])
def test_two_decimals_would_tell_where_a_person_is(test):
    with pytest.raises(AssertionError):
        everywhere(test, two_decimals)()


def test_every_tenth_of_a_degree_where_people_live_has_a_coarse_form_of_statutory_size():
    for tenth in range(-720, 721):
        south, north = tenth / 10 - 0.0499, tenth / 10 + 0.0499
        assert coarsening.coarsen("lat", south) == coarsening.coarsen("lat", north) == tenth / 10
        tall, wide = 0.0998 * DEGREE_M, 0.0998 * DEGREE_M * math.cos(math.radians(max(abs(south), abs(north))))
        assert tall * wide / 1e6 > STATUTORY_KM2
        assert min(tall, wide) / 2 > STATUTORY_M


@given(st.floats(-90, 90))
def test_wherever_a_latitude_comes_out_at_all_its_ground_is_not_precise(latitude):
    coarse = coarsening.coarsen("lat", latitude)
    assert (coarse is None) == (abs(latitude) >= FAR_NORTH - 0.05)
    assert coarse is None or not coarsening.precise(coarsening.decimals(min(abs(coarse) + 0.05, 90), 1))


def test_two_decimals_are_precise_north_of_36_degrees_by_the_area_and_everywhere_by_the_radius(figure):
    by_area = [
        latitude / 100 for latitude in range(9001) if coarsening.precise_by_area(coarsening.decimals(latitude / 100, 2))
    ]
    assert by_area[0] == 36.13
    assert all(coarsening.precise_by_radius(coarsening.decimals(latitude, 2)) for latitude in range(91))
    figure("two decimals are precise by California's area from", f"{by_area[0]} degrees")


def test_the_statutory_circles_have_the_areas_that_the_laws_give():
    assert coarsening.circle(1850 * coarsening.FOOT_M).km2 == pytest.approx(0.9989, abs=1e-4)
    assert coarsening.circle(1750 * coarsening.FOOT_M).km2 == pytest.approx(0.8938, abs=1e-4)


@pytest.mark.parametrize("feet", [1750, 1850])
def test_exactly_the_statutory_circle_is_still_precise(feet):
    on_the_line, beyond = (
        coarsening.circle(feet * coarsening.FOOT_M),
        coarsening.circle(feet * coarsening.FOOT_M * 1.0001),
    )
    for test in (coarsening.precise_by_area, coarsening.precise_by_radius):
        assert test(on_the_line, feet)
        assert not test(beyond, feet)


def test_a_long_thin_strip_tells_precisely_on_which_street_one_is():
    strip = coarsening.cell(40, 1, 0.001)
    assert not coarsening.precise_by_area(strip)
    assert coarsening.precise_by_radius(strip)
    assert coarsening.precise(strip)


@pytest.mark.parametrize(("accuracy", "told"), [(0, True), (4, True), (563, True), (564, False), (5000, False)])
def test_an_accuracy_is_precise_within_1850_feet(accuracy, told):
    assert coarsening.precise(coarsening.circle(accuracy)) is told


def test_a_zip_code_may_be_one_building_and_a_metro_is_counties():
    assert coarsening.precise(coarsening.ZIP)
    assert not coarsening.precise(coarsening.METRO)


def test_whatever_fits_a_circle_of_a_radius_has_its_area_so_the_radius_is_the_stricter_test():
    grounds = [coarsening.decimals(lat, digits) for lat in range(0, 90, 5) for digits in (1, 2, 3)]
    grounds += [coarsening.geohash(lat, size) for lat in range(0, 90, 5) for size in range(1, 9)]
    grounds += [coarsening.h3(resolution) for resolution in range(16)]
    assert all(coarsening.circle(ground.radius_m).km2 <= ground.km2 for ground in grounds)


def ground_of(case):
    way, _, size = case["scheme"].rpartition("_")
    if way == "h3_res":
        return coarsening.h3(int(size))
    return {"decimals": coarsening.decimals, "geohash": coarsening.geohash}[way](case["lat"], int(size))


def test_our_grounds_agree_with_the_cell_table(vectors, figure):
    cases = json.loads((vectors / "enforcement" / "geo_precision.json").read_text())["cases"]
    assert len(cases) == 52
    agreed = 0
    for case in cases:
        ground = ground_of(case)
        area = case.get("smallest_cell_km2", case["area_km2"])  # of H3 the smallest counts
        assert ground.km2 == pytest.approx(area, rel=SAME, abs=6e-5), case["id"]
        if "cell_m" in case:
            assert ground.radius_m == pytest.approx(min(case["cell_m"]) / 2, abs=HALF_METRE), case["id"]
        for feet, name in TESTS.items():
            assert coarsening.precise_by_area(ground, feet) == (case[name] == "precise"), case["id"]
            agreed += 1
    figure("cell table: verdicts of the area test that agree", f"{agreed} of {2 * len(cases)} in {len(cases)} rows")


def neighbours(degrees):
    """The multiples of 0.01 that are nearest, both of them where the text of the number ends in a 5 at the third."""
    thousandths = abs(degrees) * 1000
    tie = round(thousandths) % 10 == 5 and math.isclose(thousandths, round(thousandths), abs_tol=1e-6)
    shift = 0.001 if tie else 0
    return {round(degrees - shift, 2), round(degrees + shift, 2)}


def test_our_rounding_agrees_with_three_others_but_where_they_cut_off_or_meet_a_tie(vectors, figure):
    cases = json.loads((vectors / "enforcement" / "coarsening_vectors.json").read_text())["cases"]
    points = [case for case in cases if case["id"].startswith("geo/")]
    assert (len(cases), len(points)) == (46, 28)
    counts = Counter()
    for case in points:
        ours = coarsening.nearest(case["input"], 2)
        assert ours in neighbours(case["input"]), case["id"]
        for other in ("prebidjs", "pbs_java", "pbs_go"):
            counts[other] += ours == case[other]
            tie, negative = len(neighbours(case["input"])) > 1, case["input"] < 0
            assert ours == case[other] or tie or (other == "pbs_go" and negative), case["id"]
    figure("rounding, of 28 points: the same as JavaScript, Java, Go", " ".join(map(str, counts.values())))


@given(st.floats(-84, 84))
def test_rounding_is_the_same_on_both_sides_of_zero_and_moves_nobody_to_one_side(degrees):
    assert coarsening.coarsen("lat", -degrees) == -coarsening.coarsen("lat", degrees)
    assert abs(coarsening.coarsen("lat", degrees) - degrees) <= 0.05 + 1e-9


@pytest.mark.parametrize("value", [180, 179.97, -179.97, -180, "180.0"], ids=repr)
def test_the_date_line_has_one_name_and_does_not_tell_on_which_side_one_is(value):
    assert coarsening.coarsen("lon", value) == -180.0


@pytest.mark.parametrize(
    "field", ["lat", "LAT", "latitude", "Latitude", "geo.lat", "device.geo.lat", "lon", "lng", "long"]
)
@pytest.mark.parametrize("value", [45.5231, "45.5231", " 45.5231 "], ids=repr)
def test_a_coordinate_goes_with_one_decimal_under_any_of_its_names(field, value):
    assert coarsening.coarsen(field, value) == 45.5


@pytest.mark.parametrize(
    "field", ["accuracy", "zip", "speed", "heading", "altitude", "timezone", "flat", "lat2", "lon.x", "", "."]
)
def test_what_is_no_coordinate_is_dropped(field):
    assert coarsening.coarsen(field, 45.5231) is None


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
    assert coarsening.coarsen("lat", value) is None


@pytest.mark.parametrize(
    ("field", "value"), [("lat", 84.2), ("lat", -84.2), ("lat", -90.0), ("lat", 91), ("lon", 180.1), ("lon", -999)]
)
def test_a_point_near_a_pole_or_off_the_globe_is_dropped(field, value):
    assert coarsening.coarsen(field, value) is None


def test_no_sign_of_a_zero_tells_the_side_of_the_line():
    assert [math.copysign(1, coarsening.coarsen(axis, -0.01)) for axis in ("lat", "lon")] == [1.0, 1.0]
    assert repr(coarsening.coarsen("lat", -0.04)) == "0.0"


@pytest.mark.parametrize(
    ("value", "coarse"),
    [
        ("9q8yyk8ytpxr", "9q8yy"), (" 9Q8YYK ", "9q8yy"), ("9q8yy", "9q8yy"), ("9q", "9q"), ("s0000", "s0000"),
        ("", None), ("9q8ya", None), ("9q8y!", None), (98, None), (None, None),
        ("bpbpb", None), ("zzzzzzz", None), ("00000", None), ("upbpb", None),
    ],
    ids=repr,
)  # fmt: skip
def test_a_geohash_leaves_with_five_characters_and_near_a_pole_not_at_all(value, coarse):
    assert coarsening.coarsen("geohash", value) == coarse


def encoded(latitude, longitude, characters):
    """A geohash, by the book: halve and keep the half."""
    bits, south, north, west, east = "", -90.0, 90.0, -180.0, 180.0
    while len(bits) < 5 * characters:
        if len(bits) % 2:
            middle = (south + north) / 2
            south, north = (middle, north) if latitude >= middle else (south, middle)
            bits += "1" if latitude >= middle else "0"
        else:
            middle = (west + east) / 2
            west, east = (middle, east) if longitude >= middle else (west, middle)
            bits += "1" if longitude >= middle else "0"
    return "".join(coarsening.ALPHABET[int(bits[at : at + 5], 2)] for at in range(0, len(bits), 5)), (
        south,
        north,
        west,
        east,
    )


@QUICKLY
@given(st.floats(-89, 89), LONGITUDES, st.integers(5, 10))
def test_a_geohash_comes_out_wherever_its_cell_has_room_for_the_statutory_circle(latitude, longitude, characters):
    long, _ = encoded(latitude, longitude, characters)
    five, (south, north, west, east) = encoded(latitude, longitude, 5)
    side = (east - west) * DEGREE_M * math.cos(math.radians(max(abs(south), abs(north))))
    coarse = coarsening.coarsen("geohash", long)
    assert coarse in {five, None}
    if coarse is None:
        assert side / 2 < STATUTORY_M * 1.01  # the shortest degree is a hundredth shorter than the longest
    else:
        assert min(side * 1.01, (north - south) * DEGREE_M * 1.01) / 2 > STATUTORY_M
    assert coarse or abs(latitude) > 72


@pytest.mark.parametrize("pole", [1, -1])
def test_the_end_of_a_geohashs_cell_that_is_nearer_the_pole_decides(pole):
    for step in range(7500, 7900):
        text, (south, north, _, _) = encoded(pole * step / 100, 25, 5)
        edge = max(abs(south), abs(north))
        assert (coarsening.coarsen("geohash", text) is None) == coarsening.precise(coarsening.geohash(edge, 5)), (
            south,
            north,
        )


@pytest.mark.parametrize(
    ("value", "coarse"),
    [("872830828ffffff", True), ("862830827ffffff", True), ("882830828dfffff", False), ("8f2830828052d25", False),
     ("hello", False), ("", False), ("0x872830828ffffff", False), (7, False)],
    ids=repr,
)  # fmt: skip
def test_an_h3_cell_leaves_up_to_resolution_seven(value, coarse):
    assert coarsening.coarsen("h3", value) == (value if coarse else None)


@pytest.mark.parametrize(
    ("fields", "coarse"),
    [
        ({"lat": 45.52, "lon": -122.68}, {"lat": 45.5, "lon": -122.7}),
        ({"geo.lat": 45.52, "geo.lon": -122.68, "accuracy": 9000}, {"geo.lat": 45.5, "geo.lon": -122.7}),
        ({"lat": 85, "lon": -122.68}, {}),
        ({"lat": "north", "lon": -122.68}, {}),
        ({"lat": 45.52, "lon": None}, {"lat": 45.5}),
        ({"geohash": "c20fbm", "lat": 45.52, "lon": -122.68}, {"lat": 45.5, "lon": -122.7}),
        ({"h3": "872830828ffffff", "geohash": "c20fbm", "metro": 820}, {"geohash": "c20fb"}),
        ({"h3": "872830828ffffff", "metro": 820}, {"h3": "872830828ffffff"}),
        ({"metro": "820", "zip": "97201"}, {"metro": "820"}),
        ({"zip": "97201", "speed": 3}, {}),
        ({"lat": "north", "geohash": "c20fbm"}, {}),
        ({}, {}),
    ],
    ids=repr,
)
def test_a_place_is_said_in_one_way_or_not_at_all_so_that_two_cells_do_not_meet_in_a_sliver(fields, coarse):
    assert coarsening.coarsen_point(fields) == coarse


@QUICKLY
@given(st.text(max_size=12), st.one_of(st.floats(), st.integers(), st.text(), st.none(), st.booleans(), st.binary()))
def test_any_field_and_value_come_out_coarse_or_not_at_all(field, value):
    for name in (field, "lat", "lon"):
        coarse = coarsening.coarsen(name, value)
        assert coarse is None or coarse == round(coarse, 1)
    coarse = coarsening.coarsen("geohash", value)
    assert coarse is None or len(coarse) <= 5
