"""What of a person still stands in a bid request that was cut, in whatever member: `filtering` and the door ask.

The list of members says what stays and in which form; a slot's name, a bidder's parameter or a browser's text of that
form can be somebody's id all the same. So each text and number that stays is read once more for the ids of this
request's person, in every spelling that the gateway reads and as their digests. What needs what must not stand goes
with it: the request with its id, a slot with its id, a bidder with a parameter that it requires. Looks nobody up:
`formed` is what could be somebody's by its form alone, for whoever can.
"""

import base64
import contextlib
import json
import re
import string
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_address
from typing import Any

from gateway.choice import coarsening, identity
from gateway.choice.identity import kinds, phone_number, spelling
from gateway.choice.identity.likeness import LARGEST
from gateway.choice.identity.likeness import MOST as LONGEST
from gateway.choice.openrtb.members import BIDDERS, MEMBERS, Json, is_for_somebody, objects, part
from gateway.choice.openrtb.signs import (
    ADDRESSES,
    APART,
    DIALLED,
    HEXES,
    IN_BASE64,
    UNAMBIGUOUS,
    WITH_PLUS,
    WORDED_AT,
    bare,
    degree_pairs,
    has_run,
    hidden_in,
    is_plain,
    may_hold_one,
    says_contact,
    unfolded,
)
from gateway.terms import DataClass

Out = dict[str, object]
SHORT, TELLING = 4, 8  # characters from which on an id is compared with a whole text, and is looked for inside of one
FORMS_OF_ONE = 4  # of an id: as it is written, without what stands between, at home, what base64 hides
SMALL = 10**6  # numbers below are sizes, prices, enumerations
# More than these is not looked through, and nothing is sent: a real request has some dozens of ids and of texts that
# are read one by one, and 100 kB of text. Together they hold one look at a hostile one below a second.
MOST_NEEDLES = 300  # ids of a person, and forms of them
MOST_CLOSE = 3_000  # texts that are each read as an id
SHORTEST_ADDRESS = 5  # characters, a@b.c
MOST_CHARACTERS, MOST_UNFOLDED = 2_000_000, 100_000  # of all texts, and of those with codes or without ASCII
MOST_COMPARED = 200_000_000  # characters, times needles
MOST_HELD = 200  # different texts with a trace
PARTS = 8  # a group of texts that holds a trace is looked at again in so many
MOST_IN_RUNS = 200_000  # hex digits, at each of which a digest could begin
# Everything but an alphabet of base64 is a blank; a `/` of the usual one may be an address's.
LETTERS = frozenset((string.ascii_letters + string.digits).encode())
SIXTY_FOUR, FOR_URLS = (
    bytes(each if each in LETTERS or each in more else 32 for each in range(256)) for more in (b"+/_-", b"_-")
)
NAMED = re.compile(rb"sha-?(?:256|1)-", re.IGNORECASE)  # before one (Subresource Integrity)
JSON_BEGINS = ("{", "[")
WORD = re.compile(r"[\w-]*", re.ASCII)
STANDARD, ANY = bytes.maketrans(b"-_", b"+/"), ("md5", "sha1", "sha256")
RUNS = re.compile(rb"[0-9a-f]{32,}")
STEPS = re.compile(r"[/?&;,]+")
HEX_DIGITS = re.compile(r"[0-9a-f]+")
UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
BAGS = frozenset(MEMBERS["imp_ext"]) - {"bidder"}  # of a slot's extension, beside bidders' own
IN_HEX = frozenset(2 * size for size in kinds.DIGESTS.values())  # characters of a digest
SHOWN_BY_FORM: Mapping[str, Callable[[str], bool]] = {
    DataClass.PRECISE_GEO: lambda text: next(degree_pairs(text), None) is not None,
    DataClass.CONTACT: says_contact,
}
LONG = min(IN_BASE64)
AS_IT_STANDS = 36  # characters of a UUID with its hyphens; without them it may be a digest
UUID_LENGTHS = frozenset({32, AS_IT_STANDS})


def texts_of(value: object) -> list[str]:
    """Every different text of a request, those of an object in a text too, and every number that is long enough to be
    somebody's. Each member passes here.
    """
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        inner = waiting.pop()
        kind = type(inner)  # as JSON has them: asked this way it takes half as long
        if kind is str:
            found.append(inner)
            if inner[:1] in JSON_BEGINS:
                with contextlib.suppress(ValueError, RecursionError):
                    waiting.append(json.loads(inner))
        elif kind is dict:
            waiting.extend(inner.values())
        elif kind is list:
            waiting.extend(inner)
        elif (kind is int or kind is float) and SMALL <= abs(inner) < LARGEST:
            found.append(str(int(inner)) if inner == int(inner) else str(inner))
    return list(dict.fromkeys(found))


def _is_much_to_unfold(texts: Iterable[str]) -> bool:
    return sum(len(text) for text in texts if not is_plain(text)) > MOST_UNFOLDED


def _joined(texts: Sequence[str]) -> str:
    return text if is_plain(text := APART.join(texts)) else APART.join(map(unfolded, texts))


class Traces:
    """By which a person is found again. `values`: their ids as they are written; `addresses`: of their network, which
    are never sent whole; `but`: classes that may go, of the two that a text shows by its form, a point and a contact.
    """

    def __init__(
        self, values: Iterable[str], addresses: Iterable[object] = (), but: Collection[str] = SHOWN_BY_FORM
    ) -> None:
        told = (unfolded(each).strip() for each in values)
        self._values = tuple({value for value in told if len(value) >= SHORT and value.strip("0-")})
        lower = {value.lower() for value in self._values}
        self._short = frozenset(value for value in lower if len(value) < TELLING)
        self._words = tuple(lower - self._short)
        self._cores = tuple({core for value in self._values if len(value) >= TELLING for core in _cores(value)})
        self._made: dict[str, frozenset[bytes]] = {}
        self._shown = tuple(shows for data_class, shows in SHOWN_BY_FORM.items() if data_class not in but)
        self._addresses = tuple(form for each in addresses for form in _spellings_of_address(each))

    def is_too_much(self, texts: Sequence[str]) -> bool:
        """Whether looking for them in these texts would take longer than an auction has."""
        needles = len(self._words) + len(self._cores) + len(self._addresses)
        characters = sum(map(len, texts))
        if needles > FORMS_OF_ONE * MOST_NEEDLES or needles * characters > MOST_COMPARED:
            return True
        if characters > MOST_CHARACTERS or _is_much_to_unfold(texts):
            return True
        if not self._values or characters < min(SHORTEST_ADDRESS * MOST_CLOSE, MOST_IN_RUNS):
            return False
        joined = _joined(texts)
        mailboxes = joined.count("@") + len(WORDED_AT.findall(joined)) if self._mailboxes else 0
        uuids = sum(len(text) in UUID_LENGTHS for text in texts) if self._hashed else 0
        in_runs = sum(map(len, RUNS.findall(bare(joined)))) if self._words else 0
        return uuids + mailboxes > MOST_CLOSE or in_runs > MOST_IN_RUNS

    def held_by(self, leaves: Mapping[object, list[str]]) -> frozenset[object] | None:
        """Which of these hold one of them, each with its texts; None where they are too many to find. Asked about ever
        smaller parts: so the work is that of some looks at the whole, however many there are.
        """
        held: set[object] = set()
        waiting = _parts(list(leaves))
        while waiting:
            group = waiting.pop()
            if not self.are_in([text for leaf in group for text in leaves[leaf]]):
                continue
            if len(group) == 1:
                held.add(group[0])
                if len(held) > MOST_HELD:
                    return None
            else:
                waiting += _parts(group)
        return frozenset(held)

    def are_in(self, texts: list[str]) -> bool:
        """Whether any of these texts holds one of them."""
        if self._short and not self._short.isdisjoint(map(str.lower, texts)):
            return True
        if not (self._words or self._addresses or self._shown):
            return False
        if self._stand_in(_joined(texts)):
            return True
        hidden = [other for text in texts for step in _steps(text) if (other := hidden_in(step))]
        if hidden and self._stand_in(_joined(hidden)):
            return True
        long = [text for text in texts if len(text) >= LONG] if self._words else []
        uuids = [text for text in long if len(text) in UUID_LENGTHS and UUID.fullmatch(text)]
        if self._hashed and any(not self._hashed.isdisjoint(_digests(each, ANY)) for each in uuids):
            return True
        others = [text for text in long if len(text) != AS_IT_STANDS or text not in uuids]
        return bool(others) and self._digests_stand_in(_joined(others))

    def _stand_in(self, text: str) -> bool:
        if any(shows(text) for shows in self._shown):
            return True
        lower = text.lower()
        if any(word in lower for word in self._words) or any(
            each in lower and _stands_whole(each, lower) for each in self._addresses
        ):
            return True
        digits = bare(lower)
        if any(core in digits for core in self._cores):
            return True
        if not self._mailboxes:
            return False
        return any(
            not self._mailboxes.isdisjoint(_mailboxes(each)) for each in (lower, _with_signs(lower)) if "@" in each
        )

    def _digests_stand_in(self, text: str) -> bool:
        bare_text, raw = bare(text), text.encode("utf-8", "surrogatepass")
        if has_run(text) and self._stand_in_runs(bare_text):
            return True
        return any(word in self._digests(IN_BASE64[size]) for size, word in _from_base64(raw))

    def _stand_in_runs(self, text: bytes) -> bool:
        """Whether a digest stands in a run of hex digits: each place is looked up, however many digests there are."""
        return any(
            run[at : at + size] in known
            for run in RUNS.findall(text)
            for size, known in self._in_hex
            for at in range(len(run) - size + 1)
        )

    @cached_property
    def _in_hex(self) -> list[tuple[int, frozenset[bytes]]]:
        """The digests of all ids by each algorithm, by their length: looked for again in ever smaller parts."""
        known = frozenset[bytes]().union(*map(self._digests, ANY))
        return [(size, frozenset(each for each in known if len(each) == size)) for size in {*map(len, known)}]

    def _digests(self, algorithm: str) -> frozenset[bytes]:
        """Of each id, in hex, by one algorithm."""
        if algorithm not in self._made:
            made = (each for value in self._values if len(value) >= TELLING for each in _digests(value, (algorithm,)))
            self._made[algorithm] = self._hashed.union(made)
        return self._made[algorithm]

    @cached_property
    def _hashed(self) -> frozenset[bytes]:
        """Those that are, or could be, a digest of what stands elsewhere as it is."""
        return frozenset(core for core in self._cores if len(core) in IN_HEX)

    @cached_property
    def _mailboxes(self) -> frozenset[identity.Name]:
        return frozenset(name for value in self._values if "@" in value for name in _mailboxes(value.lower()))


def _parts(group: list[object]) -> list[list[object]]:
    size = -(-len(group) // PARTS) or 1
    return [group[at : at + size] for at in range(0, len(group), size)]


def _from_base64(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """What in a text could be a digest in base64: its length as it stands, and its bytes in hex."""
    for word in {word for alphabet in (SIXTY_FOUR, FOR_URLS) for word in raw.translate(alphabet).split()}:
        named = NAMED.sub(b"", word, count=1) if len(word) > LONG else word
        if len(named) in IN_BASE64:
            with contextlib.suppress(ValueError):
                yield len(named), base64.b64decode(named.translate(STANDARD) + b"=" * (-len(named) % 4)).hex().encode()


def _cores(value: str) -> Iterator[bytes]:
    """What is left of an id in any spelling of it once nothing stands between its digits."""
    digits = bare(value)
    if len(digits) >= UNAMBIGUOUS and not digits.strip(b"0123456789abcdef"):
        yield digits
        if digits.isdigit():
            yield from _without_country(value, digits)
    elif not WORD.fullmatch(value):  # behind a label, in brackets
        yield from map(bare, HEXES.findall(value))
    if len(value.rstrip("=")) in IN_BASE64:
        found = (identity.read_identifier(kind, value) for kind in identity.could_be(value))
        yield from (each.value.encode() for each in found if isinstance(each, identity.NormalIdentifier))


def _without_country(value: str, digits: bytes) -> Iterator[bytes]:
    """A phone number as it is dialled at home. One without a plus may have North America's code before it."""
    if value.startswith("+"):
        yield phone_number.at_home(digits.decode()).encode()
    elif len(digits) == 1 + UNAMBIGUOUS and digits.startswith(b"1"):
        yield digits[1:]


def _digests(value: str, algorithms: Iterable[str]) -> Iterator[bytes]:
    """In hex: of a text as it is written and in either case, of a UUID also without its hyphens, of an address and a
    number in all forms that anybody hashes.
    """
    if kinds.unwritable(value):
        return
    forms = {value, value.lower(), value.upper()}
    if len(value) in UUID_LENGTHS and UUID.fullmatch(value):
        forms |= {form.replace("-", "") for form in forms}
    yield from (kinds.digest(algorithm, form).encode() for form in forms for algorithm in algorithms)
    kind = "email" if "@" in value else "phone" if DIALLED.fullmatch(value) else ""
    if kind and isinstance(found := identity.read_identifier(kind, value), identity.NormalIdentifier):
        yield from (hashed.encode() for _, hashed in found.names if HEX_DIGITS.fullmatch(hashed))


def _steps(text: str) -> Collection[str]:
    """A text, and those of its path, as far as they are long enough for base64 to hide an id in them."""
    if len(text) < UNAMBIGUOUS:
        return ()
    return {each for each in (text, *STEPS.split(text)) if len(each) >= UNAMBIGUOUS} if "/" in text else (text,)


def _with_signs(text: str) -> str:
    """What of joined texts, and of the steps of their paths, has words for an address's signs, with the signs."""
    if not WORDED_AT.search(text):
        return ""
    steps = (step for each in text.split(APART) if WORDED_AT.search(each) for step in {each, *STEPS.split(each)})
    return APART.join(spelling.with_signs(step, loosely=True) for step in steps if len(step) <= LONGEST)


def _mailboxes(text: str) -> Iterator[identity.Name]:
    """The names of the addresses in a text."""
    for each in ADDRESSES.findall(text):
        if isinstance(found := identity.read_identifier("email", each), identity.NormalIdentifier):
            yield from found.names


def _spellings_of_address(stated: object) -> tuple[str, ...]:
    """A network's address as it is written, and one of version 6 in the usual form too (RFC 5952)."""
    if not isinstance(stated, str) or not stated:
        return ()
    with contextlib.suppress(ValueError):
        return (stated.lower(), str(ip_address(stated))) if ":" in stated else (stated,)
    return ()


def _stands_whole(address: str, text: str) -> bool:
    """203.0.113.7 is in no 203.0.113.77, and a network's own address is nobody's."""
    signs = "0-9a-f:" if ":" in address else "0-9."
    alone = rf"(?<![{signs}]){re.escape(address)}(?![{signs[:-1]}]|[.:][0-9])"
    return coarsening.truncate(address) != address and re.search(alone, text) is not None


# --- taking out ---


def without(request: Out, texts: list[str], traces: Traces, bidder: str) -> Out | None:
    """The request, whose texts these are (`texts_of`), without what holds a trace; itself where nothing does. None
    where its own id does, no slot is left, or it is too much to look through. `bidder`: whose parameters stand in
    `imp.ext.bidder`.
    """
    if traces.is_too_much(texts):
        return None
    if not traces.are_in(texts):  # as nearly always
        return request
    held = traces.held_by(_leaves(request))
    if held is None:
        return None
    kept = {name: left for name, item in request.items() if (left := _pruned(item, held)) is not None}
    if ("id" in kept) != ("id" in request):
        return None
    imps = request.get("imp")
    if isinstance(imps, list) and imps:
        kept["imp"] = [left for imp in imps if (left := _slot(imp, held, bidder)) is not None]
        return kept if kept["imp"] else None
    return kept


def _leaves(request: object) -> dict[object, list[str]]:
    """Each different text and number of a request, with all texts in it."""
    found: dict[object, list[str]] = {}
    waiting: list[Any] = [request]
    while waiting:
        inner = waiting.pop()
        kind = type(inner)
        if kind is dict:
            waiting.extend(inner.values())
        elif kind is list:
            waiting.extend(inner)
        elif inner not in found and (texts := texts_of(inner)):
            found[inner] = texts
    return found


def _pruned(value: object, held: Collection[object]) -> object | None:
    if isinstance(value, dict):
        members = ((name, _pruned(item, held)) for name, item in value.items())
        return {name: item for name, item in members if item is not None}
    if isinstance(value, list):
        pairs = ((each, _pruned(each, held)) for each in value)
        return [item for each, item in pairs if item is not None and not _lost_its_id(each, item)]
    return None if value in held else value


def _lost_its_id(before: object, after: object) -> bool:
    """Of several: a deal, a slot or a format that nobody can name is none."""
    return isinstance(before, dict) and isinstance(after, dict) and "id" in before and "id" not in after


def _slot(imp: object, held: Collection[object], bidder: str) -> Out | None:
    """A slot without traces; None without its id, or where no bidder is left for whom it is."""
    left = _pruned(imp, held)
    if not isinstance(imp, dict) or not isinstance(left, dict) or _lost_its_id(imp, left):
        return None
    before, after = part(imp, "ext"), part(left, "ext")
    in_bag, others = part(part(before, "prebid"), "bidder"), {n: before[n] for n in before if n not in BAGS}
    if in_bag:
        usable = _usable(in_bag, part(part(after, "prebid"), "bidder"), bidder)
        after = {**after, "prebid": {**part(after, "prebid"), "bidder": usable}}
    gone = others.keys() - _usable(others, after, bidder).keys()
    if after:
        left["ext"] = after = {name: item for name, item in after.items() if name not in gone}
    return None if is_for_somebody(before) and not is_for_somebody(after) else left


def _usable(before: Json, after: Json, bidder: str) -> Out:
    """Without bidders that lost a parameter without which their schema takes no request."""
    return {name: after[name] for name in before if name in after and _takes(name, before[name], after[name], bidder)}


def _takes(name: str, before: object, after: object, bidder: str) -> bool:
    if not isinstance(before, dict) or not isinstance(after, dict) or before.keys() == after.keys():
        return True
    known = BIDDERS.get((bidder if name == "bidder" else name).lower())
    required = known.required if known else ()
    return bool(after) and (not required or any(each <= after.keys() for each in required))


# --- what could be somebody's ---


def formed(texts: Sequence[str], but: Collection[object]) -> dict[str, list[dict[str, object]]] | None:
    """What in texts has the form of an id, without these, each with the identifiers that it could be; None where so
    much could have one that it cannot be read.
    """
    found: dict[str, list[dict[str, object]]] = {}
    read = 0
    if _is_much_to_unfold(texts):
        return None
    for text in texts:
        if len(text) < UNAMBIGUOUS or text in but:
            continue
        for word in dict.fromkeys(_could_hold_one(text)):
            read += 1
            if read > MOST_CLOSE:
                return None
            if word not in found and (could_be := identity.alike(word)):
                found[word] = could_be
    return found


def _could_hold_one(text: str) -> Iterator[str]:
    """A text, the steps of its path and what in it is written as an id, as far as they have a sign of one."""
    plain = unfolded(text)
    steps = STEPS.split(plain) if "/" in plain else ()
    for each in (text, *steps):
        if len(each) >= UNAMBIGUOUS and may_hold_one(each):
            yield each
    if "@" in plain or "+" in plain or has_run(plain):
        yield from (*HEXES.findall(plain), *ADDRESSES.findall(plain), *WITH_PLUS.findall(plain))


def ids_of_auction(request: Json) -> frozenset[str]:
    """Of the request and of its slots, by which its answer is matched."""
    named = (request, *objects(request.get("imp")))
    return frozenset(str(each["id"]) for each in named if "id" in each)
