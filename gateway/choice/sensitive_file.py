"""Reads the text of the operator's file of sensitive places: CSV with `lat,lon,radius_m`, or GeoJSON.

A line or feature that cannot be read refuses the whole file: a place that is left out silently is a person at a clinic.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.choice import coarsening
from gateway.choice.sensitive import Circle, Polygon, Ring, Shape, on_earth
from gateway.signals import lines

LEAST_CORNERS = 3
COLUMNS = lines.Columns(("lat", "lon", "radius_m"), ("lat", "lon", "radius_m"), others=True)


def read_shapes(text: str, *, geojson: bool) -> list[Shape]:
    """Raises ValueError, which names the line or the feature and never more of it than its number."""
    shapes = list(_features(text) if geojson else _lines(text))
    if not shapes:
        raise ValueError("it lists no place")
    return shapes


def _lines(text: str) -> Iterator[Shape]:
    for row in COLUMNS.rows(lines.of_body(text.encode(), lines.ANY)):
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
    return _circle(*(row.cells[name] for name in COLUMNS.known))


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
    return Circle(*_point(latitude, longitude), metres)


def _ring(points: Sequence[Sequence[object]]) -> Ring:
    ring = tuple(_point(latitude, longitude)[::-1] for longitude, latitude, *_ in points)
    if len(set(ring)) < LEAST_CORNERS:
        raise ValueError("an outline has three corners at least")
    return ring


def _point(latitude: object, longitude: object) -> tuple[float, float]:
    north, east = coarsening.number(latitude), coarsening.number(longitude)
    if north is None or east is None or not on_earth(north, east):
        raise ValueError("lat is within 90 degrees and lon within 180")
    return north, east
