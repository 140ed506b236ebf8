"""People's acts told to the fold alone, each one record of a log that is nowhere written; and the fold of a ledger that
is.
"""

import contextlib

from gateway.choice.standing import OUT, state
from gateway.fold import fold, reading
from gateway.fold.record import LinkSaid, NamesLearnt, Record, Released, SaidIn, SaidOut, ScreenVoided
from gateway.fold.state import FOR_EVER, Slate
from gateway.ledger import schema
from gateway.ledger.log_records import records_of
from gateway.ledger.transaction import StoodBefore
from gateway.terms import Purpose

SALE, ADS, SENSITIVE = Purpose.SALE, Purpose.TARGETED_ADS, Purpose.SENSITIVE
HOUR = 3_600_000  # milliseconds
ACCOUNTS = ("ann", "bob", "ann as it came")


def stood_before(state, position):
    """For a transaction, what stood when it began: a folded state."""
    return StoodBefore(
        state.get,
        position,
        lambda keys: any(map(state.get, keys)),
        lambda key: reading.standing_of(key, state.get, 0).says_no(),
    )


def key(name):
    return name.encode().ljust(16, b".")


class Log:
    """A state that is folded on by each act; a minute passes with each. Accounts are Ann's, by another form of its
    name too, and Bob's."""

    def __init__(self):
        self.state, self.seq, self.at = {}, 0, HOUR

    def say(self, name, said, at=None):
        self.at += 60_000
        record = Record(self.seq, self.at if at is None else at, key(name), said, name in ACCOUNTS)
        changes = fold(record, self.state.get)
        self.state.update(changes)
        self.seq += 1
        return changes

    def no(self, name, *purposes, **more):
        more = {"source": "form", **more}
        return self.say(name, SaidOut(purposes or (SALE,), **more))

    def yes(self, name, *purposes, **more):
        return self.say(name, SaidIn(purposes or (SALE,), **more))

    def link(self, account, name, until=None, **more):
        return self.say(name, LinkSaid(key(account), self.at, until, **more))

    def end(self, account, name):
        return self.say(name, LinkSaid(key(account), self.at, self.at))

    def release(self, name):
        return self.say(name, Released())

    def named(self, name, *names, looser=(), mailbox=None):
        box = None if mailbox is None else key(mailbox)
        return self.say(name, NamesLearnt(tuple(map(key, names)), tuple(map(key, looser)), box))

    def void(self, screen):
        return self.say("", ScreenVoided(screen))

    def standing(self, name):
        return reading.standing_of(key(name), self.state.get, self.at)

    def denies(self, name, purpose=SALE):
        return self.standing(name).denies(purpose)

    def came(self, name, purpose=SALE):
        """Whether it denies by what it has from others."""
        return state(self.standing(name).travelled, purpose) == OUT

    def grants(self, name):
        return [grant.recipient for grant in reading.grants_of(key(name), self.state.get, self.at)]

    def places(self, name):
        """Where the noes to sale lie that stand."""
        slate = Slate(self.state.get)
        voids = slate.voids
        return {
            each.place.value
            for each in reading.read_noes(slate, key(name))
            if each.purpose is SALE and each.holds(voids)
        }


class FoldOfLedger:
    """What stands by the log of a ledger on a connection: folded on as long as nothing before it changed, as a void, an
    unlink or a new pepper does.
    """

    def __init__(self, fold=fold):
        self.fold, self.folded, self.state = fold, [], {}

    def caught_up(self, db, until=FOR_EVER):
        records = records_of(db, until)
        if records[: len(self.folded)] != self.folded:
            self.folded, self.state = [], {}
        for record in records[len(self.folded) :]:
            self.state.update(self.fold(record, self.state.get))
        self.folded = records
        return self

    @property
    def get(self):
        return self.state.get

    def standing(self, key, now):
        return reading.standing_of(key, self.state.get, now)

    def grants(self, key, now):
        return reading.grants_of(key, self.state.get, now)


def folded_ledger(folder):
    """Of a data folder."""
    with contextlib.closing(schema.open_to_read(folder)) as db:
        return FoldOfLedger().caught_up(db)
