"""One table of spellings, tried at every door: opted out by one spelling, asked about by another.

`tests/vectors/spellings.json` has the groups that are ours, `outside` those that others publish. A `Round` is one
service in this process: every person of the table opts out by one of their spellings through one door, then every
spelling of everybody is asked at every door that lets something go.
"""

import base64
import contextlib
import hashlib
import io
import itertools
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

import httpx2
import phonenumbers
import uvicorn
from phonenumbers import PhoneNumberFormat

from gateway.app.replica import Replica
from gateway.app.service import build
from gateway.choice.identity import DIGESTS
from gateway.choice.place import country_of
from gateway.cli import main
from gateway.client import Client
from gateway.consent.people import People
from gateway.keys import api_keys, seals
from gateway.ledger.subjects import every_reading
from gateway.terms import Reason
from gateway.web.shell import page
from gateway.web.shell.edge import Addresses
from support import inside
from support.examples import SOAK
from support.ports import free_port

TABLE = Path(__file__).parent.parent / "vectors" / "spellings.json"
DOORS_IN = ("form", "api", "app key", "import", "letter", "cookie", "signal")
DOORS_OUT = ("check", "checks", "openrtb", "identifiers", "data", "client", "replica")
PLACE = "US-NY"
TO = "everything"  # a recipient that gets data of every kind
STRANGER = {"type": "gaid", "value": "97987bca-ae59-4c7d-94ba-ee4f19ab8c99"}  # who never says anything
FIELD = {  # by kind: the field of a row that holds such a value
    **dict.fromkeys(("gaid", "idfa", "oaid", "ad_id_sha256", "ad_id_sha1", "ad_id_md5"), "ad"),
    **dict.fromkeys(("idfv", "appset", "imei", "serial", "udid"), "device"),
    **dict.fromkeys(("email_sha256", "email_sha1", "email_md5"), "mail_hash"),
    **dict.fromkeys(("phone_sha256", "phone_sha1", "phone_md5"), "phone_hash"),
    **dict.fromkeys(("email", "phone"), "contact"), "account": "account",
}  # fmt: skip
CONFIG = """
[share]
send_window_ms = 2000
[identifiers]
declared = ["loyalty"]
[browser]
site_ids = ["uid"]
[recipients.everything]
role = "third_party"
purposes = ["sale"]
data = ["ad_id", "device_id", "email_hash", "phone_hash", "contact", "account"]
announced = 2024-06-25
unlinked = "allow"
[recipients.everything.fields]
ad = { class = "ad_id", kind = ["gaid", "idfa", "oaid", "ad_id_sha256", "ad_id_sha1", "ad_id_md5"] }
device = { class = "device_id", kind = ["idfv", "appset", "imei", "serial", "udid"] }
mail_hash = { class = "email_hash", kind = ["email", "email_sha256", "email_sha1", "email_md5"] }
phone_hash = { class = "phone_hash", kind = ["phone", "phone_sha256", "phone_sha1", "phone_md5"] }
contact = { class = "contact", kind = ["email", "phone"] }
account = { class = "account", kind = "account" }
"""
SYSTEMS = {"gaid": "android", "idfa": "ios", "oaid": "harmonyos"}
PROVED = {"kind": "account", "assertion": "dev"}
FIRST, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))


@dataclass(frozen=True)
class Group:
    """`denies`: of two people who may not open each other, that the no of one reaches the other all the same."""

    relation: str
    kind: str
    person: str
    spellings: tuple[dict, ...]
    denies: bool = False
    outside: bool = False


def group(row: dict, *, outside: bool = False) -> Group:
    own = [each if isinstance(each, dict) else {"type": row["kind"], "value": each} for each in row["spellings"]]
    more = {name: row[name] for name in ("denies",) if name in row}
    return Group(row["relation"], row["kind"], row["person"], tuple(own), **more, outside=outside)


@cache
def table() -> dict:
    return json.loads(TABLE.read_text())


def ours() -> list[Group]:
    return [group(row) for row in table()["groups"]]


def outside(vectors: Path) -> list[Group]:
    """What consumers of identifiers publish: each input with the digests that they make of it."""
    folder, found = vectors / "enforcement", list[Group]()
    for case in json.loads((folder / "identifier_vectors.json").read_text())["cases"]:
        kind = {"maid": "gaid"}.get(case["kind"], case["kind"])
        if case["normalised"] is None or kind not in {"email", "phone", "gaid"} or case["id"] in APART:
            continue
        base = "ad_id" if kind == "gaid" else kind
        place = {"place": ABROAD.get(case["id"], "US-CA")} if kind == "phone" else {}
        hexes = [(f"{base}_{name}", case.get(f"{name}_hex")) for name in ("sha256", "sha1", "md5")]
        digests = [(name, each) for name, each in (*hexes, (f"{base}_sha256", case["sha256_base64"])) if each]
        more = [{"type": name, "value": each} for name, each in digests]
        more += [{"type": name, "value": each.upper()} for name, each in hexes if each]
        spellings = ({"type": kind, "value": case["input"], **place}, *more)
        found.append(Group("deny", kind, case["id"], spellings, outside=True))
    for number, record in enumerate(_uid2(folder)):
        names = (
            {"type": "email_sha256", "value": value} for value in (record.hex(), record.hex().upper(), _b64(record))
        )
        found.append(Group("deny", "email_sha256", f"UID2's optout delta {number}", tuple(names), outside=True))
    return [*found, *(each for region in REGIONS for each in _examples(region))]


REGIONS = (
    "AR",
    "AU",
    "BR",
    "CA",
    "CL",
    "CN",
    "DE",
    "ES",
    "FR",
    "GB",
    "IL",
    "IN",
    "IT",
    "JP",
    "KR",
    "MX",
    "NG",
    "NL",
    "PH",
    "PL",
    "SE",
    "ZA",
)
FIXED, MOBILE = phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE


def _examples(region: str) -> Iterator[Group]:
    """The numbers that libphonenumber itself gives as examples, as it writes them and as they are dialled abroad."""
    for kind, word in ((FIXED, "line"), (MOBILE, "mobile")):
        number = phonenumbers.example_number_for_type(region, kind)
        every = {name: phonenumbers.format_number(number, getattr(PhoneNumberFormat, name)) for name in FORMATS}
        abroad = {place: phonenumbers.format_out_of_country_calling_number(number, place) for place in ("US", "DE")}
        e164 = every["E164"]
        digests = (
            {"type": "phone_sha256", "value": hashlib.sha256(form.encode()).hexdigest()} for form in (e164, e164[1:])
        )
        yield Group(
            "deny",
            "phone",
            f"libphonenumber's {word} of {region}",
            (
                {"type": "phone", "value": every.pop("NATIONAL"), "place": region},
                *({"type": "phone", "value": form} for form in every.values()),
                *(
                    {"type": "phone", "value": form, "place": place}
                    for place, form in abroad.items()
                    if place != region
                ),
                *digests,
            ),
            outside=True,
        )


FORMATS = ("E164", "INTERNATIONAL", "RFC3966", "NATIONAL")


def _uid2(folder: Path) -> list[bytes]:
    """Hashed addresses of the sample: 72 bytes a record, the first and the last are marks of a window."""
    raw = bytes.fromhex(json.loads((folder / "uid2_delta_sample.json").read_text())["file_hex"])
    return list(dict.fromkeys(raw[at : at + 32] for at in range(72, len(raw) - 72, 72)))


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


ABROAD = {"phone/UID2/038": "AU", "phone/Meta/088": "AM", "phone/TikTok (June 2025)/090": "AM"}
APART = frozenset({"email/UID2/034", "phone/UID2/044"})  # test_agreement.py says why


# --- cells that cannot exist ---


def why_not(door: str, kind: str) -> str:
    """Why a kind has no cell at a door; empty where it has."""
    rows = (row for row in table()["impossible"] if row["door"] in {door, "*"} and kind in row["kinds"])
    return next((row["why"] for row in rows), "")


def may_say(door: str, spelling: dict) -> bool:
    """Whether this spelling can come through a door that takes a no."""
    if door == "form":
        return spelling["type"] in {"email", "phone"}
    if door == "cookie":  # a header's value has no blanks around it
        return spelling["type"] == "cookie" and spelling["value"] == spelling["value"].strip()
    return True


def may_ask(door: str, spelling: dict) -> bool:
    kind = spelling["type"]
    if door == "openrtb":
        return kind in {*SYSTEMS, "idfv", "eid"}
    return door != "data" or (kind in FIELD and isinstance(spelling["value"], str))


def comparable(group: Group, one: dict, other: dict) -> bool:
    """Two digests of one thing have nothing in common until the thing itself is given."""
    return group.kind in DIGESTS or one["type"] not in DIGESTS or other["type"] not in DIGESTS


# --- by reading alone ---


def apart(people: People, groups: list[Group]) -> tuple[int, list[tuple], list[tuple]]:
    """The table without a door: pairs, who would be open to another spelling of theirs, and who would be taken for
    another. By the keys that a no is written under, and those that a question looks up.
    """
    pairs, opens, merged = 0, list[tuple](), list[tuple]()
    for each in groups:
        named = [people.name([plain(one)], country_of(one.get("place"))) for one in each.spellings]
        denied = [{key for who in every_reading(name.subjects) for key in (*who.keys, *who.looser)} for name in named]
        asked = [{*name.keys, *name.looser} for name in named]
        for one, other in itertools.product(range(len(named)), repeat=2):
            if comparable(each, each.spellings[one], each.spellings[other]) and (
                each.relation == "deny" or one != other
            ):
                pairs += 1
                no, what = bool(denied[one] & asked[other]), (each.person, each.spellings[one], each.spellings[other])
                if not no and (each.relation == "deny" or each.denies):
                    opens.append(what)
                if each.relation != "deny" and (no > each.denies or {*named[one].keys} & {*named[other].keys}):
                    merged.append(what)
    return pairs, opens, merged


# --- one service ---


@dataclass
class Tried:
    """`pairs`: by kind, door in and door out; `wrong`: allowed after a no; `merged`: two people taken for one."""

    pairs: Counter = field(default_factory=Counter)
    wrong: list[tuple] = field(default_factory=list)
    merged: list[tuple] = field(default_factory=list)

    def add(self, other: "Tried") -> None:
        self.pairs += other.pairs
        self.wrong += other.wrong
        self.merged += other.merged


class Service:
    """The application on a port of its own, in a thread of this process, so that a test may change what it does."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = inside.install(folder / "data"), free_port()
        config = folder / "config.toml"
        config.write_text(CONFIG)
        self.settings = inside.settings(config)
        self.app_key = api_keys.add_api_key(self.folder, "phones", ["choose"], publishable=True)
        with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.suppress(SystemExit):
            main(["replica", "enrol", "ads", "--data", str(self.folder), "--out", str(folder / "ads.enrolment")])
        self.enrolled = seals.open_enrolment((folder / "ads.enrolment").read_text(), told.getvalue().strip())
        app = build(self.folder, self.settings, Addresses({self.port: inside.EVERYWHERE}), dev=True)
        quiet = {"log_config": None, "access_log": False, "lifespan": "on", "ws": "none", "proxy_headers": False}
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=self.port, **quiet))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self._server.started)
        self.http = httpx2.Client(base_url=self.url, headers=inside.DEV, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join(30)

    def post(self, path: str, body: object, **headers: str) -> httpx2.Response:
        answer = self.http.post(path, json=body, headers=headers)
        assert answer.status_code in {200, 201, 202}, (path, body, answer.text)
        return answer

    def lines(self, path: str, rows: list[dict]) -> list[dict]:
        content = b"\n".join(json.dumps(row).encode() for row in rows)
        ends = time.monotonic() + 40
        while True:
            answer = self.http.post(path, content=content, headers={"Content-Type": "application/x-ndjson"})
            if answer.status_code != 503 or time.monotonic() > ends:  # a busy machine says that they are to come again
                break
            time.sleep(0.2)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()][:-1]


def until(holds, seconds: float = 40.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it did not come"
        time.sleep(0.01)


def plain(spelling: dict) -> dict:
    return {name: value for name, value in spelling.items() if name != "place"}


# --- doors that take a no ---


def say_no(service: Service, door: str, spellings: list[dict]) -> None:
    if door == "form":
        for each in spellings:
            country = country_of(each.get("place")) or "US"
            fields = {"action": "opt_out", each["type"]: each["value"], "country": country}
            assert service.http.post("/privacy-choices", data=fields).status_code == 303
    elif door == "cookie":
        for each in spellings:
            cookie = {"Cookie": f"{each['source']}={each['value']}"}
            sent = service.http.post("/privacy-choices", data={"action": "opt_out"}, headers=cookie)
            assert sent.status_code == 303
    elif door == "import":
        rows = [
            {"identifiers": [plain(each)], "place": each.get("place"), "choice": "opt_out", "source": "import"}
            for each in spellings
        ]
        assert all(answer.get("event") for answer in service.lines("/v1/choices", rows))
    else:
        _say_at_the_api(service, door, spellings)


def _say_at_the_api(service: Service, door: str, spellings: list[dict]) -> None:
    """Accounts by themselves: who is listed beside one at the desk would be linked to it."""
    by_place = defaultdict(list)
    for number, each in enumerate(spellings):
        by_place[each.get("place"), number if each["type"] == "account" else -1].append(plain(each))
    key = {"Authorization": f"Bearer {service.app_key}"} if door == "app key" else {}
    more = {"letter": {"manner": "letter", "source": "letter"}}.get(door, {})
    for (place, _), identifiers in by_place.items():
        for start in range(0, len(identifiers), 16):
            body = {"identifiers": identifiers[start : start + 16], "place": place, **more}
            if door == "signal":
                service.post("/v1/observe", body | {"signals": {"gpc": "1"}})
            else:
                answer = service.post("/v1/choices", body | {"choice": "opt_out"}, **key).json()
                assert not answer["ignored"], answer["ignored"]


# --- doors that let something go: whether each spelling may ---


def ask(service: Service, door: str, spellings: list[dict]) -> list[bool]:
    if door == "check":
        return [service.post("/v1/check", question(each)).json()["allowed"] for each in spellings]
    if door == "checks":
        return [answer["allowed"] for answer in service.lines("/v1/checks", [question(each) for each in spellings])]
    if door == "openrtb":
        return [_bids(service, each) for each in spellings]
    if door in {"identifiers", "data"}:
        rows = [row(door, number, each) for number, each in enumerate(spellings)]
        return [
            line["outcome"] == "returned" and bool(line["data"]) for line in service.lines(f"/v1/shares/{TO}", rows)
        ]
    if door == "client":
        with Client(service.url, key="dev.dev", timeout_ms=30_000) as client:
            return _asked(client, spellings)
    with replica(service) as copy, contextlib.closing(Client.over(copy.checker)) as client:
        return _asked(client, spellings)


def _shared(service: Service, door: str, spellings: list[dict]) -> list[bool]:
    """Rows with it: whether what they hold is handed back to be sent."""
    lines = service.lines(f"/v1/shares/{TO}", [row(door, number, each) for number, each in enumerate(spellings)])
    return [line["outcome"] == "returned" and bool(line["data"]) for line in lines]


ANSWERED = frozenset(Reason) - {Reason.STALE, Reason.STORE_UNAVAILABLE}  # by the gateway, and in time


def question(spelling: dict) -> dict:
    place = [PLACE] if not spelling.get("place") else [spelling["place"], PLACE]
    return {"identifiers": [plain(spelling)], "recipient": TO, "data": ["ad_id"], "place": place}


def _asked(client: Client, spellings: list[dict]) -> list[bool]:
    """A few at a time: an answer is good for two seconds, and those that came too late are asked again."""
    found: list[bool] = []
    for start in range(0, len(spellings), 20):
        part = spellings[start : start + 20]
        verdicts = client.checks([question(each) for each in part])
        for _ in range(50):
            if all(verdict.reason in ANSWERED for verdict in verdicts):
                break
            verdicts = client.checks([question(each) for each in part])
        found += [verdict.allowed for verdict in verdicts]
    return found


@contextlib.contextmanager
def replica(service: Service):
    """In this process, over the service's own feed."""
    folder = service.folder.parent / "copy"
    with Replica(service.url, folder, service.enrolled, service.settings, dev=True) as copy:
        until(copy.follower.fresh)
        yield copy


def row(door: str, number: int, spelling: dict) -> dict:
    common = {"id": f"{door} {number}", "place": question(spelling)["place"]}
    if door == "identifiers":
        return common | {"identifiers": [plain(spelling)], "data": {"ad": STRANGER["value"]}}
    return common | {"identifiers": [STRANGER], "data": {FIELD[spelling["type"]]: spelling["value"]}}


def _bids(service: Service, spelling: dict) -> bool:
    """Whether the bid request goes on as it was."""
    kind, value, bid = spelling["type"], spelling["value"], {"id": "1", "imp": [{"id": "1"}], "device": {}, "user": {}}
    if kind == "eid":
        bid["user"]["eids"] = [{"source": spelling["source"], "uids": [{"id": value}]}]
    elif kind == "idfv":
        bid["device"] = {"os": "ios", "ext": {"ifv": value}}
    else:
        bid["device"] = {"os": SYSTEMS[kind], "ifa": value}
    answer = service.http.post(f"/v1/openrtb?recipient={TO}&place={PLACE}", json=bid)
    return answer.headers["gateway-verdict"] == "allow"


# --- rounds ---


def tried(service: Service, door: str, groups: list[Group], turn: int, doors_out=DOORS_OUT) -> Tried:
    """Everybody opts out by one spelling through one door, and every spelling is asked at every other door."""
    found, said = Tried(), list[tuple[Group, dict]]()
    for number, each in enumerate(groups):
        able = [one for one in each.spellings if may_say(door, one)]
        able = able[:1] if each.relation == "never_open" else able
        if able and each.relation != "unknown":
            said.append((each, able[(turn + number) % len(able)]))
    say_no(service, door, [spelling for _, spelling in said])
    for out in doors_out:
        _ask_all(service, door, out, said, found, turn)
    return found


ONE_BY_ONE = {"check", "openrtb"}  # a call a question: there every seventh pair, and everybody's first spelling
SOME = 7
OTHERS = 1 if SOAK else 2  # of the pairs at the other doors every second, at the next door the ones between


def _thinned(out: str, asked: list[tuple], every: int, start: int = 0) -> list[tuple]:
    """Every so many, and everybody's first spelling."""
    every, start = (SOME, 0) if out in ONE_BY_ONE else (every, start)
    return [each for number, each in enumerate(asked, start) if number % every == 0 or each[-1] == each[0].spellings[0]]


def _ask_all(service: Service, door: str, out: str, said: list[tuple[Group, dict]], found: Tried, turn: int) -> None:
    asked = [
        (g, one, other) for g, one in said for other in g.spellings if may_ask(out, other) and comparable(g, one, other)
    ]
    asked = _thinned(out, asked, OTHERS, turn + DOORS_OUT.index(out))
    for (each, one, other), allowed in zip(asked, ask(service, out, [other for *_, other in asked]), strict=True):
        found.pairs[each.kind, door, out] += 1
        what = each.person, door, one, out, other
        if each.relation == "deny" or one == other or each.denies:
            if allowed and can_go(out, other):
                found.wrong.append(what)
        elif not allowed and can_go(out, other):
            found.merged.append(what)


GOES: dict[tuple[str, str], bool] = {}  # door out and spelling: whether it goes while nobody has said no


def can_go(out: str, spelling: dict) -> bool:
    return GOES.get((out, json.dumps(spelling, sort_keys=True)), True)


def learn(service: Service, groups: list[Group], doors_out=DOORS_OUT) -> Counter:
    """Before anybody said no: what goes at each door, by kind and door. What never goes shows nothing."""
    found: Counter = Counter()
    for out in doors_out:
        asked = _thinned(out, [(each, one) for each in groups for one in each.spellings if may_ask(out, one)], 1)
        for (each, one), allowed in zip(asked, ask(service, out, [one for _, one in asked]), strict=True):
            GOES[out, json.dumps(one, sort_keys=True)] = allowed
            found[each.kind, out] += allowed
    return found


def opted_in(service: Service, spelling: dict) -> bool:
    """Both acts, with the development proof. Whether it was taken."""
    first = {
        "choice": "opt_in",
        "purposes": ["sale"],
        "identifiers": [plain(spelling)],
        "proof": PROVED,
        "notice": FIRST,
    }
    asked = service.http.post("/v1/choices", json=first | {"place": spelling.get("place")})
    if asked.status_code != 202:
        return False
    yes = {"choice": "confirm", "confirm": asked.json()["confirm"], "proof": PROVED, "notice": SECOND}
    return service.http.post("/v1/choices", json=yes).status_code == 201


def opened_by_another(service: Service, groups: list[Group]) -> list[tuple]:
    """The first says no, the second says yes: what the first's no let go all the same."""
    apart = [each for each in groups if each.relation == "never_open"]
    say_no(service, "api", [each.spellings[0] for each in apart])
    assert all(opted_in(service, each.spellings[1]) for each in apart)
    allowed = ask(service, "checks", [each.spellings[0] for each in apart])
    return [(each.person,) for each, one in zip(apart, allowed, strict=True) if one]


def matrix(found: Tried, kinds: list[str]) -> list[str]:
    """The table to print: for each kind and door in how many pairs there were at each door out; `-` cannot be."""
    lines = [f"{'kind':14}{'in':10}" + "".join(f"{out:>13}" for out in DOORS_OUT)]
    for kind, door in itertools.product(kinds, DOORS_IN):
        if not why_not(door, kind):
            cells = ("-" if why_not(out, kind) else str(found.pairs[kind, door, out]) for out in DOORS_OUT)
            lines.append(f"{kind:14}{door:10}" + "".join(f"{cell:>13}" for cell in cells))
    return lines


def empty(found: Tried, kinds: list[str]) -> list[tuple[str, str, str]]:
    every = itertools.product(kinds, DOORS_IN, DOORS_OUT)
    return [
        (kind, door, out)
        for kind, door, out in every
        if not (why_not(door, kind) or why_not(out, kind) or found.pairs[kind, door, out])
    ]
