"""The state between a log and whoever asks: logs that a test holds in memory, the fold kept as a dict beside it, and
all that lies in an environment.
"""

import contextlib
import random
from hashlib import sha256

from gateway.fold import fold, reading
from gateway.fold.state import HEAD
from gateway.ledger import log_records, schema
from gateway.ledger.log_records import LedgerLog
from gateway.state.packed_rows import own_change_at, tail_of, unpack_edge, unpack_tail
from gateway.state.upkeep import HostState
from support.acts import Play, Refused
from support.oracle import Folded
from support.universes import acts_of


def unpack_row(packed):
    """With the position of its last change."""
    return unpack_tail(tail_of(packed)), own_change_at(packed)


class ListedLog:
    """Records in memory; its roots are a chain over them, so that other records have another one."""

    name = "log.example.com"

    def __init__(self, records=()):
        self.records, self._roots = [], [bytes(32)]
        self.extend(records)

    def extend(self, records):
        for each in records:
            self.records.append(each)
            self._roots.append(sha256(self._roots[-1] + repr(each).encode()).digest())

    def replace(self, records):
        """Other records behind those that both have."""
        same = 0
        while same < min(len(records), len(self.records)) and records[same] == self.records[same]:
            same += 1
        del self.records[same:], self._roots[same + 1 :]
        self.extend(records[same:])

    @property
    def head(self):
        return len(self.records)

    def changed(self, after):
        return frozenset()

    def kinds(self, keys):
        return ()

    def entries(self, position):
        return position

    def root(self, position):
        return self._roots[position] if position < len(self._roots) else None

    def read(self, after):
        return enumerate(self.records[after:], after + 1)


def records_of_universe(seed, length):
    """The records of a made-up one."""
    who, acts = acts_of(seed, length)
    play = Play(who)
    for act in acts:
        with contextlib.suppress(Refused):
            play.act(act)
    return log_records.records_of(play.ledger.db)


def as_dict(records, state=None):
    """The fold kept as a dict."""
    state = {} if state is None else state
    for each in records:
        state.update(fold(each, state.get))
    return state


def key_rows(state):
    """The keys that have a row."""
    return [each for each in state if isinstance(each, bytes) and each != HEAD]


def all_in(state):
    """(position, every place with what lies there) of a state, as the fold kept as a dict has it."""
    with state.moment() as moment:
        found = {HEAD: moment.head.voids} if moment.head.voids else {}
        for packed_key, packed in moment._txn.cursor():
            key = bytes(packed_key)
            if len(key) == 16:
                found[key] = unpack_row(packed)[0]
            elif len(key) == 32:
                found[key[:16], key[16:]] = unpack_edge(packed)[0]
        return moment.head.position, found


class Readings:
    """What the fold says of keys at one moment, for states of logs that begin alike: it is read once, and again where
    anything that it was read from has become another.
    """

    def __init__(self, now):
        self.now, self._known = now, {}

    def of(self, key, state):
        """(standing, grants) of a key in the fold kept as a dict."""
        known = self._known.get(key)
        if known is None or any(state.get(place) != row for place, row in known[0].items()):
            read = {}

            def get(place):
                read[place] = state.get(place)
                return read[place]

            told = reading.standing_of(key, get, self.now), reading.grants_of(key, get, self.now)
            known = self._known[key] = read, told
        return known[1]


def wrongs(state, records, now, position=None, readings=None):
    """Where a state is not what the fold makes of the first records, as many as its position says (or another one is
    said); every standing and grant is asked of both. `readings`: of this moment, kept from state to state.
    """
    readings = readings or Readings(now)
    said, found = all_in(state)
    wanted = as_dict(records[: said if position is None else position])
    wrong = [each for each in wanted.keys() | found.keys() if wanted.get(each) != found.get(each)]
    with state.moment() as moment:
        for key in key_rows(wanted):
            standing, grants = readings.of(key, wanted)
            if moment.standing(key, now) != standing:
                wrong.append(("standing", key))
            if moment.grants([key], now) != grants:
                wrong.append(("grants", key))
    return wrong


class InTheState(Folded):
    """An implementation for the oracle that reads the state: kept as its dict is, and asked beside it. Now and then its
    process ends, cleanly or not, and another one goes on.
    """

    def __init__(self, folder, seed, fold=fold):
        super().__init__(fold)
        self.folder, self.rng = folder, random.Random(seed)
        self.kept, self.opened, self.asked, self.fronts = HostState(folder), 1, 0, 0

    def caught_up(self, play, now):
        super().caught_up(play, now)
        log_records.watch_deletes(play.ledger.db)
        if self.rng.random() < 0.1 and self.asked:
            if self.rng.random() < 0.5:
                self.kept.stop()
            self.kept.close()
            self.kept, self.opened = HostState(self.folder), self.opened + 1
        self.kept.catch_up(LedgerLog(play.ledger.db))
        log_records.forget_deletes(play.ledger.db)

    def standing_of(self, key, now):
        get = self.state.get
        with self.kept.moment() as moment:
            standing = moment.standing(key, now)
            front, moved = key not in moment._found and key not in moment._few, moment.latest
            grants = moment.grants([key], now)
            assert moment.latest <= moment.head.position
        if standing is not None and front:
            self.fronts += 1
            assert moved == self.changed_last(key)
        self.asked += 1
        assert (key in self.state) == (standing is not None)
        if standing is not None:
            assert standing == reading.standing_of(key, get, now)
        assert grants == reading.grants_of(key, get, now)
        return super().standing_of(key, now)

    def changed_last(self, key):
        """The position of the last change of all that is read for a key, but for voided screens."""
        with self.kept.moment() as moment:
            reading.standing_of(key, lambda place: None if place == HEAD else moment.get(place), 0)
            return moment.latest


class KeptBeside:
    """What a writer keeps behind each commit where it has no keeper."""

    def __init__(self, folder):
        self.state, self.commits = HostState(folder), 0

    def watch(self, db):
        log_records.watch_deletes(db)

    def begin(self):
        return True

    def keep(self, db, fresh=None, log=None):
        self.state.catch_up(log or LedgerLog(db, fresh))
        log_records.forget_deletes(db)
        self.commits += 1

    def standing(self, db, log=None):
        return contextlib.nullcontext()

    def grown(self, db, fresh=None):
        return None

    def behind(self, db):
        return None

    def wants(self, db):
        return False

    def close(self, db): ...


def wrongs_of(state, db):
    """Where a state is not what the fold makes of the whole ledger."""
    state.catch_up(LedgerLog(db))
    records = log_records.records_of(db)
    return wrongs(state, records, max((each.at for each in records), default=0), len(records))


def wrongs_in(folder):
    """Of a data folder's, once nobody has it open."""
    with contextlib.closing(schema.open_to_read(folder)) as db:
        [peppers] = db.execute("SELECT peppers FROM head").fetchone()
        with contextlib.closing(HostState(folder, peppers)) as state:
            return wrongs_of(state, db)
