"""Everything that one request says, heard together.

Two doors have signals: a web request (headers and cookies) and a call's `signals` member. Both end in `Heard`. Any
opt-out wins. What cannot be read is counted; in a call it denies, for there it is the caller's slip; on the web it is
as if it were not there, by the W3C text, and the other signals still count.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.signals import cmp_cookies, cookies, device, gpc, usprivacy
from gateway.terms import SIGNAL_PURPOSES, Malformed, Purpose, Source

# Readable only with the GPP, TCF, AC and AdChoices readers. Until they are here such a string is a signal that cannot
# be read: it denies, so that the opt-out in it is not lost.
UNREAD = ("gpp", "tc", "ac", "adchoices")
SIDE = frozenset({"gpp_sid", "gdpr"})  # say nothing by themselves
KNOWN = frozenset({"gpc", "us_privacy", "cookies", "att", "lmt", "dnt", *UNREAD, *SIDE})


@dataclass(frozen=True, slots=True)
class Said:
    """One signal that denies. `remember`: a person's choice, to be written; else true of this request only."""

    source: Source | str
    purposes: frozenset[Purpose]
    remember: bool


@dataclass(frozen=True, slots=True)
class Heard:
    said: tuple[Said, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    cookies: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def denied(self) -> frozenset[Purpose]:
        return frozenset(purpose for said in self.said for purpose in said.purposes)

    @property
    def gpc(self) -> bool:
        return any(said.source == Source.GPC for said in self.said)

    @property
    def remembered(self) -> frozenset[Purpose]:
        """The purposes of the signals that are to be written."""
        return frozenset(purpose for said in self.said if said.remember for purpose in said.purposes)

    def to_remember(self) -> Said | None:
        """The one signal to write, the strongest first; its purposes are those of all that are to be written."""
        strongest = next((said for said in self.said if said.remember), None)
        return Said(strongest.source, self.remembered, remember=True) if strongest else None


FULL = frozenset(SIGNAL_PURPOSES)


def from_web(headers: Iterable[tuple[bytes, bytes]], *, accept_folded_gpc: bool = False) -> Heard:
    """What a browser's request says by `Sec-GPC`, `DNT` and its cookies. Names are lower-case bytes, as in ASGI."""
    values: dict[bytes, list[bytes]] = {gpc.HEADER: [], b"cookie": [], b"dnt": []}
    for name, value in headers:
        if name in values:
            values[name].append(value)
    said: list[Said] = []
    malformed: list[Malformed] = []
    _take(gpc.read(values[gpc.HEADER], accept_folded=accept_folded_gpc), Source.GPC, True, said, malformed)
    jar, cut = cookies.parse(values[b"cookie"])
    if cut:
        malformed.append(Malformed("cookies", "size"))
    _hear_cookies(jar, said, malformed)
    if b"1" in values[b"dnt"]:
        said.append(Said("dnt", FULL, remember=False))
    return Heard(tuple(said), tuple(malformed), tuple(jar))


def from_call(signals: Mapping[str, object]) -> Heard:
    """What the `signals` member of a call says. A wrong type counts as malformed and denies (api.md)."""
    said: list[Said] = []
    malformed: list[Malformed] = []
    _take(gpc.read_member(signals.get("gpc")), Source.GPC, True, said, malformed)
    us_privacy = signals.get("us_privacy")
    if isinstance(us_privacy, str):
        _hear_us_privacy(us_privacy, said, malformed)
    elif us_privacy is not None:
        malformed.append(Malformed("us_privacy", "type"))
    jar = _jar(signals.get("cookies"), malformed)
    _hear_cookies(jar, said, malformed)
    for name in ("att", "lmt", "dnt"):
        _take(device.limits(name, signals.get(name)), name, False, said, malformed)
    malformed.extend(Malformed(name, "unread") for name in UNREAD if signals.get(name) is not None)
    said.extend(Said("malformed", FULL, remember=False) for _ in malformed[:1])
    return Heard(tuple(said), tuple(malformed))


def _take(
    result: bool | Malformed,
    source: Source | str,
    remember: bool,
    said: list[Said],
    malformed: list[Malformed],
) -> None:
    if isinstance(result, Malformed):
        malformed.append(result)
    elif result:
        said.append(Said(source, FULL, remember))


def _hear_us_privacy(text: str, said: list[Said], malformed: list[Malformed]) -> None:
    result = usprivacy.read(text)
    if isinstance(result, Malformed):
        malformed.append(result)
    elif result is usprivacy.Sale.OPTED_OUT:
        said.append(Said(Source.US_PRIVACY, FULL, remember=True))


def _hear_cookies(jar: Iterable[tuple[str, str]], said: list[Said], malformed: list[Malformed]) -> None:
    for name, value in jar:
        if name in usprivacy.COOKIES:
            _hear_us_privacy(cookies.unwrap(value), said, malformed)
        elif name == cmp_cookies.ONETRUST:
            _hear_tool(value, said, malformed)


def _hear_tool(value: str, said: list[Said], malformed: list[Malformed]) -> None:
    state = cmp_cookies.read_onetrust(value)
    if isinstance(state, Malformed):
        malformed.append(state)
    elif state.denied:
        said.append(Said(Source.CMP_COOKIE, state.denied, state.act))


def _jar(value: object, malformed: list[Malformed]) -> Iterator[tuple[str, str]] | list[tuple[str, str]]:
    """The `cookies` member: text with one code point a byte, or {"b64": ...} (I25)."""
    if value is None:
        return []
    raw: bytes | None = None
    if isinstance(value, str):
        raw = value.encode("latin-1", "replace")
    elif isinstance(value, dict) and isinstance(value.get("b64"), str):
        try:
            raw = base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raw = None
    if raw is None:
        malformed.append(Malformed("cookies", "type"))
        return []
    jar, cut = cookies.parse([raw])
    if cut:
        malformed.append(Malformed("cookies", "size"))
    return jar
