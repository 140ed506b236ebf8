"""People's histories as data (tests/vectors/histories.json), told by this ledger: what each act denies and opens.

The acts are those of the API (`gateway.consent.verbs`); nothing here knows a table. Where it is the door that decides
what an act means (an app's key, what was typed into the form) they are done at that door.
"""

import asyncio
import contextlib
import copy
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from support import inside, phones

from gateway.app import service
from gateway.app.composition import open_house
from gateway.choice.law import AGES
from gateway.consent import tokens
from gateway.ledger import connected_people, erasure, rows_check, schema, void_choices
from gateway.ledger.entry import Notice
from gateway.ledger.links import Span
from gateway.ledger.subjects import Choice, milliseconds
from gateway.ledger.void_choices import Belief
from gateway.signals.heard import Heard, KeptFor, Said
from gateway.terms import ChoiceKind, DataClass, Erasing, Purpose, Source
from gateway.web.shell import notices

pytestmark = pytest.mark.anyio

DATA = json.loads((Path(__file__).parent.parent / "vectors" / "histories.json").read_text(encoding="utf-8"))
HISTORIES = {history["name"]: history for history in DATA["histories"]}
OF_DOORS = [name for name, history in HISTORIES.items() if "door" in history]
SHOWN, SECOND = ({"sha256": notices.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))
INSTALLATION = "device"
FORM = "/privacy-choices"
BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class Teller:
    """Does the acts of one history, each by a clock that may be wrong."""

    def __init__(self, house, history):
        self.house, self.consent = house, house.consent
        self.who = {name: self.named(said) for name, said in history["who"].items()}
        self.at, self.wrong, self.entries = BEGAN, timedelta(), {}
        self.consent.clock = lambda: self.at + self.wrong

    def named(self, said):
        return self.consent.people.name([said]).subjects[0]

    async def act(self, said):
        self.at += timedelta(seconds=1)
        self.wrong = timedelta(**said.get("clock", {}))
        await getattr(self, said["act"])(said)
        self.wrong = timedelta()

    def all_of(self, names):
        return [self.who[name] for name in names]

    async def link(self, said):
        now = milliseconds(self.consent.clock())
        start, until = (
            milliseconds(self.at + timedelta(**said[end])) if end in said else None for end in ("from", "until")
        )
        span = Span(now if start is None else start, until)
        await self.consent.link(self.who[said["account"]], self.all_of(said["identifiers"]), span)

    async def link_end(self, said):
        now = milliseconds(self.consent.clock())
        span = Span(now - 1, now)
        await self.consent.link(self.who[said["account"]], self.all_of(said["identifiers"]), span)

    async def release(self, said):
        await self.consent.link(self.consent.people.account(""), self.all_of(said["who"]), Span(0), released=True)

    async def choose(self, said):
        await self.consent.choose(self.all_of(said["who"]), self.choice(said["kind"], said["purposes"]))

    async def observe(self, said):
        state = Said(said["source"], frozenset(map(Purpose, said["purposes"])), KeptFor.STATE)
        heard = Heard((state,)) if said["state"] == "began" else Heard(ended=frozenset({said["source"]}))
        await self.consent.observe(self.all_of(said["who"]), heard)

    async def opt_in(self, said):
        """Both acts; the proof was looked at by the door."""
        data_class = DataClass.PRECISE_GEO if "recipient" in said else None
        asked = self.choice(
            "opt_in",
            [said["purpose"]],
            notice=Notice(b"1" * 32, "1", "en"),
            ui=said.get("screen", "1"),
            recipient=said.get("recipient", ""),
            data_class=data_class,
        )
        token, _ = self.consent.ask_to_confirm([self.who[said["who"]]], asked)
        chosen = await self.consent.confirm(token, Notice(b"2" * 32, "2", "en"))
        self.entries[said.get("id")] = chosen.events[0]["seq"]

    def choice(self, kind, purposes, **more):
        return Choice(ChoiceKind(kind), tuple(map(Purpose, purposes)), Source.API, self.consent.clock(), **more)

    async def void(self, said):
        if "screen" in said:
            await self.consent.void_consents(said["screen"], sha256(b"a dark pattern").digest())
            return
        belief = Belief(sha256(b"forged").digest(), ("Ana", "Ben"))
        for job in void_choices.jobs([self.entries[each] for each in said["entries"]], belief, self.at):
            await self.house.writer.commit(job)

    async def erase(self, said, mode=None):
        mode = mode or Erasing(said["mode"])
        await self.consent.erase(erasure.ErasureOrder(mode, self.all_of(said["who"]), self.at))

    async def child_found(self, said):
        await self.erase(said, Erasing.CHILD)

    async def say_age(self, said):
        await self.consent.say_age(self.all_of(said["who"]), said["age"], may_rise=said["by"] != "app")

    async def wait(self, said):
        self.at += timedelta(hours=said["hours"])

    def stands(self, name, purpose):
        """As a check finds it: by its own names, and denied by its looser forms too."""
        subject, lookup = self.who[name], self.consent.checks._lookup
        own = lookup.seen(subject.keys).standings
        if any(each.denies(purpose) for each in (*own, *lookup.seen(subject.looser).standings)):
            return "deny"
        return "yes" if any(each.opted_in(purpose) for each in own) else "open"

    def grants(self, name):
        return sorted(grant.recipient for grant in self.consent.checks._lookup.grants([self.who[name].key]))

    def age(self, name):
        return self.consent.checks.band([self.who[name]])

    def wrongs(self, then):
        """What does not stand as it should, told in words."""
        found = []
        for what, expected in then.items():
            if what in {"grants", "age"}:
                is_so = getattr(self, what)
                found += [f"{name}: {what} {is_so(name)}" for name, wanted in expected.items() if is_so(name) != wanted]
                continue
            for wanted in ("deny", "open", "yes"):
                met = {name: self.stands(name, Purpose(what)) for name in expected.get(wanted, ())}
                found += [f"{name}: {what} {is_so}, not {wanted}" for name, is_so in met.items() if is_so != wanted]
        return found


class AtTheDoors(Teller):
    """Does what an app's key and the form can do by calls, as a phone and a browser make them; each by the true
    time."""

    def __init__(self, house, history, place):
        self.tokens, self.place, self.said = {}, place, history["who"]
        self.installed = {json.dumps(said): tokens.new() for said in self.said.values()}
        super().__init__(house, history)
        self.consent.clock = lambda: datetime.now(UTC)
        for name, said in self.said.items():
            self.tokens[name] = tokens.seal_device_token(house.secrets, self.installed[json.dumps(said)])

    def named(self, said):
        if said["type"] == INSTALLATION:
            return self.consent.people.device(self.installed[json.dumps(said)].value)
        return super().named(said)

    async def post(self, path, names, token=None, **members):
        """By the app's key, with the installation's token, which each answer makes anew."""
        shown = {"device": self.tokens[token]} if token else {}
        ids = [self.said[name] for name in names if self.said[name]["type"] != INSTALLATION]
        answer = await self.place.in_app.post(path, json={"identifiers": ids, "place": "US-CA", **shown, **members})
        if answer.status_code < 300 and token:
            self.tokens[token] = answer.json()["device"]
        return answer

    def proof(self, kind, names, token=None):
        if kind == "account":
            return self.place.backend.proof(self.said[names[0]]["value"])
        if kind == "attestation":
            return self.place.backend.attests(*(self.said[name] for name in names))
        return {"kind": "device", "token": self.tokens[token]}

    async def claim(self, said):
        await self.post("/v1/observe", said["identifiers"], signals={}, proof=self.proof("account", [said["account"]]))

    async def attestation(self, said):
        answer = await self.post("/v1/observe", [said["who"]], proof=self.proof("attestation", [said["who"]]))
        assert not [each for each in answer.json()["ignored"] if each["pointer"] == "/proof"]

    async def observe(self, said):
        assert (await self.post("/v1/observe", said["who"], said["token"], signals=said.get("signals", {}))).is_success

    async def choose(self, said):
        if "token" not in said:
            await super().choose(said)
            return
        no = {"choice": said["kind"], "purposes": said["purposes"]}
        assert (await self.post("/v1/choices", said["who"], said["token"], **no)).status_code == 201

    async def opt_in(self, said):
        who, token = [said["who"]], said.get("token")
        more = {"recipient": said["recipient"], "data": ["precise_geo"]} if "recipient" in said else {}
        yes = {"choice": "opt_in", "purposes": [said["purpose"]], "notice": SHOWN, **more}
        asked = await self.post("/v1/choices", who, token, proof=self.proof(said["proof"], who, token), **yes)
        if "refused" in said:
            assert phones.kind(asked) == said["refused"]
            return
        yes = {"choice": "confirm", "confirm": asked.json()["confirm"], "notice": SECOND}
        proof = self.proof(said["proof"], who, token)
        assert (await self.post("/v1/choices", who, token, proof=proof, **yes)).status_code == 201

    async def say_age(self, said):
        if said["by"] == "app":
            token = next(name for name in said["who"] if self.said[name]["type"] == INSTALLATION)
            await self.post("/v1/observe", said["who"], token, age=said["age"])
        else:
            proof = self.proof(said["by"], said["who"])
            await self.post("/v1/observe", said["who"], said["installation"], age=said["age"], proof=proof)

    async def form(self, said):
        assert said["numbers"] == ["US"], "the shipped [phone] countries"
        async with inside.client(self.place.app) as browser:
            answer = await browser.post(FORM, data={"action": "opt_out", "country": said["country"], **said["typed"]})
        assert answer.status_code == 303

    async def prove(self, said):
        """A code that went to the number is a proof for opting in, and that is the one step."""
        await super().opt_in({"who": said["who"], "purpose": "sale"})

    def age(self, name):
        rows = self.consent.checks.standings_of(self.who[name].keys)
        return min((row.age_band for row in rows if row.age_band), key=AGES.index, default=None)


async def told(house, history, place=None):
    """What is wrong, with the number of the act after which it is."""
    teller, found = AtTheDoors(house, history, place) if place else Teller(house, history), []
    for number, act in enumerate(history["acts"]):
        await teller.act(act)
        found += [(number, wrong) for wrong in teller.wrongs(act.get("then", {}))]
    return found


@pytest.mark.parametrize("name", [name for name in HISTORIES if name not in OF_DOORS])
async def test_everybody_in_a_history_stands_as_it_tells(house, folder, name):
    history = HISTORIES[name]
    assert await told(house, history) == [], history["person"]
    assert await asyncio.to_thread(made_again, folder) == set(), "made again from the entries it is the same"


@pytest.fixture
async def at_the_doors(tmp_path, monkeypatch):
    """The open house behind the doors, and who calls there."""
    opened = []

    @contextlib.contextmanager
    def seen(*stated, **more):
        with open_house(*stated, **more) as house:
            opened.append(house)
            yield house

    monkeypatch.setattr(service, "open_house", seen)
    async with phones.standing(tmp_path) as place:
        yield opened[-1], place


@pytest.mark.parametrize("name", OF_DOORS)
async def test_everybody_in_a_history_of_the_doors_stands_as_it_tells(at_the_doors, name):
    history, (house, place) = HISTORIES[name], at_the_doors
    assert await told(house, history, place) == [], history["person"]
    assert await asyncio.to_thread(made_again, place.folder) == set(), "made again from the entries it is the same"


def made_again(folder):
    """Where the rows are others than the entries give."""
    with contextlib.closing(schema.open_to_read(folder)) as db:
        keys = [key for (key,) in db.execute("SELECT key FROM standing")]
        return rows_check.of_keys(db, keys, connected_people.of(db, keys))


OPPOSITE = {"deny": "open", "open": "deny", "yes": "deny"}


async def test_a_history_that_tells_otherwise_does_not_pass(house):
    """The control: each expectation turned round is found, and no other one."""
    history = copy.deepcopy(HISTORIES["a code opens the address that it was sent to alone"])
    planted = 0
    for act in history["acts"]:
        for purpose, expected in act.get("then", {}).items():
            turned = [(OPPOSITE[wanted], name) for wanted, names in expected.items() for name in names]
            act["then"][purpose] = {word: [name for each, name in turned if each == word] for word, _ in turned}
            planted += len(turned)
    assert len(await told(house, history)) == planted > 0


def test_each_history_says_whom_it_is_about_and_names_nobody_else():
    for history in HISTORIES.values():
        assert history["person"].endswith(".")
        assert history["acts"][-1].get("then"), history["name"]
        for act in history["acts"]:
            assert act["act"] in DATA["about"]["acts"]
            names = [act.get("account"), *(act.get("identifiers") or ())]
            who = act.get("who") or ()
            names += [who] if isinstance(who, str) else who
            for what in act.get("then", {}).values():
                names += (
                    [name for listed in what.values() for name in listed] if "deny" in what or "open" in what else []
                )
            assert {name for name in names if name} <= history["who"].keys(), history["name"]
    people = [history["person"] for history in HISTORIES.values()]
    assert len(set(people)) == len(people) == len(DATA["histories"])


def test_what_is_told_at_the_doors_is_named():
    assert {history["door"] for history in HISTORIES.values() if "door" in history} == {"app-key", "phone-readings"}
