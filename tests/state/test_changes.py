"""Whoever follows what changed has what the state has, wherever they go on from."""

import contextlib
import random
from collections import Counter

import pytest
from support.any_acts import DIGESTS, KEYS, SCREENS, acts
from support.examples import SOAK
from support.states import ListedLog, all_in

from gateway.fold.record import LinkSaid, Record, SaidOut, ScreenVoided
from gateway.state import environment, fronts, packed_rows, transactions
from gateway.state.environment import StateRefused
from gateway.state.lookup import StateMoment
from gateway.state.packed_rows import PlaceChanges, read_gone
from gateway.state.transactions import write_copied
from gateway.state.upkeep import HostState, Making
from gateway.terms import CHOOSABLE

UNIVERSES, LENGTH, NOW = 40 if SOAK else 4, 150, 10**13
EVERYBODY = (*KEYS, *DIGESTS)


class Forgetful(ListedLog):
    """A log that forgets people: a record of its own says that somebody went, and not who."""

    def __init__(self):
        super().__init__()
        self.forgotten = {}  # by the position behind that record

    def forget(self, key):
        self.records = [None if each and each.key == key else each for each in self.records]
        self.extend([None])
        self.forgotten[self.head] = key

    def changed(self, after):
        return frozenset(key for at, key in self.forgotten.items() if at > after)

    def read(self, after):
        return ((at, each) for at, each in super().read(after) if each)

    def records_about(self, keys):
        return [each for each in self.records if each and (each.key in keys or not each.key)]


class Copy:
    """A state that is written from what another one tells, as a replica's is; and what an export has read."""

    def __init__(self, folder):
        self.held = environment.make_generation(folder)
        self.at, self.waits = 0, {}
        self.exported, self.read_to = {}, 0
        self.begun = 0

    def moment(self):
        return StateMoment(self.held, 0)

    def follow(self, state, limit):
        """To the end, as many places at once."""
        begun = self.at or None
        while True:
            with state.moment() as moment:
                part = moment.changes(self.at, limit)
                assert begun is None or part.floor <= begun
                begun = begun or moment.head.position
                for _, places in part.changed:
                    self.waits |= {place: moment.packed(place) for place in places}
                    self.waits |= dict(moment.crowd(place[:16]) for place in places)
                head = moment.head
            self.at = part.upto
            if part.upto == head.position:
                write_copied(self.held, self.waits, head)
                self.waits = {}
                return

    def read(self, state, limit):
        """What stands of keys, as an export has it."""
        begun = self.read_to
        while True:
            with state.moment() as moment:
                if begun and begun < moment.head.voided:
                    self.exported, self.read_to, self.begun, begun = {}, 0, self.begun + 1, 0
                part = moment.changes(self.read_to, limit)
                begun = begun or moment.head.position
                for _, places in part.changed:
                    for key in {place for place in places if len(place) == 16} | moment.beyond(places):
                        self.exported[key] = moment.standing(key, NOW)
                head = moment.head
            self.read_to = part.upto
            if part.upto == head.position:
                return

    def wrong(self, state):
        """Where it has, or an export has, something else than the state."""
        found = [] if all_in(self)[1] == all_in(state)[1] else ["rows"]
        with state.moment() as there, self.moment() as here:
            stands = {key: there.standing(key, NOW) for key in EVERYBODY}
            found += [("copy", key) for key in EVERYBODY if here.standing(key, NOW) != stands[key]]
            assert here.reached.position == there.reached.position
        return found + [("export", key) for key in EVERYBODY if self.exported.get(key) != stands[key]]


def wrong_index(state):
    """Places that do not stand once, at their last change."""
    lies, told = {}, Counter()
    with state.moment() as moment:
        for key, packed in moment._txn.cursor():
            if key.startswith(packed_rows.AT):
                at = int.from_bytes(key[len(packed_rows.AT) :], "big")
                told.update((place, at) for place in packed_rows._placed(packed))
            elif len(key) in {16, 32}:
                lies[bytes(key)] = packed_rows.changed_at(key, packed)
    return [each for each in told.keys() | lies.items() if told[each] != 1 or each[0] not in lies]


def gone_in(state):
    with state.moment() as moment:
        return read_gone(moment._txn)[1]


def looked_at(folder, universes=UNIVERSES):
    """(what is wrong, how much at most was known to have gone, how often an export had to begin anew); it ends at the
    first wrong.
    """
    most = begun = 0
    for seed in range(universes):
        state, log, rng = HostState(folder / str(seed)), Forgetful(), random.Random(seed)
        records, copy = list(acts(seed, LENGTH)), None
        while records:
            some = rng.choice((1, 1, 1, 4))
            log.extend(records[:some])
            del records[:some]
            state.catch_up(log)
            if rng.random() < 0.02:
                log.extend([Record(log.head, NOW - 1, b"", ScreenVoided(rng.choice(SCREENS)))])
                state.catch_up(log)
            if rng.random() < 0.03:
                log.forget(rng.choice(KEYS))
                state.catch_up(log)
            most = max(most, len(gone_in(state)))
            copy = copy or Copy(folder / f"copy-{seed}")
            if rng.random() < 0.5:
                copy.follow(state, rng.choice((1, 3, 1000)))
                copy.read(state, rng.choice((1, 3, 1000)))
                wrong = wrong_index(state) + copy.wrong(state)
                if wrong:
                    state.close()
                    return wrong, most, begun
        begun += copy.begun
        state.close()
    return [], most, begun


@pytest.mark.slow
def test_a_copy_and_an_export_that_go_on_anywhere_have_what_the_state_has(tmp_path, crowd, figure):
    wrong, gone, begun = looked_at(tmp_path)
    figure(f"what changed, a crowd is {crowd}", f"{gone} places had gone at most, exports began anew {begun} times")
    assert wrong == []
    assert min(gone, begun) > (5 if SOAK else 3)


def overlooks_who_went(self, place, position):
    if self._txn.get(place) is not None:
        self._leave(place, self._txn.get(place))
        self._txn.delete(place)


def stays_in_its_old_place(self, place, before):
    pass


PLANTED = {
    "who went is not told": (PlaceChanges, "delete", overlooks_who_went),
    "who changed stays where it was": (PlaceChanges, "_leave", stays_in_its_old_place),
    "what is too large is not carried on": (StateMoment, "beyond", lambda self, places: set()),
    "where nothing tells more it counts as told before": (transactions, "moved_at", lambda front, position: front),
    "a crowd is not sent": (StateMoment, "crowd", lambda self, account: (account + b"crowd", None)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_the_control_a_way_to_overlook_a_change_is_found(tmp_path, monkeypatch, name):
    monkeypatch.setattr(fronts, "CROWD", 5)
    monkeypatch.setattr("gateway.state.transactions.FORMS._forms", {})  # those of before are of other limits
    monkeypatch.setattr(fronts, "READ", 20)
    monkeypatch.setattr(*PLANTED[name])
    with contextlib.suppress(AssertionError, StateRefused):
        assert looked_at(tmp_path, 60)[0] == []
        pytest.fail("nothing was found")


@pytest.fixture
def two_forgotten(tmp_path):
    """(a state, how far it was before each was forgotten)."""
    state, log = HostState(tmp_path), Forgetful()
    state.catch_up(log)
    log.extend([Record(number, number, key, SaidOut(CHOOSABLE[:1], "form")) for number, key in enumerate(KEYS[:3], 1)])
    ends = [state.catch_up(log)]
    for key in KEYS[:2]:
        log.forget(key)
        ends.append(state.catch_up(log))
    yield state, log, ends
    state.close()


def told(state, after):
    """(the floor, what is told of what went)."""
    with state.moment() as moment:
        part = moment.changes(after, 100)
        return part.floor, {place for _, places in part.changed for place in places if moment.packed(place) is None}


def test_who_went_is_told_to_whoever_had_them_and_to_nobody_else(two_forgotten):
    state, _, (both, one, neither) = two_forgotten
    assert [told(state, after) for after in (both, one, neither)] == [
        (0, {KEYS[0], KEYS[1]}),
        (0, {KEYS[1]}),
        (0, set()),
    ]


def test_of_more_that_went_than_is_kept_whoever_lacks_the_first_begins_anew(tmp_path, monkeypatch, request):
    monkeypatch.setattr(packed_rows, "MOST_GONE", 1)
    state, _, (both, one, _) = request.getfixturevalue("two_forgotten")
    assert told(state, both) == (one, {KEYS[1]})


def test_once_pages_are_made_anew_nothing_tells_who_went(two_forgotten):
    state, log, (both, _, neither) = two_forgotten
    assert state.wanted(log) is Making.COMPACT
    state.forget_gone()
    state.prepare(log, Making.COMPACT)
    state.follow(log)
    assert told(state, both) == (neither, set())
    for each in KEYS[:2]:
        assert each not in (state._current().folder / "data.mdb").read_bytes()
    assert not state.left()


def test_who_came_and_went_while_pages_were_made_anew_does_not_stay_with_whoever_had_heard_of_them(
    two_forgotten, tmp_path
):
    state, log, (*_, neither) = two_forgotten
    state.forget_gone()
    state.prepare(log, Making.COMPACT)
    other = HostState(tmp_path)  # another process, which goes on with the one in force
    log.extend([Record(9, 9, KEYS[3], SaidOut(CHOOSABLE[:1], "form"))])
    heard = other.follow(log)
    assert KEYS[3] in {place for _, places in changes_of(other, neither) for place in places}
    log.forget(KEYS[3])
    state.follow(log)
    assert told(state, heard)[0] > heard, "they begin anew"
    other.close()


def changes_of(state, after):
    with state.moment() as moment:
        return moment.changes(after, 100).changed


def test_of_one_that_was_made_from_nothing_while_nobody_is_left_nobody_knows_either(tmp_path):
    state, log = HostState(tmp_path), Forgetful()
    log.extend([Record(1, 1, KEYS[0], SaidOut(CHOOSABLE[:1], "form"))])
    log.forget(KEYS[0])
    state.catch_up(log)
    assert told(state, 1) == (2, set())
    state.close()


def test_whoever_asks_for_no_place_at_all_gets_a_position(two_forgotten):
    state, _, _ = two_forgotten
    with state.moment() as moment:
        assert len(moment.changes(0, 0).changed) == 1


def test_of_one_that_was_made_from_nothing_nobody_knows_what_had_gone_before(two_forgotten, tmp_path):
    _, log, (*_, neither) = two_forgotten
    state = HostState(tmp_path / "another")
    state.catch_up(log)
    assert told(state, 0) == (neither, set())
    state.close()


def test_around_a_large_account_is_walked_once_a_moment(tmp_path, monkeypatch):
    monkeypatch.setattr(fronts, "CROWD", 2)
    monkeypatch.setattr("gateway.state.transactions.FORMS._forms", {})  # those of before are of other limits
    state, (ann, *browsers) = HostState(tmp_path), (KEYS[0], *KEYS[4:8])
    state.catch_up(ListedLog([Record(at, at, each, LinkSaid(ann, at)) for at, each in enumerate(browsers, 1)]))
    with state.moment() as moment:
        assert moment.beyond([ann]) >= {ann, *browsers}
        assert moment.beyond([ann, ann + browsers[0]]) <= {browsers[0]}
    state.close()
