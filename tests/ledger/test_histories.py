"""People's histories as data (tests/vectors/histories.json), told by this ledger: what each act denies and opens.

`support.acts` plays them. Where it is the door that decides what an act means (an app's key, what was typed into the
form) they are done at that door.
"""

import asyncio
import contextlib
import copy
import inspect
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from support import inside, phones, postgres_server
from support.acts import NOBODY, WORDS, Play
from support.blind import Blind, is_blind
from support.examples import SOAK
from support.oracle import Folded

from gateway.app import service
from gateway.app.composition import open_house
from gateway.consent import tokens
from gateway.fold import fold
from gateway.fold.record import AgeTold, LinkSaid, NoticeBounced, NoticeGiven, Record, SaidOut, StateSaid
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import milliseconds
from gateway.terms import NoticeKind, Purpose
from gateway.web.shell import page

DATA = json.loads((Path(__file__).parent.parent / "vectors" / "histories.json").read_text(encoding="utf-8"))
HISTORIES = {history["name"]: history for history in DATA["histories"]}
IN_FORCE = [name for name, history in HISTORIES.items() if "door" not in history]
NOT_BY_ROW = {"the other kind of one digest"}
OF_DOORS = [name for name, history in HISTORIES.items() if "door" in history]
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))
INSTALLATION = "device"
FORM = "/privacy-choices"


class OnDisk:
    """The ledger of an open installation, for `Play`."""

    def __init__(self, house, folder):
        self.folder = folder
        self.commit = lambda job: house.writer.submit(job).result(60)

    def reading(self):
        return contextlib.closing(store_in(self.folder).open_to_read())


class AtTheDoors(Play):
    """Does what an app's key and the form can do by calls, as a phone and a browser make them; each by the true
    time."""

    def __init__(self, house, history, place):
        self.tokens, self.place = {}, place
        self.installed = {json.dumps(said): tokens.new() for said in history["who"].values()}
        super().__init__(history["who"], OnDisk(house, place.folder), house.secrets)
        for name, said in self.said.items():
            self.tokens[name] = tokens.seal_device_token(house.secrets, self.installed[json.dumps(said)])

    def _named(self, people, said):
        if said["type"] == INSTALLATION:
            return people.device(self.installed[json.dumps(said)].value)
        return super()._named(people, said)

    async def act_at_a_door(self, said):
        """One act, at a door where it has one."""
        self.at = datetime.now(UTC) - timedelta(seconds=1)
        if inspect.iscoroutinefunction(getattr(self, f"_at_door_{said['act']}", None)):
            await getattr(self, f"_at_door_{said['act']}")(said)
        else:
            await asyncio.to_thread(self.act, said)

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

    async def _at_door_claim(self, said):
        await self.post("/v1/observe", said["identifiers"], signals={}, proof=self.proof("account", [said["account"]]))

    async def _at_door_attestation(self, said):
        answer = await self.post("/v1/observe", [said["who"]], proof=self.proof("attestation", [said["who"]]))
        assert not [each for each in answer.json()["ignored"] if each["pointer"] == "/proof"]

    async def _at_door_observe(self, said):
        assert (await self.post("/v1/observe", said["who"], said["token"], signals=said.get("signals", {}))).is_success

    async def _at_door_choose(self, said):
        if "token" not in said:
            await asyncio.to_thread(self.act, said)
            return
        no = {"choice": said["kind"], "purposes": said["purposes"]}
        assert (await self.post("/v1/choices", said["who"], said["token"], **no)).status_code == 201

    async def _at_door_opt_in(self, said):
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

    async def _at_door_say_age(self, said):
        if said["by"] == "app":
            token = next(name for name in said["who"] if self.said[name]["type"] == INSTALLATION)
            await self.post("/v1/observe", said["who"], token, age=said["age"])
        else:
            proof = self.proof(said["by"], said["who"])
            await self.post("/v1/observe", said["who"], said["installation"], age=said["age"], proof=proof)

    async def _at_door_form(self, said):
        assert said["numbers"] == ["US"], "the shipped [phone] countries"
        async with inside.client(self.place.app) as browser:
            answer = await browser.post(FORM, data={"action": "opt_out", "country": said["country"], **said["typed"]})
        assert answer.status_code == 303

    async def _at_door_prove(self, said):
        """A code that went to the number is a proof for opting in, and that is the one step."""
        await asyncio.to_thread(self.opt_in, {"who": said["who"], "purpose": "sale"})


def told(history, ledger=None, other=None):
    """Who played it, and what is wrong, with the number of the act after which it is. `other`: an implementation that
    is asked in place of the ledger.
    """
    play, found, moments = Play(history["who"], ledger), [], []
    for number, act in enumerate(history["acts"]):
        play.act(act)
        now, then = milliseconds(play.at), act.get("then", {})
        if other and then:
            other.caught_up(play, now)
        found += [(number, wrong) for wrong in play.wrongs(then, partial(said_by, play, other, now) if other else None)]
        moments.append((number, now, then))
    return play, found, moments


def said_by(play, other, now, name):
    return play.joined(name, lambda key: other.standing_of(key, now))


def looked_back(play, moments):
    """The same at the moments that are over: made again from the entries."""
    found = []
    for number, at, then in moments:
        if then:
            with play.moment(at) as standing_of:
                found += [(number, wrong) for wrong in play.wrongs(then, standing_of)]
    return found


# Acts after which less is known of earlier moments, or that were not told in the order of the clocks.
FORGETS = {"erase", "prune", "child_found"}


def may_look_back(history):
    return not any(act["act"] in FORGETS or "clock" in act for act in history["acts"])


@pytest.mark.parametrize("name", IN_FORCE)
def test_everybody_in_a_history_stands_as_it_tells(name):
    if name in NOT_BY_ROW:
        pytest.xfail("a check by a name reads more keys than its row")
    history = HISTORIES[name]
    play, found, moments = told(history)
    assert found == [], history["person"]
    assert not may_look_back(history) or looked_back(play, moments) == [], "and so it is at every earlier moment"
    assert told(history, other=Folded())[1] == [], "told by the sides of records it is the same"


@pytest.mark.parametrize("name", [name for name, history in HISTORIES.items() if is_blind(history)])
def test_the_fold_alone_decides_what_is_news(name):
    """Told of every act, with no ledger before it that leaves out what is none."""
    if name in NOT_BY_ROW:
        pytest.xfail("a check by a name reads more keys than its row")
    history = HISTORIES[name]
    play, found = Blind(history["who"]), []
    for number, act in enumerate(history["acts"]):
        play.act(act)
        found += [(number, wrong) for wrong in play.wrongs(act.get("then", {}))]
    assert found == [], history["person"]


def taking(kind, **otherwise):
    """A fold that takes each record of a kind for one that says otherwise."""

    def planted(record, get):
        said, more = record.said, {name: value for name, value in otherwise.items() if name in Record._fields}
        if not isinstance(said, kind):
            return fold(record, get)
        others = {name: value for name, value in otherwise.items() if name not in more}
        return fold(record._replace(said=said._replace(**others), **more), get)

    return planted


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("another app's word", taking(StateSaid, mark="")),
        ("nobody gets older by a caller's word", taking(AgeTold, may_rise=True)),
        ("who was told by account", taking(NoticeGiven, notice=NoticeKind.CPNI)),
        ("a notice that came back later", taking(NoticeBounced, notice=NoticeKind.CPNI)),
        ("a yes with the signal in sight", taking(SaidOut, signal=False)),
        ("a limit of sensitive data", taking(SaidOut, purposes=(Purpose.SALE,))),
        ("a claim carries the account's no and nothing back", taking(LinkSaid, claimed=False)),
    ],
)
def test_the_control_a_fold_with_a_fault_does_not_tell_a_history(name, planted):
    history = HISTORIES[name]
    play, found = Blind(history["who"], planted), []
    for act in history["acts"]:
        play.act(act)
        found += play.wrongs(act.get("then", {}))
    assert found


def done_in(name):
    """Each kind of act with each of what may be said of it."""
    return {(act["act"], member) for act in HISTORIES[name]["acts"] for member in act if member != "then"}


def every_third(names):
    """And whatever has acts that those have not."""
    chosen = list(names) if SOAK else names[::3]
    done = set().union(*map(done_in, chosen))
    for name in names:
        if done_in(name) - done:
            chosen.append(name)
            done |= done_in(name)
    return chosen


@pytest.mark.slow
def test_on_a_disk_by_the_real_writer_everybody_stands_as_in_memory(tmp_path):
    """But for new peppers: a service that runs takes none."""
    wrong = {}
    told_here = [each for each in IN_FORCE if each not in NOT_BY_ROW]
    here = [each for each in told_here if not any(act["act"] == "new_pepper" for act in HISTORIES[each]["acts"])]
    for name in every_third(here):
        data = inside.install(tmp_path / sha256(name.encode()).hexdigest()[:16])
        with open_house(data, inside.settings(), dev=True) as house:
            found = told(HISTORIES[name], OnDisk(house, data))[1]
        wrong |= {name: found} if found else {}
    assert wrong == {}


ON_A_SERVER = [each for each in IN_FORCE if each not in NOT_BY_ROW][:: 4 if SOAK else 12]


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_A_SERVER)
def test_on_a_postgresql_everybody_stands_as_in_memory(name, tmp_path, postgres):
    """By the role that can only add to the log, but for what is pruned."""
    acts = {act["act"] for act in HISTORIES[name]["acts"]}
    if "new_pepper" in acts:
        pytest.skip("a service that runs takes no new pepper")
    data = postgres_server.installed(postgres, tmp_path / "data")
    owner = postgres_server.office_url(data) if "prune" in acts else ""
    with open_house(data, inside.settings(), dev=True, owner=owner) as house:
        assert told(HISTORIES[name], OnDisk(house, data))[1] == []
    assert not list(data.glob("*.sqlite3"))


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


@pytest.mark.anyio
@pytest.mark.parametrize("name", OF_DOORS)
async def test_everybody_in_a_history_of_the_doors_stands_as_it_tells(at_the_doors, name):
    history, (house, place) = HISTORIES[name], at_the_doors
    play, found = AtTheDoors(house, history, place), []
    for number, act in enumerate(history["acts"]):
        await play.act_at_a_door(act)
        found += [(number, wrong) for wrong in await asyncio.to_thread(play.wrongs, act.get("then", {}))]
    assert found == [], history["person"]


OPPOSITE = {"deny": "open", "open": "deny", "yes": "deny"}


def test_a_history_that_tells_otherwise_does_not_pass():
    """The control: each expectation turned round is found, and no other one."""
    history = copy.deepcopy(HISTORIES["a code opens the address that it was sent to alone"])
    planted = 0
    for act in history["acts"]:
        for purpose, expected in act.get("then", {}).items():
            turned = [(OPPOSITE[wanted], name) for wanted, names in expected.items() for name in names]
            act["then"][purpose] = {word: [name for each, name in turned if each == word] for word, _ in turned}
            planted += len(turned)
    _, found, moments = told(history)
    assert len(found) == planted > 0
    assert len(looked_back(told(history)[0], moments)) == planted


def named_in(act):
    """Every name that an act or its `then` speaks of."""
    yield from (act[each] for each in ("account", "who") if isinstance(act.get(each), str))
    yield from (name for each in ("identifiers", "who") if isinstance(act.get(each), list) for name in act[each])
    for what, expected in act.get("then", {}).items():
        yield from expected if what in NOBODY else (name for names in expected.values() for name in names)


def test_each_history_says_whom_it_is_about_and_names_nobody_else():
    for history in HISTORIES.values():
        assert history["person"].endswith(".")
        assert history["acts"][-1].get("then"), history["name"]
        for act in history["acts"]:
            assert act["act"] in DATA["about"]["acts"]
            assert {*named_in(act)} <= history["who"].keys(), history["name"]
    people = [history["person"] for history in HISTORIES.values()]
    assert len(set(people)) == len(people) == len(DATA["histories"])


def test_the_words_of_the_acts_are_those_that_are_played():
    assert DATA["about"]["acts"] == WORDS
    played = {act["act"] for history in HISTORIES.values() for act in history["acts"]}
    assert played == WORDS.keys() - {"clock"}


def test_what_is_told_at_the_doors_is_named():
    assert {history["door"] for history in HISTORIES.values() if "door" in history} == {"app-key", "phone-readings"}
