"""Everything that one request says, heard together: headers, cookies and URL of a web request, or a call's `signals`
member. The site's doors and those of apps and checks call it.

Both end in `Heard`. Any opt-out wins. What cannot be read is counted; in a call it denies, for there it is the caller's
slip; on the web it is as if it were not there, by the W3C text, and the other signals still count.
"""

import base64
import binascii
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from gateway.signals import (
    adchoices,
    additional_consent,
    cmp_cookies,
    cookies,
    device,
    gpc,
    gpp,
    industry_cookies,
    tcf,
    usprivacy,
)
from gateway.signals.cmp_cookies.tools_by_name import ABRIDGED
from gateway.signals.cmp_cookies.values import CATEGORIES, DENIES, Categories, ToolShown, ToolState
from gateway.signals.cookies import Abridging, Sieve
from gateway.signals.device import Limit
from gateway.signals.gpp.layouts import TCF_CA_1, TCF_EU_2
from gateway.signals.heard import Heard, KeptFor, Reading, Said, members
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Malformed, Purpose, Source

FULL = frozenset(SIGNAL_PURPOSES)
STRINGS: Mapping[str, Source] = {
    "us_privacy": Source.US_PRIVACY,
    "gpp": Source.GPP,
    "tc": Source.TCF,
    "ac": Source.ADDITIONAL_CONSENT,
    "adchoices": Source.AD_CHOICES,
}
READERS: Mapping[str, Callable[[str], Reading]] = {
    "us_privacy": usprivacy.read_usprivacy,
    "tc": tcf.read_eu,
    "ac": additional_consent.read_additional_consent,
}
# Parameters of ad calls. What they carry was said on another site, so it holds for this request.
PARAMETERS: Mapping[str, str] = {
    "us_privacy": "us_privacy",
    "gpp": "gpp",
    "gdpr_consent": "tc",
    "addtl_consent": "ac",
    adchoices.PARAMETER: "adchoices",
}
BESIDE = frozenset({"gpp_sid", "gdpr"})  # say nothing by themselves
IN_ADDRESS = frozenset(name.encode() for name in (*PARAMETERS, *BESIDE))
# What an operating system says of its owner: no signal of a no; whoever reads a call's age reads it.
AGE = "age_bracket"
KNOWN = frozenset({"gpc", "cookies", "stored", "gpp_sid", "gdpr", AGE, *STRINGS, *device.FLAGS})
SECTION_ID = re.compile(r"\s*(-1|[0-9]{1,4})\s*", re.ASCII)
# Strings that may have been a state before, with their GPP section where they have one.
CONSENT_SECTIONS = {"tcfeuv2": TCF_EU_2, "tcfcav1": TCF_CA_1, additional_consent.SECTION: None}
NO_SECTION_IDS: tuple[object, ...] = (None, "", [])


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the operator decides about hearing. `ad_choice_purposes`: what an industry opt-out is widened to (R25);
    `participant`: the operator's own id at the DAA, 0 for none.
    """

    ad_choice_purposes: frozenset[Purpose] = frozenset(AD_CHOICE_PURPOSES)
    participant: int = 0
    categories: Categories = field(default_factory=lambda: CATEGORIES)
    industry: industry_cookies.Table = field(default_factory=industry_cookies.Table)
    device_limit_travels: bool = False
    sieve: Sieve = field(init=False, repr=False, compare=False)  # lets those cookies through of which something is read

    def __post_init__(self) -> None:
        object.__setattr__(self, "sieve", Sieve(self.reads, _none, self.abridges))

    def reads(self, name: str) -> bool:
        """Whether a cookie of this name may be a signal."""
        return cmp_cookies.is_read(name) or self.industry.is_read(name)

    def abridges(self, name: str) -> Abridging | None:
        """How a cookie of this name is made shorter before it is read, and says the same."""
        return None if self.industry.is_read(name) else ABRIDGED.get(name)


def _none(_: str) -> bool:
    """Of a call's cookies none is read but as a signal."""
    return False


SHIPPED = Hearing()
SILENT = Heard()  # one object, so that what follows from it is worked out once


def from_web(headers: Iterable[tuple[bytes, bytes]], hearing: Hearing = SHIPPED, query: bytes = b"") -> Heard:
    """What a browser's request says. Names are lower-case bytes, as in ASGI; `query` is the URL's."""
    values: dict[bytes, list[bytes]] = {gpc.HEADER: [], b"cookie": [], b"dnt": []}
    values |= {name: [] for name in adchoices.HEADERS}
    for name, value in headers:
        if name in values:
            values[name].append(value)
    ear = _Ear(hearing)
    ear.flag(gpc.read_gpc_header(values[gpc.HEADER]))
    for name in adchoices.HEADERS:
        ear.extension(values[name])
    ear.jar(values[b"cookie"])
    if any(b"1" in members(value) for value in values[b"dnt"]):
        ear.deny("dnt", FULL, KeptFor.MOMENT)
    if query:
        ear.url(query)
    return ear.heard()


def in_address(query: bytes) -> bool:
    """Whether a URL's query may hold a signal at all. An escaped name may be any name."""
    names = [part.partition(b"=")[0] for part in query.split(b"&")]
    return not IN_ADDRESS.isdisjoint(names) or any(b"%" in name for name in names)


def from_script(signals: Mapping[str, object], hearing: Hearing = SHIPPED) -> Heard:
    """What only script sees on a page of ours: it can tighten, and what cannot be read is counted."""
    ear = _Ear(hearing)
    ear.members(signals)
    return ear.heard()


def from_call(signals: Mapping[str, object], hearing: Hearing = SHIPPED) -> Heard:
    """What the `signals` member of a call says. A wrong type counts as malformed and denies."""
    if not signals:
        return SILENT
    ear = _Ear(hearing)
    ear.members(signals)
    if ear.malformed:
        ear.deny("malformed", FULL, KeptFor.MOMENT)
    return ear.heard()


class _Ear:
    """Collects what is said; one a request."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self.said: list[Said] = []
        self.malformed: list[Malformed] = []
        self.ended: set[str] = set()
        self._unread = False  # cookies came that were not read: what would end a state may be refused behind them
        self._off: set[str] = set()  # tools that say "off" somewhere in this request
        self._consents: list[Reading] = []  # European TC strings that apply
        self._narrowing: list[Reading] = []  # the same from an address: said elsewhere, it opens nothing by itself

    def heard(self) -> Heard:
        held = {said.source for said in self.said if said.kept is not KeptFor.MOMENT} | self._off
        held |= {STRINGS[item.channel] for item in self.malformed if item.channel in STRINGS}
        if {*(said.source for said in self.said), *(item.channel for item in self.malformed)} & device.FLAGS.keys():
            held.add(Source.DEVICE)  # a call that denies by one flag does not end the denial of another
        ended = frozenset[str]() if self._unread else frozenset(self.ended - held)
        return Heard(tuple(self.said), tuple(self.malformed), ended, self._advertisers())

    def _advertisers(self) -> frozenset[int]:
        """Whom every TC string of this request lets advertise; nobody where anything in it says no or is malformed."""
        if not self._consents or self.malformed or any(not said.purposes.isdisjoint(FULL) for said in self.said):
            return frozenset()
        return frozenset.intersection(*map(tcf.advertisers, (*self._consents, *self._narrowing)))

    def deny(self, source: Source | str, purposes: frozenset[Purpose], kept: KeptFor) -> None:
        if purposes:
            self.said.append(Said(source, purposes, kept))

    def flag(self, result: bool | Malformed) -> None:
        """GPC, however it came."""
        if isinstance(result, Malformed):
            self.malformed.append(result)
        elif result:
            self.deny(Source.GPC, FULL, KeptFor.CHOICE)

    def members(self, signals: Mapping[str, object]) -> None:
        stored = signals.get("stored")
        if isinstance(stored, Mapping):
            self._stored(stored)
        elif stored is not None:
            self.malformed.append(Malformed("stored", "type"))
        self.flag(gpc.read_member(signals.get("gpc")))
        section_ids = self._section_ids(signals.get("gpp_sid"))
        applicable = self._gdpr(signals.get("gdpr"))
        for channel in STRINGS:
            value = signals.get(channel)
            if isinstance(value, str):
                applies = channel != "tc" or applicable
                self.string(channel, value, section_ids, applies=applies)
            elif value is not None:
                self.malformed.append(Malformed(channel, "type"))
        self._cookies_member(signals.get("cookies"))
        for name in device.FLAGS:
            self._device(name, signals.get(name))

    def string(
        self,
        channel: str,
        raw: str,
        section_ids: Sequence[int] | None = None,
        *,
        applies: bool = True,
        momentary: bool = False,
    ) -> None:
        """One signal string. What a tool may have written by itself is the browser's state; where its law does not
        apply it says nothing.
        """
        text = cleaned(raw)
        if not text:
            return
        reading = self._read(channel, text, section_ids)
        if reading.error:
            self.malformed.append(Malformed(channel, reading.error))
        source, unanswered = STRINGS[channel], reading.opted_out & reading.unanswered
        doubtful = momentary or (channel == "adchoices" and bool(reading.error))  # others use these headers too
        self.deny(source, reading.opted_out - unanswered, KeptFor.MOMENT if doubtful else KeptFor.CHOICE)
        if applies:
            self.deny(source, unanswered, KeptFor.MOMENT if momentary or reading.error else KeptFor.STATE)
        self.deny(source, refused_now(channel, reading, section_ids) - reading.opted_out, KeptFor.MOMENT)
        if applies and not momentary and consents(reading, section_ids):
            self.ended.add(source)
        if applies and "tcfeuv2" in reading.sections and (section_ids is None or TCF_EU_2 in section_ids):
            (self._narrowing if momentary else self._consents).append(reading)

    def extension(self, fields: Iterable[bytes]) -> None:
        """What the AdChoices extension says; somebody on the way may have put several fields into one line."""
        said = dict.fromkeys(each.decode("latin-1") for value in fields for each in members(value))
        for text in [*said][:MAX_VALUES]:
            self.string("adchoices", text)
        self._few("adchoices", said)

    def _few(self, channel: str, values: Collection[str]) -> None:
        """More values of one signal than `MAX_VALUES` are a flood, and deny."""
        if len(values) > MAX_VALUES:
            self.malformed.append(Malformed(channel, "count"))
            self.deny("malformed", FULL, KeptFor.MOMENT)

    def jar(self, raw: Sequence[bytes]) -> None:
        """Cookie headers: what consent tools and ad networks left in them."""
        if not raw:
            return
        found, cut = cookies.parse_cookies(raw)
        if cut:
            self.malformed.append(Malformed("cookies", "size"))
            self._flooded()
        for state in cmp_cookies.read_tool(found, self._hearing.categories):
            if isinstance(state, Malformed):
                self.malformed.append(state)
                if state.reason == "count":
                    self._flooded()
            else:
                self._tool(state)
        for cookie in industry_cookies.read_industry_cookies(
            found, self._hearing.industry, self._hearing.ad_choice_purposes
        ):
            self.deny(Source.AD_CHOICES, cookie.purposes, KeptFor.CHOICE)

    def _flooded(self) -> None:
        """An opt-out may be in what was not read, and any script of a page can fill its jar."""
        self._unread = True
        self.deny("malformed", FULL, KeptFor.MOMENT)

    def url(self, query: bytes) -> None:
        """What an ad call's address says; sections apply that any list of them names."""
        said: dict[str, dict[str, None]] = {}
        for name, value in parse_qsl(query.decode("latin-1"), max_num_fields=None):
            if name in PARAMETERS or name in BESIDE:
                said.setdefault(name, {})[value] = None
        section_ids = self._section_ids(",".join(said.get("gpp_sid", ())))
        for name, values in said.items():
            if name in PARAMETERS:
                applies = name != "gdpr_consent" or set(said.get("gdpr", ())) != {"0"}
                for value in [*values][:MAX_VALUES]:
                    self.string(PARAMETERS[name], value, section_ids, applies=applies, momentary=True)
                self._few(PARAMETERS[name], values)

    def _read(self, channel: str, text: str, section_ids: Sequence[int] | None) -> Reading:
        if channel == "gpp":
            return gpp.read_gpp_string(text, section_ids)
        if channel == "adchoices":
            hearing = self._hearing
            return adchoices.read_adchoices(text, participant=hearing.participant, purposes=hearing.ad_choice_purposes)
        return READERS[channel](text)

    def _tool(self, state: ToolState) -> None:
        """A tool's doubtful "off" is that tool's state, and ends when the same tool says "on" of the same thing."""
        tool = f"{Source.CMP_COOKIE}:{state.tool}"
        self._off |= {f"{tool}:{word}" for word in state.refused}
        self.ended |= {f"{tool}:{word}" for word in state.granted}
        if state.shown is ToolShown.OPTED_OUT and not state.act:
            for word in sorted(state.refused):
                self.deny(f"{tool}:{word}", DENIES[word], KeptFor.STATE)
        else:
            self.deny(Source.CMP_COOKIE, state.denied, KeptFor.CHOICE if state.act else KeptFor.MOMENT)
        for carried in state.carried:
            self.string(carried.channel, carried.text, carried.section_ids)

    def _device(self, name: str, value: object) -> None:
        limit = device.limits(name, value)
        if isinstance(limit, Malformed):
            self.malformed.append(limit)
        elif limit is Limit.SET:
            self.deny(Source.DEVICE, FULL, KeptFor.CHOICE if self._hearing.device_limit_travels else KeptFor.STATE)
        elif limit is Limit.NOW:
            self.deny(name, FULL, KeptFor.MOMENT)
        elif limit is Limit.LIFTED:
            self.ended.add(Source.DEVICE)

    def _stored(self, stored: Mapping[str, object]) -> None:
        """The keys that an app found on its phone."""
        found = device.read_stored_keys(stored)
        if found.pop("rdp", False):
            self.deny(device.RESTRICTED, FULL, KeptFor.MOMENT)
        if device.malformed(stored):
            self.malformed.append(Malformed("stored", "value"))
        if found.pop("refused", False):
            self.deny("stored", FULL, KeptFor.MOMENT)
        sections = found.pop("sections", None)
        if isinstance(sections, dict) and sections:  # beside the whole string: either may hold the opt-out
            section_ids = self._section_ids(_commas(found.get("gpp_sid")))
            here = section_ids and [number for number in section_ids if number in sections]  # not all may lie singly
            self.string("gpp", gpp.joined(sections), here)
        found["gpp_sid"] = _commas(found.get("gpp_sid"))
        self.members(found)

    def _gdpr(self, value: object) -> bool:
        """Whether consent strings apply: unless `gdpr` says 0."""
        text = value.strip() if isinstance(value, str) else repr(value)  # `False` is no 0
        if text not in {"", "None", "0", "1"}:
            self.malformed.append(Malformed("gdpr", "value"))
        return text != "0"

    def _section_ids(self, value: object) -> list[int] | None:
        """`gpp_sid`: a list of numbers, or text with commas. None where nothing usable was said: all sections count."""
        if value in NO_SECTION_IDS:
            return None
        items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
        found = [_section_id(item) for item in items]
        if None not in found:
            return [number for number in found if number is not None]
        self.malformed.append(Malformed("gpp_sid", "type"))
        return None

    def _cookies_member(self, value: object) -> None:
        """The `cookies` member: text with one code point a byte, or {"b64": ...} (I25)."""
        if value is None:
            return
        raw: bytes | None = None
        if isinstance(value, str):
            raw = value.encode("latin-1", "replace")
        elif isinstance(value, dict) and isinstance(value.get("b64"), str):
            try:
                text = value["b64"].rstrip("=").translate(TO_STANDARD)
                raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
            except (binascii.Error, ValueError):
                raw = None
        if raw is None:
            self.malformed.append(Malformed("cookies", "type"))
        else:
            self.jar(self._hearing.sieve.sift((raw,)).signals)


def _commas(stored: object) -> object:
    """A stored list of sections, `7_8`, as a call says it."""
    return stored.replace("_", ",") if isinstance(stored, str) else stored


def _section_id(item: object) -> int | None:
    if isinstance(item, str):
        return int(item) if SECTION_ID.fullmatch(item) else None
    return item if type(item) is int and -1 <= item <= gpp.MAX_SECTION_ID else None


def consents(reading: Reading, section_ids: Sequence[int] | None) -> bool:
    """Whether a consent string is there, applies, and no longer refuses."""
    said = [number for name, number in CONSENT_SECTIONS.items() if name in reading.sections]
    applies = any(number is None or section_ids is None or number in section_ids for number in said)
    return applies and reading.ok and not reading.opted_out


def refused_now(channel: str, reading: Reading, section_ids: Sequence[int] | None) -> frozenset[Purpose]:
    """What a string refuses that is nobody's act: in this answer only. A precise point is refused wherever it is."""
    refused = gpp.refused_now(reading, section_ids) if channel == "gpp" else frozenset()
    precise = gpp.precise_refused(reading) or tcf.precise_refused(reading)
    return refused | {Purpose.SENSITIVE} if precise else refused


TO_STANDARD = str.maketrans("-_", "+/")
MAX_VALUES = 8  # of one signal in one address or field: there are one or two
MACRO = ("${", "%%", "[")


def cleaned(raw: str) -> str:
    """A string as readers take it: without blanks or quotes around it and percent-encoding in it, both once. A macro
    that nobody replaced is as if the string were absent.
    """
    text = cookies.unwrap(raw.strip()).strip()
    return "" if text.startswith(MACRO) else text
