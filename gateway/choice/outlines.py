"""Outlines of places, by which a point tells where it lies: those that the operator draws (`[places] boundaries`), and
rectangles of every US state, which are shipped. `consent.places` asks them; the start reads the operator's.

Which rectangles count follows from the law: those of every place in which it bans points, exact or coarse, for a ban of
coarse ones binds both. No other shipped rule of a state is stricter than what the country says of such a point
everywhere, so no other rectangle could change what becomes of it, and a check looks at six and not at fifty-six. A ban
counts whatever its days and ages are: the places of a point are the same on every day, and so it is tightened a little
early. A ban in a place of which there is neither outline nor rectangle is refused at the start: it would hold for
whoever names the place, and for no point that lies in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.choice.place import PLACE, US
from gateway.choice.sensitive import LEAST_CORNERS, corner

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


# South, north, west and east of each state in degrees: its extreme points, rounded outwards. Alaska lies on both sides
# of the date line.
EXTREMES = """
AL 30.14 35.01 -88.48 -84.88 | AK 51.17 71.45 -180 -129.97 | AK 51.17 71.45 172.34 180 | AZ 31.33 37.01 -114.82 -109.04
AR 33.00 36.50 -94.62 -89.64 | CA 32.52 42.01 -124.49 -114.13 | CO 36.99 41.01 -109.07 -102.04
CT 40.95 42.06 -73.73 -71.78 | DE 38.45 39.84 -75.79 -74.98 | DC 38.79 39.00 -77.12 -76.90
FL 24.39 31.01 -87.64 -79.97 | GA 30.35 35.01 -85.61 -80.75 | HI 18.91 28.41 -178.34 -154.80
ID 41.98 49.01 -117.25 -111.04 | IL 36.97 42.51 -91.52 -87.49 | IN 37.77 41.77 -88.10 -84.78
IA 40.37 43.51 -96.64 -90.14 | KS 36.99 40.01 -102.06 -94.58 | KY 36.49 39.15 -89.58 -81.96
LA 28.92 33.02 -94.05 -88.81 | ME 42.97 47.46 -71.09 -66.94 | MD 37.88 39.73 -79.49 -74.98
MA 41.23 42.89 -73.51 -69.92 | MI 41.69 48.31 -90.42 -82.12 | MN 43.49 49.39 -97.24 -89.48
MS 30.17 35.00 -91.66 -88.09 | MO 35.99 40.62 -95.78 -89.09 | MT 44.35 49.01 -116.06 -104.03
NE 39.99 43.01 -104.06 -95.30 | NV 35.00 42.01 -120.01 -114.03 | NH 42.69 45.31 -72.56 -70.57
NJ 38.92 41.36 -75.57 -73.89 | NM 31.33 37.01 -109.06 -103.00 | NY 40.49 45.02 -79.77 -71.85
NC 33.84 36.59 -84.33 -75.45 | ND 45.93 49.01 -104.05 -96.55 | OH 38.40 42.00 -84.83 -80.51
OK 33.61 37.01 -103.01 -94.43 | OR 41.98 46.30 -124.71 -116.45 | PA 39.71 42.28 -80.53 -74.68
RI 41.14 42.02 -71.87 -71.11 | SC 32.03 35.22 -83.36 -78.54 | SD 42.47 45.95 -104.06 -96.43
TN 34.98 36.68 -90.32 -81.64 | TX 25.83 36.51 -106.65 -93.50 | UT 36.99 42.01 -114.06 -109.04
VT 42.72 45.02 -73.44 -71.46 | VA 36.54 39.47 -83.68 -75.24 | WA 45.54 49.01 -124.77 -116.91
WV 37.20 40.64 -82.65 -77.71 | WI 42.49 47.09 -92.89 -86.80 | WY 40.99 45.01 -111.06 -104.05
AS -14.56 -11.04 -171.10 -168.13 | GU 13.23 13.66 144.61 144.96 | MP 14.10 20.56 144.88 146.07
PR 17.87 18.53 -67.96 -65.22 | VI 17.67 18.42 -65.09 -64.56
"""
AROUND = 0.07  # degrees beyond them, over five kilometres: the three sea miles that are the state's, and a poor fix
NEAR = 0.4  # degrees: an outline drawn for a small map, of the land alone, still is the state's


def _boxes() -> dict[str, Boundary]:
    """Larger than the states, so a neighbour's point may count as theirs and leave coarse; never the reverse."""
    rings: dict[str, list[Ring]] = {}
    for line in EXTREMES.replace("|", "\n").strip().splitlines():
        state, *degrees = line.split()
        south, north, west, east = (float(each) for each in degrees)
        south, north, west, east = south - AROUND, north + AROUND, west - AROUND, east + AROUND
        rings.setdefault(f"{US}-{state}", []).append(((west, south), (east, south), (east, north), (west, north)))
    return {place: Boundary(place, tuple(found)) for place, found in rings.items()}


BOXES: Mapping[str, Boundary] = _boxes()


def boxes_beside(drawn: Iterable[Boundary], banning: Iterable[str]) -> tuple[Boundary, ...]:
    """The rectangles of the places in `banning` that nobody drew. Raises ValueError for a place that has neither, and
    for one that is drawn smaller than it is.
    """
    own: dict[str, list[Boundary]] = {}
    for outline in drawn:
        own.setdefault(outline.place, []).append(outline)
    wanted = sorted({place for each in banning for place in (BOXES if each == US and US not in own else (each,))})
    for place in wanted:
        if place not in own and place not in BOXES:
            raise ValueError(f"the law bans precise points in {place}, of which there is no outline")
        if place in own and place in BOXES and not _reaches(own[place], BOXES[place]):
            raise ValueError(f"the outline of {place} ends before the state does: a point in it would be sold")
    return tuple(BOXES[place] for place in wanted if place not in own)


def boundaries(geojson: object) -> list[Boundary]:
    """Outlines from a GeoJSON FeatureCollection whose features have a property `place`. Raises ValueError, which
    names the feature: an outline that is left out silently is a state.
    """
    features = geojson.get("features") if isinstance(geojson, Mapping) else None
    if not isinstance(features, list) or not features:
        raise ValueError("no GeoJSON FeatureCollection with a feature in it")
    return [_outline(number, feature) for number, feature in enumerate(features)]


def _outline(number: int, feature: object) -> Boundary:
    try:
        place, geometry = feature["properties"]["place"], feature["geometry"]  # type: ignore[index]
        polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
        rings = tuple(tuple(corner(x, y) for x, y, *_ in ring) for polygon in polygons for ring in polygon)
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        raise ValueError(f"feature {number} wants properties.place and a Polygon or MultiPolygon on earth") from None
    if not isinstance(place, str) or not PLACE.fullmatch(place):
        raise ValueError(f"feature {number}: its place is none: write ISO 3166-2, US-OR")
    if not rings or min(len(set(ring)) for ring in rings) < LEAST_CORNERS:
        raise ValueError(f"feature {number}: an outline has three corners at least")
    return Boundary(place, rings)


def _reaches(outlines: Iterable[Boundary], box: Boundary) -> bool:
    """Whether they are as wide and as high as the state that a law names, but for some kilometres."""
    return all(abs(mine - built) <= NEAR for mine, built in zip(_extent(outlines), _extent([box]), strict=True))


def _extent(outlines: Iterable[Boundary]) -> tuple[float, float, float, float]:
    points = [point for outline in outlines for ring in outline.rings for point in ring]
    longitudes, latitudes = zip(*points, strict=True) if points else ((0.0,), (0.0,))
    return min(longitudes), max(longitudes), min(latitudes), max(latitudes)
