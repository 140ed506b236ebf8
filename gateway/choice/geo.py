"""Location: what counts as precise, and coarsening that is not.

California's test is an area, a circle of 1,850 ft radius: 0.9989 km2 (section 1798.140(w)). Rounding to two decimals
stays below it north of about 36 degrees; one decimal gives a cell of at least 9.6 km2 up to 85 degrees
(11.12 km x 11.12 km x cos 85), so one decimal it is, and what lies nearer a pole is dropped (law.md L67).
"""

import math

PRECISE_AREA_KM2 = math.pi * (1850 * 0.3048 / 1000) ** 2
DECIMALS = 1
MAX_LATITUDE = 85.0
LATITUDE = frozenset({"lat", "latitude"})
LONGITUDE = frozenset({"lon", "lng", "long", "longitude"})


def coarsen(field: str, value: object) -> float | None:
    """A coordinate at one decimal, or None where it is to be dropped: whatever is no coordinate (accuracy, speed,
    heading, time zone) and whatever cannot be read leaves with it (I29).
    """
    limit = {"lat": MAX_LATITUDE, "lon": 180.0}.get(axis(field))
    degrees = number(value)
    if limit is None or degrees is None or not -limit <= degrees <= limit:
        return None
    return round(degrees, DECIMALS) + 0.0  # + 0.0: no "-0.0" that would tell the side of a line


def axis(field: str) -> str:
    """`lat` or `lon` by a field's name (`geo.lat` included), else nothing."""
    name = field.lower().rpartition(".")[2]
    return "lat" if name in LATITUDE else "lon" if name in LONGITUDE else ""


def number(value: object) -> float | None:
    """A finite number from a number or its text, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def cell_area_km2(latitude: float, decimals: int) -> float:
    """The area that one rounded coordinate pair stands for, at the cell's edge nearer the pole."""
    side = 10.0**-decimals
    edge = min(abs(latitude) + side / 2, 90.0)
    kilometres = side * 111.195  # one degree of a great circle of 6,371 km radius
    return kilometres * kilometres * math.cos(math.radians(edge))
