"""A copy is answered from as of one moment, and under the lease that was there before the reading."""

import contextlib
import queue
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson
import pytest
from support.any_acts import KEYS
from support.spellings import until
from support.states import ListedLog

from gateway.app.composition import now
from gateway.choice.standing import Stale
from gateway.disk import boot_seconds
from gateway.fold.record import LinkSaid, Record, SaidOut
from gateway.replica import feed, follower
from gateway.replica.feed import Applied, Feed, FeedRefused, Gone, LeaseAnswer, Piece, Tags
from gateway.replica.follower import LATE, TERM, Follower, ReplicaRefused
from gateway.state import environment
from gateway.state.environment import StateRefused
from gateway.state.fronts import crowd_key
from gateway.state.lookup import StateLookup
from gateway.state.transactions import read_head
from gateway.state.upkeep import HostState
from gateway.terms import CHOOSABLE, Purpose

PHONE, ANN, LATER = KEYS[4], KEYS[0], KEYS[6]
MANY = [sha256(b"%d" % number).digest()[: len(PHONE)] for number in range(600)]
FORGOTTEN = MANY[::2]


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class NoEntries:
    def event(self, _):
        return None


class Leasing:
    """A gateway that commits all the time: whoever asks is a few entries behind."""

    def __init__(self, granted):
        self._granted = iter(granted)

    def renew(self, _, has, term):
        return LeaseAnswer(next(self._granted), has.position + 3, term)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def state(tmp_path):
    """Of a gateway: a phone is Ann's, and she said no."""
    log = ListedLog(
        [Record(1, 1, PHONE, LinkSaid(ANN, 1)), Record(2, 2, ANN, SaidOut(CHOOSABLE, "form"), account=True)]
    )
    found = HostState(tmp_path / "gateway")
    found.catch_up(log)
    found.log = log
    yield found
    found.close()


@pytest.fixture
def copy(tmp_path, clock):
    made = Follower(tmp_path / "copy", None, 0, clock, now)
    made._folder.mkdir()
    return made


def pieces(state, after, limit=100):
    """As the feed brings them."""
    while True:
        with state.moment() as moment:
            part = moment.changes(after, limit)
            places = {place: moment.packed(place) for _, each in part.changed for place in each}
            head, after = moment.head, part.upto
        yield Piece(places, head._replace(position=after), after < head.position)
        if after == head.position:
            return


def denies(copy, key=PHONE):
    with copy.moment() as moment:
        found = moment.standing(key, 10**13)
        return found is not None and found.denies(Purpose.SALE)


def is_over(copy):
    copy._tidying._thread.join(30)
    assert copy._tidying.is_made()


def has_all(copy, state):
    copy._begin_anew()
    for piece in pieces(state, 0):
        copy._apply(piece)


def test_a_copy_has_what_the_gateway_has_once_the_last_piece_is_there(copy, state):
    copy._begin_anew()
    *some, last = pieces(state, 0, limit=1)
    assert some
    for piece in some:
        copy._apply(piece)
        assert copy.state is None
    copy._apply(last)
    assert denies(copy)


def test_what_belongs_to_one_moment_is_read_as_of_one_moment(copy, state, monkeypatch):
    """The link ends, and the no stays with the phone: told in pieces, one without the other would allow."""
    has_all(copy, state)
    before = copy._applied.position
    state.log.extend(
        [
            Record(3, 3, PHONE, SaidOut(CHOOSABLE, "form")),
            Record(4, 4, PHONE, LinkSaid(ANN, 1, 5)),
            Record(5, 5, ANN, SaidOut(CHOOSABLE, "form"), account=True),
        ]
    )
    state.catch_up(state.log)
    *some, last = pieces(state, before, limit=1)
    assert some
    for piece in some:
        copy._apply(piece)
        assert copy._applied.position == before, "it tells the gateway that it has nothing of it"
        with copy.moment() as moment:
            assert moment.head.position == before
        assert denies(copy)
    copy._apply(last)
    assert copy._applied.position > before
    assert denies(copy)


def test_whoever_is_so_far_behind_that_it_does_not_fit_into_memory_begins_anew(copy, state, monkeypatch):
    has_all(copy, state)
    monkeypatch.setattr(follower, "MOST_WAITING", 0)
    [piece] = pieces(state, 0)
    with pytest.raises(Gone):
        copy._apply(replace(piece, more=True))


def test_what_lay_beside_the_row_of_an_account_of_many_goes_with_it(copy, state):
    """It holds the keys of its members, and nobody tells of it once it is gone."""
    has_all(copy, state)
    assert read_head(copy.state)[1] == 0, "nothing was replaced"
    [piece] = pieces(state, 0)
    copy._apply(replace(piece, places={ANN: piece.places[ANN], crowd_key(ANN): b"some"}))
    with copy.moment() as moment:
        assert moment.crowd(ANN)[1] == b"some"
    copy._tidies_at = float("inf")
    copy._apply(replace(piece, places={ANN: None}))
    with copy.moment() as moment:
        assert (moment.packed(ANN), moment.crowd(ANN)[1]) == (None, None)
    assert read_head(copy.state)[1] == 1


@pytest.mark.parametrize("said", [{"fold": 99}, {"epoch": 7}])
def test_what_another_version_or_another_pepper_made_is_not_applied(copy, state, said):
    has_all(copy, state)
    [piece] = pieces(state, 0)
    with pytest.raises(FeedRefused, match="version"):
        copy._apply(replace(piece, head=piece.head._replace(**said)))
    assert denies(copy)


def test_what_follows_another_log_makes_it_begin_anew(copy, state):
    has_all(copy, state)
    [piece] = pieces(state, 0)
    with pytest.raises(Gone):
        copy._apply(replace(piece, head=piece.head._replace(log="other.example.com")))


def test_a_torn_page_of_a_copy_makes_it_begin_anew_and_asks_for_no_lease_meanwhile(copy, state):
    has_all(copy, state)
    with copy.state.env.begin(write=True) as txn:
        txn.put(PHONE, b"torn")
    with pytest.raises(StateRefused):
        denies(copy)
    copy._keep_lease()  # there is no feed to be asked
    assert copy.why == "a page of the copy is torn"
    [beat] = pieces(state, state.position())
    with pytest.raises(Gone):
        copy._apply(beat)
    has_all(copy, state)
    assert denies(copy)


def test_who_was_refused_a_lease_asks_again_while_the_gateway_waits_for_it(copy, state):
    has_all(copy, state)
    copy._feed = Leasing([0.0, TERM])
    assert copy._keep_lease() < LATE
    assert not copy.fresh()
    assert copy._keep_lease() == pytest.approx(TERM / 3)
    assert copy.fresh()


class Telling:
    """A gateway that grants each lease, and tells its time."""

    def __init__(self):
        self.time = None

    def renew(self, _, has, term):
        return LeaseAnswer(term, has.position, term, self.time)


@pytest.mark.parametrize("days", [40, -40, 1.1, -1.1])
def test_none_is_answered_by_a_wall_clock_that_is_far_from_the_gateways_until_it_is_set(copy, state, days):
    """Contracts' ends, laws that begin and dated links go by it here."""
    has_all(copy, state)
    said, right = [], datetime(2026, 6, 1, 12, tzinfo=UTC)
    copy._feed, copy._tell, copy._wall = Telling(), said.append, lambda: right
    copy._feed.time = right - timedelta(hours=2)
    copy._keep_lease()
    assert copy.fresh(), "the control: two hours are none"
    for more in range(5):
        copy._feed.time = right + timedelta(days=days, minutes=7 * more)
        copy._keep_lease()
        assert not copy.fresh()
    assert len(said) == 1
    where = "behind" if days > 0 else "ahead of"
    assert said[0].startswith(f"this machine's clock is {round(abs(days) * 24)} hours {where} the gateway's")
    assert copy.why == said[0]
    copy._feed.time = right + timedelta(hours=2)
    copy._keep_lease()
    assert (copy.fresh(), copy.why) == (True, "")


def test_a_gateway_of_an_older_release_tells_no_time_and_is_taken_as_before(copy, state):
    has_all(copy, state)
    copy._feed = Telling()
    copy._keep_lease()
    assert copy.fresh()


def test_no_first_lease_and_none_over_a_kept_folder_is_taken_by_a_wrong_clock(copy, state):
    has_all(copy, state)
    kept = Follower(copy._folder, Telling(), 0, copy._clock, lambda: datetime(2026, 6, 1, tzinfo=UTC))
    kept._feed.time = datetime(2026, 7, 11, tzinfo=UTC)
    kept._resume()
    assert kept.state is not None
    kept._keep_lease()
    assert not kept.fresh()
    kept._wall = lambda: datetime(2026, 7, 11, tzinfo=UTC)
    kept._keep_lease()
    assert kept.fresh()


def test_the_gateways_time_is_under_the_tag_for_whoever_reads_it_and_not_for_older_replicas():
    tags, told = Tags(bytes(32), ()), {"granted": True, "seq": 3}
    timed = told | {feed.TIME: "2026-06-01T12:00:00.000Z"}
    reads, older = feed.ASKS_TIME + feed.fresh()[1:], feed.fresh()
    assert tags.grant(reads, timed) != tags.grant(reads, told)
    assert tags.grant(reads, timed) != tags.grant(reads, timed | {feed.TIME: "2026-01-01T12:00:00.000Z"})
    assert tags.grant(older, timed) == tags.grant(older, told)


def test_one_that_comes_no_further_is_waited_for_by_nobody_and_asks_no_oftener_than_others(copy, state, clock):
    has_all(copy, state)
    copy._feed = Leasing([0.0] * 4)
    assert copy._keep_lease() < LATE
    clock.now += LATE
    assert copy._keep_lease() == pytest.approx(TERM / 3)
    copy._applied = copy._applied._replace(position=copy._applied.position + 1)
    assert copy._keep_lease() < LATE


@pytest.mark.parametrize("renewed", [False, True])
def test_a_lease_that_is_renewed_while_the_process_stands_still_vouches_for_nothing_read_before(
    copy, state, clock, renewed
):
    has_all(copy, state)
    copy.fresh_until = clock.now + 2

    def opened():
        found = copy.moment()
        if renewed:  # it was stopped here, and its other thread goes on first
            clock.now += 10
            copy.fresh_until = clock.now + 2
        return found

    look_up = StateLookup(opened, copy, None, NoEntries())
    if renewed:
        with pytest.raises(Stale):
            look_up.log()
    else:
        assert look_up.log() == "log.example.com"


def test_a_piece_that_never_ends_is_cut_off_before_its_tag_comes(monkeypatch):
    monkeypatch.setattr(feed, "MOST_BYTES", 1000)
    line = b"data: " + orjson.dumps(feed.place_line(PHONE, b"row"))
    with pytest.raises(FeedRefused, match="without end"):
        list(Feed(None, "key", Tags(bytes(32), ()))._pieces(iter([line] * 100), "challenge", 0))


def test_a_copy_whose_pages_cannot_be_made_anew_is_answered_from_all_the_same(copy, state, monkeypatch):
    def no_room(*_):
        raise StateRefused("the disk has no room for it")

    has_all(copy, state)
    monkeypatch.setattr(environment, "make_compact", no_room)
    [piece] = pieces(state, 0)
    copy._apply(replace(piece, places={KEYS[5]: None, ANN: piece.places[ANN]}))
    copy._apply(replace(piece, places={PHONE: None}))
    is_over(copy)
    copy._apply(replace(piece, places={}))
    assert copy.state is not None
    assert not denies(copy)
    assert copy._tidies_at > copy._clock()


class HeldUp:
    """A copy without who was forgotten takes until it is let go, or given up."""

    def __init__(self, monkeypatch):
        self._make, self.goes_on = environment.make_compact, threading.Event()
        self.at_its_end, self.began = False, threading.Event()
        monkeypatch.setattr(environment, "make_compact", self)

    def __call__(self, data, held, given_up=lambda: False):
        made = self._make(data, held, given_up) if self.at_its_end else None
        self.began.set()
        ends = boot_seconds() + 20
        while not self.goes_on.wait(0.01) and not given_up():
            assert boot_seconds() < ends, "nobody let it go"
        return made or self._make(data, held, given_up)


class Streamed:
    """A gateway that sends what is put in, and beats; a lease has whoever has all of it."""

    def __init__(self, head):
        self.head, self._sent = head, queue.SimpleQueue()

    def send(self, piece):
        self.head = piece.head
        self._sent.put(piece)

    def pieces(self, *_):
        while True:
            try:
                yield self._sent.get(timeout=0.02)
            except queue.Empty:
                yield Piece({}, self.head, False)

    def renew(self, _, has, term):
        has_all = has.position >= self.head.position
        return LeaseAnswer(0.5 if has_all else 0.0, self.head.position, 0.5)

    def leave(self, *_):
        """It is gone."""


@pytest.fixture
def held_up(monkeypatch):
    made = HeldUp(monkeypatch)
    yield made
    made.goes_on.set()


@pytest.fixture
def forgets(copy, state):
    """What tells one that has all that half of many are gone."""
    has_all(copy, state)
    [piece] = pieces(state, 0)
    copy._apply(replace(piece, places=dict.fromkeys(MANY, bytes(100))))
    return replace(piece, places=dict.fromkeys(FORGOTTEN))


def says_no_later(state):
    before = state.position()
    state.log.extend([Record(3, 3, LATER, SaidOut(CHOOSABLE, "form"))])
    state.catch_up(state.log)
    [piece] = pieces(state, before)
    return piece


def in_a_file(copy, keys):
    files = [each.read_bytes() for each in copy._folder.rglob("data.mdb")]
    return any(key in file for key in keys for file in files)


def generations(copy):
    return [each for each in (copy._folder / "state").iterdir() if each.is_dir()]


def test_a_no_that_comes_while_who_was_forgotten_is_taken_out_denies_and_the_lease_is_kept(
    copy, state, forgets, held_up
):
    """Of many millions that takes longer than a lease lasts."""
    feeding = Streamed(forgets.head)
    following = Follower(copy._folder, feeding, 0, boot_seconds, now)
    following.start()
    try:
        until(following.fresh)
        first = following.state.folder
        feeding.send(forgets)
        until(held_up.began.is_set)
        feeding.send(says_no_later(state))
        until(lambda: denies_if_known(following, LATER), 5)
        ends = boot_seconds() + 1.5
        while boot_seconds() < ends:
            assert denies(following, LATER)
            until(following.fresh, 0.3)
        assert following.state.folder == first
        assert in_a_file(copy, FORGOTTEN)
        held_up.goes_on.set()
        until(lambda: following.state.folder != first and generations(copy) == [following.state.folder])
        assert not in_a_file(copy, FORGOTTEN)
        assert denies(following, LATER)
        until(following.fresh)
    finally:
        held_up.goes_on.set()
        following.stop()
    assert denies_if_known(again := resumed(copy), LATER)
    assert again._applied.position == feeding.head.position


def denies_if_known(copy, key):
    with copy.moment() as moment:
        return moment.packed(key) is not None and denies(copy, key)


def resumed(copy):
    found = Follower(copy._folder, None, 0, boot_seconds, now)
    found._resume()
    return found


def test_who_is_forgotten_while_others_are_taken_out_goes_the_next_time(copy, state, forgets, held_up, clock):
    held_up.at_its_end = True
    copy._apply(forgets)
    assert held_up.began.wait(30)
    [piece] = pieces(state, 0)
    others = [each for each in MANY if each not in FORGOTTEN]
    copy._apply(replace(piece, places=dict.fromkeys(others)))
    beat = replace(piece, places={})
    for left in (1, 0):
        held_up.goes_on.set()
        is_over(copy)
        clock.now += 1
        copy._apply(beat)
        assert copy._tidying is None
        assert read_head(copy.state)[1] == left
        copy._apply(beat)
    assert copy._tidying is None
    assert not in_a_file(copy, MANY)
    assert len(generations(copy)) == 1


def test_one_that_begins_anew_meanwhile_gives_the_copy_up_before_it_makes_a_folder(copy, state, forgets, held_up):
    copy._apply(forgets)
    thread = copy._tidying._thread
    copy._begin_anew()
    assert not thread.is_alive()
    assert copy._tidying is None
    for piece in pieces(state, 0):
        copy._apply(piece)
    assert generations(copy) == [copy.state.folder]
    assert denies(copy)


def test_a_copy_that_was_made_is_not_taken_by_one_that_begins_anew(copy, state, forgets):
    copy._apply(forgets)
    is_over(copy)
    copy._begin_anew()
    assert copy._making.folder in generations(copy)
    has_all(copy, state)
    assert generations(copy) == [copy.state.folder]


def test_one_that_is_closed_meanwhile_waits_for_no_copy_and_leaves_none(copy, forgets, held_up):
    copy._feed = feeding = Streamed(forgets.head)
    copy.start()
    feeding.send(forgets)
    until(lambda: copy._tidying)
    thread, first, began = copy._tidying._thread, copy.state.folder, boot_seconds()
    copy.stop()
    copy._following.stop(30)
    assert boot_seconds() - began < TERM
    assert not thread.is_alive()
    assert generations(copy) == [first]
    assert denies(resumed(copy))


def test_one_that_is_closed_before_it_takes_its_copy_leaves_none(copy, forgets):
    copy._apply(forgets)
    first = copy.state.folder
    is_over(copy)
    copy._let_go()
    assert generations(copy) == [first]
    assert denies(resumed(copy))


COPIES_AT_ITS_END = """
import time
from gateway.replica import follower
from gateway.state import environment

def copied(_, __, given_up):
    while not given_up():
        time.sleep(0.01)

environment.make_compact = copied
follower.TidyCopy(None, None, time.monotonic)
"""


def test_a_process_that_ends_meanwhile_ends_the_copy_first_and_waits_for_none():
    """Its environments are closed at its end, and whoever reads in one that is closed kills it (SIGSEGV)."""
    subprocess.run([sys.executable, "-c", COPIES_AT_ITS_END], timeout=60, check=True)


def test_more_than_is_kept_meanwhile_gives_the_copy_up_and_is_told(copy, state, forgets, held_up, monkeypatch):
    told, first = [], copy.state.folder
    copy._tell = told.append
    copy._apply(forgets)
    monkeypatch.setattr(follower, "MOST_WAITING", 0)
    piece = says_no_later(state)
    copy._apply(piece)
    is_over(copy)
    copy._apply(replace(piece, places={}))
    assert told == ["who was forgotten lies in the copy's pages still: more came meanwhile than is kept"]
    assert copy._tidies_at > copy._clock()
    assert generations(copy) == [copy.state.folder] == [first]
    assert denies(copy, LATER)


def test_a_copy_that_takes_in_no_more_is_thrown_away_and_told(copy, state, forgets, monkeypatch):
    def full(*_):
        raise StateRefused("the disk is full")

    told, first = [], copy.state.folder
    copy._tell = told.append
    copy._apply(forgets)
    is_over(copy)
    made, writes = copy._tidying._made, follower.write_copied
    monkeypatch.setattr(follower, "write_copied", lambda held, *given: (full if held is made else writes)(held, *given))
    copy._apply(says_no_later(state))
    assert told == ["who was forgotten lies in the copy's pages still: the disk is full"]
    assert generations(copy) == [copy.state.folder] == [first]
    assert denies(copy, LATER)


@pytest.mark.parametrize("fails", ["start", "run"])
def test_where_no_copy_can_be_begun_or_its_thread_fails_what_is_there_answers_on(
    copy, state, forgets, monkeypatch, fails
):
    def none(*_):
        raise RuntimeError("can't start new thread")

    told, first = [], copy.state.folder
    copy._tell = told.append
    with monkeypatch.context() as without:
        if fails == "start":
            without.setattr(threading.Thread, "start", none)
        else:
            without.setattr(environment, "make_compact", none)
        copy._apply(forgets)
        if fails == "run":
            is_over(copy)
        copy._apply(says_no_later(state))
    assert [each.rpartition(": ")[2] for each in told] == ["can't start new thread"]
    assert generations(copy) == [copy.state.folder] == [first]
    assert denies(copy, LATER)


class Stalled:
    """A feed whose piece comes after the replica was stopped."""

    def __init__(self, state):
        self._state, self.began, self.goes_on = state, threading.Event(), threading.Event()

    def pieces(self, _, __):
        self.began.set()
        assert self.goes_on.wait(60)
        yield from ()
        raise Gone

    def renew(self, *_):
        raise Gone

    def leave(self, *_):
        """It is gone."""


def test_nothing_that_comes_after_its_stop_makes_it_answer_again(copy, state):
    class StopsMeanwhile(Stalled):
        def renew(self, *_):
            copy.stop()
            return LeaseAnswer(2.0, 3, 2.0)

    has_all(copy, state)
    copy._feed = StopsMeanwhile(state)
    copy._ask()
    assert not copy.fresh()


@pytest.mark.parametrize("waits", [True, False])
def test_no_lease_of_a_gateway_that_waits_for_no_replica_is_taken(monkeypatch, waits):
    """One of an older release may be configured so: its grant says nothing of what this replica has."""
    told = {"granted": True, "seconds": 2.0, "leases": waits, "term": 2.0, "seq": 3}
    monkeypatch.setattr(Feed, "_post", lambda self, _, challenge, __: told | {"tag": self.tags.grant(challenge, told)})
    feeding, refused = Feed(None, "key", Tags(bytes(32), ())), pytest.raises(FeedRefused, match="waits for no replica")
    with contextlib.nullcontext() if waits else refused:
        assert feeding.renew("a", Applied(), 1.0) == LeaseAnswer(2.0, 3, 2.0)


def test_a_folder_is_let_go_once_whoever_writes_in_it_has_ended_and_not_before(copy, state, monkeypatch):
    """A successor would be put out of force, for ever, by what the one before puts in force."""
    monkeypatch.setattr(follower, "TERM", 0.05)
    copy._feed = feeding = Stalled(state)
    copy.start()
    assert feeding.began.wait(30)
    copy.stop()
    successor = Follower(copy._folder, feeding, 0, copy._clock, copy._wall)
    with pytest.raises(ReplicaRefused, match="another process keeps"):
        successor.start()
    feeding.goes_on.set()
    copy._following.stop(30)
    successor.start()
    successor.stop()
    successor._following.stop(30)
