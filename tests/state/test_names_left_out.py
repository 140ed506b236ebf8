"""Which digests of an ad id a check need not ask for: whatever happened to whomever, somebody stands by those that are
left as by all of them.
"""

import contextlib
import random
from collections import Counter
from datetime import date
from hashlib import md5, sha256

import pytest
from support import universes
from support.acts import Play, Refused
from support.examples import SOAK
from support.people import GAID, email, gaid, named
from support.states import ListedLog
from support.universes import acts_of

from gateway.choice.identity import AD_ID_DIGESTS
from gateway.choice.standing import alike
from gateway.consent.people import People
from gateway.fold.record import KeptNo, NamesLearnt, Record, SaidOut
from gateway.ledger import log_records
from gateway.ledger.acts.office_acts import ListedRequest, ListPart, end_part, take_part
from gateway.ledger.log_records import LedgerLog
from gateway.ledger.subjects import milliseconds
from gateway.state import packed_rows, upkeep
from gateway.state.transactions import StateWrite
from gateway.state.upkeep import HostState
from gateway.terms import Purpose

LENGTH, UNIVERSES = 60, 24 if SOAK else 10
HASHED = {
    "hashed": named("ad_id_sha256", sha256(GAID.encode()).hexdigest()),
    "hashed bare": named("ad_id_md5", md5(GAID.replace("-", "").upper().encode()).hexdigest()),
}
WHO = {
    "ann": named("account", "ann"), "bob": named("account", "bob"), "gaid": named("gaid", GAID),
    "idfa": named("idfa", GAID), "tablet": named("gaid", gaid(7)), "mail": named("email", email(1)),
    "browser": named("browser", "b" * 16), "app": named("device", "installation-one"), **HASHED,
}  # fmt: skip
ASKED = [WHO["gaid"], WHO["idfa"], named("oaid", GAID), WHO["tablet"], named("gaid", gaid(8))]


class LeftOut:
    """One life with a state behind it. From a moment on digests are named too, or a state's list names one."""

    def __init__(self, folder, seed, seen):
        self.rng, self.folder, self.seen = random.Random(seed), folder, seen
        self.kept = HostState(folder)
        self.play = Play(WHO)
        log_records.watch_deletes(self.play.ledger.db)
        hashed_from, self.listed_at = self.rng.randint(0, 2 * LENGTH), self.rng.randint(0, 3 * LENGTH)
        _, acts = acts_of(seed, LENGTH)
        self.acts = [each for at, each in enumerate(acts) if at >= hashed_from or not _names_digest(each)]

    def lived(self):
        for number, act in enumerate(self.acts):
            with contextlib.suppress(Refused, KeyError):  # what an act rests on may have been left out
                self.play.act(act)
            if number == self.listed_at:
                self._list(self.rng.choice(("MAID", "Email")))
            self._keep()
            self._compare()
        self.kept.close()

    def _list(self, kind):
        request = ListedRequest("A" * 12, self.play.who["mail"].key if kind == "Email" else self._hashed())
        part = ListPart("US-CA", "a.csv", kind, date(2026, 11, 29), self.play.at)
        self.play.commit(lambda tx: take_part(tx, part, [request], {}))
        if self.rng.random() < 0.3:
            self._keep()
            self.play.commit(lambda tx: end_part(tx, part, [request]))

    def _hashed(self):
        """Of somebody's ad id, or of one that nobody ever named, in another spelling than the one always asked for."""
        value = sha256(gaid(8).upper().encode()).hexdigest()
        people = People(self.play.secrets, lambda: self.play.at)
        [stranger] = people.name([named("ad_id_sha256", value)]).subjects
        return self.rng.choice((self.play.who["hashed"], stranger)).key

    def _keep(self):
        """By the same state or, now and then, by one that is made anew."""
        if self.rng.random() < 0.05:
            self.kept.close()
            self.kept = HostState(self.folder.with_name(f"{self.folder.name}.{self.rng.random()}"))
        self.kept.catch_up(LedgerLog(self.play.ledger.db))
        log_records.forget_deletes(self.play.ledger.db)

    def _compare(self):
        people = People(self.play.secrets, lambda: self.play.at)
        now = milliseconds(self.play.at)
        with self.kept.moment() as moment:
            alone = moment.head.alone
            for said in ASKED:
                every, few = (people.name([said], alone=apart).keys for apart in (None, alone))
                stands = [
                    {*alike([found for _, found in moment.standings(keys, lambda: now)])} for keys in (every, few)
                ]
                assert stands[0] == stands[1], (self.play.done[-3:], said, alone)
                self.seen[len(alone), bool(stands[0])] += 1
                assert set(few) <= set(every)
                assert len(few) == (13 if len(alone) == len(AD_ID_DIGESTS) else 2 + 4 * len(alone))


def _names_digest(act):
    said = [act.get(name, ()) for name in ("who", "identifiers")]
    return any(name in HASHED for each in said for name in ([each] if isinstance(each, str) else each))


@pytest.fixture
def whom(monkeypatch):
    monkeypatch.setattr(universes, "universe_of", lambda seed: dict(WHO))


def lives(tmp_path, many=UNIVERSES):
    seen = Counter()
    for seed in range(many):
        LeftOut(tmp_path / str(seed), seed, seen).lived()
    return seen


@pytest.mark.slow
@pytest.mark.usefixtures("whom")
def test_somebody_stands_by_the_names_that_are_asked_for_as_by_all(tmp_path, figure):
    seen = lives(tmp_path)
    figure("names left out", f"{dict(sorted(seen.items()))} by kinds of digests, on record or not")
    assert all(seen[kinds, known] > 20 for kinds in (0, 1) for known in (False, True))


def too_late(self, kinds):
    """Only what was said before this transaction counts."""
    spoken, self._spoken_of = self._spoken_of, LATE.pop(id(self._held), set())
    LATE[id(self._held)] = spoken
    HONEST_HEED(self, kinds)


LATE, HONEST_HEED = {}, StateWrite.heed
PLANTS = {
    "a fact that comes a transaction late": (StateWrite, "heed", too_late),
    "a log that takes everybody for no digest": (LedgerLog, "kinds", lambda self, keys: {(k, "eid") for k in keys}),
    "a log that knows no lists": (
        log_records,
        "KINDS",
        [
            log_records.ASKED.format(one=each)
            for each in (log_records.KIND, "SELECT 'Email' FROM deletion_row r WHERE r.key = a.column1 LIMIT 1")
        ],
    ),
    "a head that loses the fact": (packed_rows.StateHead, "pack", lambda self: PACK(self._replace(alone=frozenset()))),
    "a state made anew that never heard": (upkeep.StateWrite, "heed", lambda self, kinds: None),
}
PACK = packed_rows.StateHead.pack


@pytest.mark.usefixtures("whom")
@pytest.mark.parametrize("name", PLANTS)
def test_the_control_names_that_are_left_out_too_long_are_found(tmp_path, monkeypatch, name):
    monkeypatch.setattr(*PLANTS[name])
    with pytest.raises(AssertionError):
        lives(tmp_path, 60)


ID, NAME = b"i" * 16, b"n" * 16
NAMED, STAYS, SAID = (
    Record(0, 0, ID, NamesLearnt((NAME,))),
    Record(1, 0, NAME, KeptNo(Purpose.SALE, b"o" * 16, b"o" * 16)),
    Record(2, 0, NAME, SaidOut((Purpose.SALE,), "form")),
)


@pytest.mark.parametrize(
    ("records", "alone"), [((NAMED, STAYS), 0), ((NAMED, STAYS, SAID), 3), ((NAMED, SAID, STAYS), 3), ((STAYS,), 3)]
)
def test_what_stays_of_somebody_forgotten_hides_no_word_of_the_same_name(tmp_path, records, alone):
    with contextlib.closing(HostState(tmp_path)) as state:
        state.catch_up(ListedLog(records))
        with state.moment() as moment:
            assert len(moment.head.alone) == alone
