"""Sensitive places: clinics, shelters, houses of worship and the like, which the operator lists (L70; the FTC's orders
against X-Mode, Gravy and Kochava). `consent.places` asks whether a point may lie in one: whoever was there is not told
of to anybody outside, exactly or coarsely.

The operator's file is CSV with `lat,lon,radius_m`, or GeoJSON. A line or feature that cannot be read refuses the whole
file: a place that is left out silently is a person at a clinic. 100,000 shapes are found by a grid of cells; what spans
too many of them, and what lies at a pole, is looked at one by one.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.choice import coarsening
from gateway.signals import lines

EARTH_M = 6_371_008.8  # mean radius (IUGG); a place's own radius is nowhere known to half a percent
DEGREE_M = math.radians(1) * EARTH_M
CELL = 0.05  # degrees, about 5 km: one or a few cells for a place, a handful for a point with its margin
COLUMNS = round(360 / CELL)
MOST_CELLS = 4096  # of one place: a larger one is looked at for every point
POLES, HALF_TURN = 90, 180
POLE = 85.0  # degrees; nearer a pole a metre is too many degrees of longitude
MOST_MARGIN_M = 10_000.0  # a point that is known no better may lie in some sensitive place wherever it is

Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Circle:
    """`radius_m` metres around a point, in degrees."""

    latitude: float
    longitude: float
    radius_m: float

    def touches(self, latitude: float, longitude: float, margin_m: float) -> bool:
        shrink = math.cos(math.radians((latitude + self.latitude) / 2))  # a plane that is true halfway
        east = _turned(self.longitude - longitude) * shrink * DEGREE_M
        return math.hypot(east, (self.latitude - latitude) * DEGREE_M) <= self.radius_m + margin_m

    def box(self) -> tuple[float, float, float, float]:
        """South, north, west, east in degrees; west may lie below -180, east above 180."""
        return _around(self.latitude, self.longitude, self.radius_m)


@dataclass(frozen=True, slots=True)
class Polygon:
    """Rings of (longitude, latitude), the first its outline, further ones its holes."""

    rings: tuple[Ring, ...]

    def touches(self, latitude: float, longitude: float, margin_m: float) -> bool:
        inside, shrink = False, math.cos(math.radians(latitude))
        for ring in self.rings:
            # Straight in degrees (RFC 7946, 3.1.1), and so straight on a plane of one latitude. Whole: counted from its
            # own first corner, or the far side of the earth would cut it in two.
            first = ring[0][0]
            east = _turned(first - longitude)
            around = [((east + _turned(x - first)) * shrink * DEGREE_M, (y - latitude) * DEGREE_M) for x, y in ring]
            for start, end in zip(around, [*around[1:], around[0]], strict=True):
                if _to_line(start, end) <= margin_m:
                    return True
                if (start[1] > 0) != (end[1] > 0):
                    inside ^= start[0] - start[1] * (end[0] - start[0]) / (end[1] - start[1]) > 0
        return inside

    def box(self) -> tuple[float, float, float, float]:
        first = self.rings[0][0][0]
        east = [first + _turned(x - first) for x, _ in self.rings[0]]  # across the date line, too
        north = [y for _, y in self.rings[0]]
        return min(north), max(north), min(east), max(east)


Shape = Circle | Polygon


class SensitivePlaces:
    """An index of shapes. `margin_m`: what is added around each of them."""

    def __init__(self, shapes: Iterable[Shape] = (), margin_m: float = 0.0) -> None:
        self._margin = margin_m
        self._cells: dict[int, list[Shape]] = {}
        self._everywhere: list[Shape] = []
        for shape in shapes:
            self._put(shape)

    def __bool__(self) -> bool:
        return bool(self._cells or self._everywhere)

    def _put(self, shape: Shape) -> None:
        cells = _cells(*shape.box(), MOST_CELLS)
        if cells is None:
            self._everywhere.append(shape)
        for cell in cells or ():
            self._cells.setdefault(cell, []).append(shape)

    def near(self, latitude: float, longitude: float, accuracy_m: float = 0.0) -> bool:
        """Whether a point, known to so many metres, may lie in one of them."""
        margin = self._margin + max(accuracy_m, 0.0)
        if not self:
            return False
        if margin > MOST_MARGIN_M + self._margin or not math.isfinite(margin):
            return True
        return any(
            shape.touches(latitude, longitude, margin) for shape in self._candidates(latitude, longitude, margin)
        )

    def _candidates(self, latitude: float, longitude: float, margin: float) -> Iterator[Shape]:
        yield from self._everywhere
        cells = _cells(*_around(latitude, longitude, margin), MOST_CELLS)
        if cells is None:  # near a pole
            for shapes in self._cells.values():
                yield from shapes
        for cell in cells or ():
            yield from self._cells.get(cell, ())

    def tells_of_one(self, spot: object) -> bool:
        """Whether what a caller says of a place may be in one: `lat` and `lon` with `accuracy`, a `geohash`. Where
        coordinates are said and cannot be read, or in a form that is not read here (`h3`, `zip`), it may be.
        """
        if not self or not isinstance(spot, Mapping):
            return False
        said = {
            coarsening.kind(name): value for name, value in spot.items() if value is not None and coarsening.kind(name)
        }
        if "h3" in said or "zip" in said:
            return True
        if "geohash" in said and self._in_geohash(said["geohash"]):
            return True
        if not {"lat", "lon"} & said.keys():
            return False
        latitude, longitude = coarsening.number(said.get("lat")), coarsening.number(said.get("lon"))
        accuracy = coarsening.number(said.get("accuracy", 0))
        if latitude is None or longitude is None or accuracy is None or not on_earth(latitude, longitude):
            return True
        return self.near(latitude, longitude, accuracy)

    def _in_geohash(self, value: object) -> bool:
        """A cell as its middle, known to the distance of its corners."""
        bounds = coarsening.bounds(value)
        if bounds is None:
            return True
        south, north, west, east = bounds
        middle = ((south + north) / 2, (west + east) / 2)
        corner = min((abs(south), abs(north))) if south * north > 0 else 0.0  # where the cell is widest
        wide = (east - west) / 2 * DEGREE_M * math.cos(math.radians(corner))
        return self.near(*middle, math.hypot(wide, (north - south) / 2 * DEGREE_M))


def on_earth(latitude: float, longitude: float) -> bool:
    """Whether these are degrees of a point."""
    return abs(latitude) <= POLES and abs(longitude) <= HALF_TURN


def _turned(degrees: float) -> float:
    """A difference of longitudes, from -180 to 180."""
    return (degrees + 180.0) % 360.0 - 180.0


def _to_line(start: tuple[float, float], end: tuple[float, float]) -> float:
    """Metres from where one stands, (0, 0), to a stretch."""
    east, north = end[0] - start[0], end[1] - start[1]
    length = east * east + north * north
    along = 0.0 if length == 0 else max(0.0, min(1.0, -(start[0] * east + start[1] * north) / length))
    return math.hypot(start[0] + along * east, start[1] + along * north)


def _around(latitude: float, longitude: float, metres: float) -> tuple[float, float, float, float]:
    """A box that holds every point within so many metres; a hundredth larger, for what a plane leaves out."""
    north = metres * 1.01 / DEGREE_M
    farthest = min(abs(latitude) + north, 90.0)
    shrink = math.cos(math.radians(farthest))
    east = 180.0 if farthest > POLE else min(north / shrink, 180.0)
    return latitude - north, latitude + north, longitude - east, longitude + east


def _cells(south: float, north: float, west: float, east: float, most: int) -> Sequence[int] | None:
    """The cells that a box meets; None: more than `most`, or it reaches a pole."""
    rows = range(math.floor((max(south, -90.0) + 90.0) / CELL), math.floor((min(north, 90.0) + 90.0) / CELL) + 1)
    columns = range(math.floor((west + 180.0) / CELL), math.floor((east + 180.0) / CELL) + 1)
    if len(rows) * len(columns) > most or max(abs(south), abs(north)) > POLE:
        return None
    return [row * COLUMNS + column % COLUMNS for row in rows for column in columns]


LEAST_CORNERS = 3
FILE_COLUMNS = lines.Columns(("lat", "lon", "radius_m"), ("lat", "lon", "radius_m"), others=True)


def read_shapes(text: str, *, geojson: bool) -> list[Shape]:
    """Raises ValueError, which names the line or the feature and never more of it than its number."""
    shapes = list(_features(text) if geojson else _lines(text))
    if not shapes:
        raise ValueError("it lists no place")
    return shapes


def _lines(text: str) -> Iterator[Shape]:
    for row in FILE_COLUMNS.rows(lines.of_body(text.encode(), lines.ANY)):
        if isinstance(row, lines.Empty):
            continue
        try:
            yield _of_row(row)
        except ValueError as error:
            raise ValueError(f"line {row.number}: {error}") from None


def _of_row(row: lines.ListRow | lines.RefusedLine) -> Circle:
    if isinstance(row, lines.RefusedLine):
        raise ValueError(row.why)  # noqa: TRY004 - one error for whatever cannot be read
    if {lines.MORE, lines.FEWER}.intersection(row.why):
        raise ValueError(row.why[0])
    return _circle(*(row.cells[name] for name in FILE_COLUMNS.known))


def _features(text: str) -> Iterator[Shape]:
    try:
        collection = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(collection, dict) or not isinstance(collection.get("features"), list):
        raise ValueError("no GeoJSON FeatureCollection")  # noqa: TRY004 - one error for whatever cannot be read
    features: list[Any] = collection["features"]
    for number, feature in enumerate(features):
        try:
            yield from _of_feature(feature)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise ValueError(f"feature {number}: {error}") from None


def _of_feature(feature: Mapping[str, Any]) -> Iterator[Shape]:
    geometry = feature["geometry"]
    kind, coordinates = geometry["type"], geometry["coordinates"]
    if kind == "Point":
        yield _circle(coordinates[1], coordinates[0], (feature.get("properties") or {}).get("radius_m"))
    elif kind == "Polygon":
        yield Polygon(tuple(map(_ring, coordinates)))
    elif kind == "MultiPolygon":
        for polygon in coordinates:
            yield Polygon(tuple(map(_ring, polygon)))
    else:
        raise ValueError("a Point with radius_m, a Polygon or a MultiPolygon")


def _circle(latitude: object, longitude: object, radius: object) -> Circle:
    metres = coarsening.number(radius)
    if metres is None or metres <= 0:
        raise ValueError("radius_m is a number of metres above 0")
    east, north = corner(longitude, latitude)
    return Circle(north, east, metres)


def _ring(points: Sequence[Sequence[object]]) -> Ring:
    ring = tuple(corner(x, y) for x, y, *_ in points)
    if len(set(ring)) < LEAST_CORNERS:
        raise ValueError("an outline has three corners at least")
    return ring


def corner(longitude: object, latitude: object) -> tuple[float, float]:
    """A point as GeoJSON has it. Raises ValueError for one that is not on earth."""
    east, north = coarsening.number(longitude), coarsening.number(latitude)
    if east is None or north is None or not on_earth(north, east):
        raise ValueError("lat is within 90 degrees and lon within 180")
    return east, north
