"""Coarsening: what counts as a precise location, and how a location or an internet address is made coarse enough to
leave. `rows`, `openrtb` and `consent.places` call it.

California's test of a location is an area, at most that of a circle of 1,850 ft radius (0.9989 km2, section
1798.140(w)); Virginia, Connecticut and most others ask for a radius, 1,750 ft. The radius is read strictly: whatever
has no room for a circle of 1,850 ft is precise, so what passes passes in every state.

Two decimals pass nowhere by that reading, and by the area alone only south of 36.12 N (L67). One decimal passes up to
84.15 degrees and a geohash of five characters up to 76.6; what lies nearer a pole is dropped.

A whole internet address is a device's own number: /24 is what every exchange keeps of IPv4; of IPv6 a /56 or a /64 is
commonly one household's, so /48. What cannot be read is dropped. Whom an address belongs to is never looked up here.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

Coarse = float | str

FOOT_M = 0.3048  # the international foot
WIDEST_FEET = 1850  # California; the others' 1,750 ft lie inside it
EQUATOR_M = 6_378_137.0  # WGS84: the semi-major axis
ECCENTRICITY_2 = 0.006_694_379_990_14  # WGS84: the square of the first eccentricity
SMALLEST_H3_7_KM2 = 2.604_669  # the pentagons of resolution 7 (uber/h3, table of cell areas); each step divides by 7
PENTAGON = 5 * math.tan(math.pi / 5)  # its area by the square of the radius of the circle inside it
DECIMALS = 1  # with CHARACTERS: the finest grids that pass both of the law's tests
CHARACTERS = 5
LONGEST = 24  # characters of a geohash: 60 bits each way are finer than a double
ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"  # geohash: five bits a character, longitude first
METRO_CODE = re.compile(r"[5-8][0-9]{2}")
H3_INDEX = re.compile(r"[0-9a-fA-F]{15,16}")
KINDS: Mapping[str, str] = {
    **dict.fromkeys(("lat", "latitude"), "lat"),
    **dict.fromkeys(("lon", "lng", "long", "longitude"), "lon"),
    **dict.fromkeys(("geohash", "geo_hash"), "geohash"),
    **dict.fromkeys(("h3", "h3_index"), "h3"),
    **dict.fromkeys(("metro", "dma"), "metro"),
    **dict.fromkeys(("zip", "zipcode", "zip_code", "postal", "postal_code", "postcode"), "zip"),
    **dict.fromkeys(("accuracy", "horizontal_accuracy"), "accuracy"),
}
WAYS = (("lat", "lon"), ("geohash",), ("h3",), ("metro",))  # of saying a place; the first of them that is there goes


@dataclass(frozen=True, slots=True)
class Ground:
    """What a value stands for: its area in km2, and the radius in metres of the largest circle inside it."""

    km2: float
    radius_m: float


def precise_by_area(ground: Ground, feet: float = WIDEST_FEET) -> bool:
    """California's test: no larger than a circle of so many feet radius."""
    return ground.km2 <= circle(feet * FOOT_M).km2


def precise_by_radius(ground: Ground, feet: float = WIDEST_FEET) -> bool:
    """The other states' test, read strictly: no circle of so many feet radius fits into it."""
    return ground.radius_m <= feet * FOOT_M


def precise(ground: Ground) -> bool:
    """By either test, at the widest circle of any state."""
    return precise_by_area(ground) or precise_by_radius(ground)


def circle(radius_m: float) -> Ground:
    """A point with an accuracy of so many metres."""
    return Ground(math.pi * (radius_m / 1000) ** 2, radius_m)


ZIP = circle(0)  # a ZIP code can be one building's: a place by it is precise, whichever it is
METRO = circle(1290)  # made of counties; the smallest of them, Falls Church, has 5.3 km2


def cell(latitude: float, height: float, width: float) -> Ground:
    """So many degrees north to south and west to east, on the WGS84 ellipsoid at that latitude."""
    sine = math.sin(math.radians(latitude))
    flattening = 1 - ECCENTRICITY_2 * sine * sine
    tall = math.radians(height) * EQUATOR_M * (1 - ECCENTRICITY_2) / flattening**1.5
    wide = math.radians(width) * EQUATOR_M * math.cos(math.radians(latitude)) / math.sqrt(flattening)
    return Ground(tall * wide / 1e6, min(tall, wide) / 2)


def decimals(latitude: float, digits: int) -> Ground:
    """Coordinates rounded to so many decimals of a degree."""
    return cell(latitude, 10.0**-digits, 10.0**-digits)


def geohash(latitude: float, characters: int) -> Ground:
    """A geohash of so many characters: of its bits the odd ones halve the longitude, the even ones the latitude."""
    bits = 5 * characters
    return cell(latitude, 180 / 2 ** (bits // 2), 360 / 2 ** (bits - bits // 2))


def h3(resolution: int) -> Ground:
    """The smallest cell of an H3 resolution, a pentagon."""
    km2 = SMALLEST_H3_7_KM2 * 7.0 ** (7 - resolution)
    return Ground(km2, 1000 * math.sqrt(km2 / PENTAGON))


def coarsen_point(fields: Mapping[str, object]) -> dict[str, object]:
    """What may leave of a place, by field. One way of saying it, the first of `WAYS`: of two grids the cells overlap
    in slivers, which are precise. A coordinate that has to be dropped takes the others with it, and whatever is no
    place (accuracy, speed, time zone) never goes along (I29).
    """
    for way in WAYS:
        coarse = {
            name: coarsen(name, value) for name, value in fields.items() if value is not None and kind(name) in way
        }
        if coarse:
            return {} if None in coarse.values() else dict(coarse)
    return {}


def coarsen(field: str, value: object) -> Coarse | None:
    """A coordinate at one decimal, a geohash of five characters, an H3 cell or a metro that is coarse as it stands;
    None where it is to be dropped: it is none of them, cannot be read, or lies so near a pole that even this would be
    precise.
    """
    coarsener = COARSENERS.get(kind(field))
    return coarsener(value) if coarsener else None


def kind(field: str) -> str:
    """What a field holds by its name (`geo.lat` is `lat`), else nothing."""
    return KINDS.get(field.lower().rpartition(".")[2], "")


def number(value: object) -> float | None:
    """A finite number from a number or its text, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def nearest(degrees: float, digits: int) -> float:
    """Rounded to the nearest, on both sides of zero alike: cutting off moves every American a kilometre east."""
    return round(degrees, digits) + 0.0  # + 0.0: no "-0.0" that would tell the side of a line


def _latitude(value: object) -> float | None:
    degrees = number(value)
    if degrees is None or abs(degrees) > 90:  # noqa: PLR2004 - a pole
        return None
    coarse = nearest(degrees, DECIMALS)
    edge = min(abs(coarse) + 10.0**-DECIMALS / 2, 90.0)  # the cell's end nearer the pole, where it is narrowest
    return None if precise(decimals(edge, DECIMALS)) else coarse


def _longitude(value: object) -> float | None:
    degrees = number(value)
    if degrees is None or abs(degrees) > 180:  # noqa: PLR2004 - the date line
        return None
    coarse = nearest(degrees, DECIMALS)
    return -180.0 if coarse == 180 else coarse  # noqa: PLR2004 - one meridian, one name: else two half cells


def bounds(value: object) -> tuple[float, float, float, float] | None:
    """South, north, west and east of a geohash's cell, in degrees; None for what is none. Characters past `LONGEST`
    say nothing more.
    """
    text = value.strip().lower()[:LONGEST] if isinstance(value, str) else ""
    if not text or not set(text) <= set(ALPHABET):
        return None
    bits = "".join(f"{ALPHABET.index(character):05b}" for character in text)
    height, width = 180 / 2 ** len(bits[1::2]), 360 / 2 ** len(bits[::2])
    south, west = int(bits[1::2], 2) * height - 90, int(bits[::2], 2) * width - 180
    return south, south + height, west, west + width


def _geohash(value: object) -> str | None:
    text = value.strip().lower()[:CHARACTERS] if isinstance(value, str) else ""
    cut = bounds(text)
    if cut is None:
        return None
    return None if precise(geohash(max(abs(cut[0]), abs(cut[1])), len(text))) else text


def _h3(value: object) -> str | None:
    """A cell's index in hexadecimal: of its 64 bits those from 52 to 55 are the resolution (H3 index, mode 1)."""
    if not isinstance(value, str) or not H3_INDEX.fullmatch(value):
        return None
    return None if precise(h3(int(value, 16) >> 52 & 15)) else value


def is_metro(value: object) -> bool:
    """A code of three digits, from 500 to 899, as Nielsen and Google number them: a name could be any text, and most
    other such numbers are a country's.
    """
    text = str(value).strip() if isinstance(value, int | str) else ""
    return METRO_CODE.fullmatch(text) is not None


def _metro(value: object) -> Coarse | None:
    return value if isinstance(value, str | int) and is_metro(value) and not precise(METRO) else None


COARSENERS: Mapping[str, Callable[[object], Coarse | None]] = {
    "lat": _latitude,
    "lon": _longitude,
    "geohash": _geohash,
    "h3": _h3,
    "metro": _metro,
}


KEPT_BITS = {4: 24, 6: 48}
WITH_PORT = re.compile(r"\[(?P<six>[^\[\]]+)\](?::[0-9]{1,5})?|(?P<four>[0-9.]+):[0-9]{1,5}")


def truncate(value: object) -> str | None:
    """The network of an address, with zeros for the rest: /24 of IPv4, /48 of IPv6. Its port and zone go. Private and
    loopback addresses are treated alike. None for whatever is no address in text.
    """
    address = _read(value)
    if address is None:
        return None
    gone = address.max_prefixlen - KEPT_BITS[address.version]
    return str(type(address)(int(address) >> gone << gone))


def address(value: object) -> str | None:
    """The address itself, without port and zone, to be looked up."""
    read = _read(value)
    return None if read is None else str(read)


def _read(value: object) -> IPv4Address | IPv6Address | None:
    if not isinstance(value, str):
        return None
    text = value.strip()
    if found := WITH_PORT.fullmatch(text):
        text = found["six"] or found["four"]
    try:
        address = ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        return None
    return _inside(address) if isinstance(address, IPv6Address) else address


def _inside(address: IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address of a mapped one; and of 6to4, whose first 48 bits hold it whole (RFC 3056)."""
    return address.ipv4_mapped or address.sixtofour or address
