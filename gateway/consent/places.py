"""Which places a call is about: every one that is known, for the strictest to hold (R13). Checks and the site ask it.

A place is ISO 3166-2 (`US-CA`) or 3166-1 (`DE`). It comes from the caller's `place`, from `geo` in OpenRTB's spelling,
from coordinates (`outlines`), or from an IP looked up and forgotten. What cannot be read is no place, and no place at
all is the opt-in regime.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Protocol

from gateway.choice import coarsening
from gateway.choice.outlines import BOXES, Boundary, boxes_beside
from gateway.choice.place import ALPHA_3, UNREADABLE_PLACE
from gateway.choice.place import PLACE as CODE
from gateway.choice.sensitive import SensitivePlaces

FOREIGN = UNREADABLE_PLACE  # a country that we have no name for
MAX_PLACES = 16
LONGEST = 12  # of a place as people write it; what is longer is not remembered
SUBDIVISION = 3


class AddressBook(Protocol):
    """The operator's own IP database (maxminddb.Reader)."""

    def get(self, ip_address: str) -> object: ...


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
    """Resolves places. `addresses`, `boundaries` and `sensitive` are the operator's, all optional. `banning`: the
    places in which the law bans precise points; without that every state is taken for one. Raises ValueError for one of
    which there is no outline, or one that is too small.
    """

    def __init__(
        self,
        addresses: AddressBook | None = None,
        boundaries: Iterable[Boundary] = (),
        sensitive: SensitivePlaces | None = None,
        banning: Iterable[str] = BOXES,
    ) -> None:
        self._sensitive = sensitive or SensitivePlaces()
        self._addresses = addresses
        self._boundaries = tuple(boundaries)
        self._boxes = boxes_beside(self._boundaries, banning)

    def of(self, place: object = None, geo: object = None, ip: object = None) -> frozenset[str]:
        """All of them together: nobody may loosen a rule by naming one place more (R13). A place that was sent and
        cannot be read counts as foreign. `geo` and `ip` may be several each.
        """
        if geo is None and ip is None and (place is None or (isinstance(place, str) and len(place) <= LONGEST)):
            return _named(place)
        spots, addresses = _several(geo), _several(ip)
        said = {*_spoken(place)}.union(*map(self._geo, spots), *map(self._address, addresses))
        said |= {place for spot in spots for place in _of_region(spot, said)}
        said = said.union(*(self._drawn_at(_point_of(spot)) for spot in spots))
        # A box and a cell are too coarse to say where somebody is; they only add to what is known.
        return frozenset(said.union(*map(self._near, spots)) if said else said)

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

    def _drawn_at(self, points: Sequence[tuple[float, float]]) -> set[str]:
        return _holding(self._boundaries, points)

    def _near(self, geo: object) -> set[str]:
        cell = [*_corners_of(geo)]
        return _holding(self._boxes, (*_point_of(geo), *cell)) | self._drawn_at(cell)

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


def _point_of(geo: object) -> Sequence[tuple[float, float]]:
    """Longitude and latitude; nothing where they cannot be read."""
    north, east = (coarsening.number(geo.get(name)) if isinstance(geo, Mapping) else None for name in ("lat", "lon"))
    return () if north is None or east is None else ((east, north),)


def _corners_of(geo: object) -> Iterator[tuple[float, float]]:
    """The same of a geohash's cell."""
    cell = coarsening.bounds(geo.get("geohash")) if isinstance(geo, Mapping) else None
    return product(cell[2:], cell[:2]) if cell else iter(())


def _holding(outlines: Sequence[Boundary], points: Sequence[tuple[float, float]]) -> set[str]:
    return {outline.place for outline in outlines if any(outline.holds(*point) for point in points)}


def _is_blank(stated: object) -> bool:
    return stated is None or (isinstance(stated, str) and not stated.strip())


def _of_region(geo: object, said: Iterable[str]) -> set[str]:
    """The places of a region that is named without its country: in each country that was said alone. Foreign where none
    was, and no place that was said is of that region.
    """
    if not isinstance(geo, Mapping) or not _is_blank(geo.get("country")) or _is_blank(geo.get("region")):
        return set()
    region, countries = str(geo["region"]).strip().upper(), {each for each in said if "-" not in each}
    if not countries and all(each.partition("-")[2] != region for each in said):
        return {FOREIGN}
    return {place for country in countries if CODE.fullmatch(place := f"{country}-{region}")}


def _several(stated: object) -> Sequence[object]:
    return stated if isinstance(stated, tuple) else (stated,)


def _iso(record: object) -> str:
    code = record.get("iso_code") if isinstance(record, Mapping) else None
    return code if isinstance(code, str) else ""
