"""Which places a call is about: every one that is known, for the strictest to hold (R13). Checks and the site ask it.

A place is ISO 3166-2 (`US-CA`) or 3166-1 (`DE`). It comes from the caller's `place`, from `geo` in OpenRTB's spelling,
from coordinates when the operator has state boundaries, or from an IP looked up and forgotten. What cannot be read is
no place, and no place at all is the opt-in regime.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from gateway.choice import coarsening
from gateway.choice.law import UNREADABLE_PLACE
from gateway.choice.sensitive import LEAST_CORNERS, SensitivePlaces, on_earth

CODE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
# OpenRTB writes countries in alpha-3. Only where subdivisions matter to a rule is a translation needed; every other
# country is foreign whatever its name, and keeps the opt-in regime.
ALPHA_3 = {"USA": "US", "CAN": "CA", "GBR": "GB", "DEU": "DE", "FRA": "FR", "ESP": "ES", "MEX": "MX"}
FOREIGN = UNREADABLE_PLACE  # a country that we have no name for
MAX_PLACES = 16
LONGEST = 12  # of a place as people write it; what is longer is not remembered
SUBDIVISION = 3


class AddressBook(Protocol):
    """The operator's own IP database (maxminddb.Reader)."""

    def get(self, ip_address: str) -> object: ...


Ring = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Boundary:
    """The outline of one place, (longitude, latitude) points."""

    place: str
    rings: tuple[Ring, ...]

    def holds(self, longitude: float, latitude: float) -> bool:
        inside = False
        for ring in self.rings:
            for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
                between = (y1 > latitude) != (y2 > latitude)
                if between and longitude < (x2 - x1) * (latitude - y1) / (y2 - y1) + x1:
                    inside = not inside
        return inside


def _box(place: str, south: float, north: float, west: float, east: float) -> Boundary:
    return Boundary(place, (((west, south), (east, south), (east, north), (west, north)),))


# Without the operator's boundaries: the rectangles around the states that ban selling a precise point, by their extreme
# points. Larger than the states, so a neighbour's point may count as theirs and leave coarse; never the reverse.
BOXES = (_box("US-MD", 37.88, 39.73, -79.49, -74.98), _box("US-OR", 41.98, 46.30, -124.71, -116.45))


NEAR = 0.3  # degrees: an outline drawn for a small map still is the state's


def _spoken(place: object) -> Iterable[str]:
    if place is None:
        return
    said = place if isinstance(place, list) else [place]
    for item in said[:MAX_PLACES]:
        code = item.strip().upper() if isinstance(item, str) else FOREIGN
        if code:
            yield code if CODE.fullmatch(code) else FOREIGN
    if len(said) > MAX_PLACES:
        yield FOREIGN  # a stricter one may be among the rest


@lru_cache(maxsize=1024)
def _named(place: str | None) -> frozenset[str]:
    """Most calls name one place, and nothing else."""
    return frozenset(_spoken(place))


class Places:
    """Resolves places. `addresses`, `boundaries` and `sensitive` are the operator's, all optional."""

    def __init__(
        self,
        addresses: AddressBook | None = None,
        boundaries: Iterable[Boundary] = (),
        sensitive: SensitivePlaces | None = None,
    ) -> None:
        self._sensitive = sensitive or SensitivePlaces()
        self._addresses = addresses
        self._boundaries = tuple(boundaries)
        named = {outline.place for outline in self._boundaries}
        self._outlines = (*self._boundaries, *(box for box in BOXES if box.place not in named))

    def of(self, place: object = None, geo: object = None, ip: object = None) -> frozenset[str]:
        """All of them together: nobody may loosen a rule by naming one place more (R13). A place that was sent and
        cannot be read counts as foreign. `geo` and `ip` may be several each.
        """
        if geo is None and ip is None and (place is None or (isinstance(place, str) and len(place) <= LONGEST)):
            return _named(place)
        spots, addresses = _several(geo), _several(ip)
        said = {*_spoken(place)}.union(*map(self._geo, spots), *map(self._address, addresses))
        said |= {FOREIGN for spot in spots if _is_astray(spot, said)}
        return frozenset(said.union(*(self._standing_at(spot, bool(said)) for spot in spots)))

    def are_sensitive(self, geo: object) -> bool:
        """Whether one of the spots that `geo` names may lie in a sensitive place (L70)."""
        return bool(self._sensitive) and any(map(self._sensitive.tells_of_one, _several(geo)))

    def _geo(self, geo: object) -> set[str]:
        if not isinstance(geo, Mapping):
            return set() if geo is None else {FOREIGN}
        country, region = geo.get("country"), geo.get("region")
        if _is_blank(country):
            return set()
        if not isinstance(country, str):
            return {FOREIGN}
        code = country.strip().upper()
        code = ALPHA_3.get(code, code if len(code) == len(FOREIGN) else FOREIGN)
        if isinstance(region, str) and 0 < len(region.strip()) <= SUBDIVISION:
            code = f"{code}-{region.strip().upper()}"
        return {code if CODE.fullmatch(code) else FOREIGN}

    def _standing_at(self, geo: object, known: bool) -> set[str]:
        """The places of coordinates. A box is too coarse to say where somebody is; it only adds to what is known."""
        if not isinstance(geo, Mapping) or not (self._boundaries or known):
            return set()
        return self.at(geo.get("lat"), geo.get("lon"))

    def at(self, latitude: object, longitude: object) -> set[str]:
        """The places whose outline holds a point."""
        north, east = coarsening.number(latitude), coarsening.number(longitude)
        if north is None or east is None:
            return set()
        return {outline.place for outline in self._outlines if outline.holds(east, north)}

    def _address(self, ip: object) -> set[str]:
        if self._addresses is None or not isinstance(ip, str):
            return set()
        try:
            found = self._addresses.get(ip)
        except ValueError:
            return set()
        if not isinstance(found, Mapping):
            return set()
        country = _iso(found.get("country"))
        parts = found.get("subdivisions")
        part = _iso(parts[0]) if isinstance(parts, list) and parts else ""
        return {f"{country}-{part}" if part else country} if country else set()


def _is_blank(stated: object) -> bool:
    return stated is None or (isinstance(stated, str) and not stated.strip())


def _is_astray(geo: object, said: Iterable[str]) -> bool:
    """Whether a region is named without its country, which no place that was said tells: neither one of that region nor
    a country alone, which is as strict as the strictest of its regions.
    """
    if not isinstance(geo, Mapping) or not _is_blank(geo.get("country")) or _is_blank(geo.get("region")):
        return False
    return all(each.partition("-")[2] not in {"", str(geo["region"]).strip().upper()} for each in said)


def _several(stated: object) -> Sequence[object]:
    return stated if isinstance(stated, tuple) else (stated,)


def _iso(record: object) -> str:
    code = record.get("iso_code") if isinstance(record, Mapping) else None
    return code if isinstance(code, str) else ""


def boundaries(geojson: object) -> list[Boundary]:
    """Outlines from a GeoJSON FeatureCollection whose features have a property `place`. Raises ValueError, which
    names the feature: an outline that is left out silently is a state.
    """
    features = geojson.get("features") if isinstance(geojson, Mapping) else None
    if not isinstance(features, list) or not features:
        raise ValueError("no GeoJSON FeatureCollection with a feature in it")
    found = [_outline(number, feature) for number, feature in enumerate(features)]
    for box in BOXES:
        own = [outline for outline in found if outline.place == box.place]
        if own and not _reaches(own, box):
            raise ValueError(f"the outline of {box.place} ends before the state does: a point in it would be sold")
    return found


def _outline(number: int, feature: object) -> Boundary:
    try:
        place, geometry = feature["properties"]["place"], feature["geometry"]  # type: ignore[index]
        polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
        rings = tuple(tuple(_corner(point) for point in ring) for polygon in polygons for ring in polygon)
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        raise ValueError(f"feature {number} wants properties.place and a Polygon or MultiPolygon on earth") from None
    if not isinstance(place, str) or not CODE.fullmatch(place):
        raise ValueError(f"feature {number}: its place is none: write ISO 3166-2, US-OR")
    if not rings or min(len(set(ring)) for ring in rings) < LEAST_CORNERS:
        raise ValueError(f"feature {number}: an outline has three corners at least")
    return Boundary(place, rings)


def _corner(point: Sequence[object]) -> tuple[float, float]:
    """Raises ValueError for one that is not on earth."""
    east, north = coarsening.number(point[0]), coarsening.number(point[1])
    if east is None or north is None or not on_earth(north, east):
        raise ValueError
    return east, north


def _reaches(outlines: Iterable[Boundary], box: Boundary) -> bool:
    """Whether they are as wide and as high as the state that a law names, but for some kilometres."""
    return all(abs(mine - built) <= NEAR for mine, built in zip(_extent(outlines), _extent([box]), strict=True))


def _extent(outlines: Iterable[Boundary]) -> tuple[float, float, float, float]:
    points = [point for outline in outlines for ring in outline.rings for point in ring]
    longitudes, latitudes = zip(*points, strict=True) if points else ((0.0,), (0.0,))
    return min(longitudes), max(longitudes), min(latitudes), max(latitudes)
