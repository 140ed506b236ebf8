"""The real rules of the ledger on a database in memory, for machines that live many lives."""

import contextlib
import os
import sqlite3
from datetime import UTC, datetime, timedelta

from gateway.consent.people import People
from gateway.keys.secret_files import PersonKeys, Secrets
from gateway.ledger import schema
from gateway.ledger.acts import device_states, links, records
from gateway.ledger.acts.links import Span
from gateway.ledger.subjects import Choice, milliseconds
from gateway.ledger.transaction import Transaction
from gateway.terms import ChoiceKind, DataClass
from support.folding import FoldOfLedger

BEGAN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PEOPLE = People(Secrets(*((letter * 32,) for letter in (b"p", b"s", b"t", b"w", b"a", b"g"))), lambda: BEGAN)


class NoVault:
    """Persons' keys in memory: the machines are about standings."""

    def __init__(self):
        self.made = {}

    def new_person(self):
        made = PersonKeys(os.urandom(16), os.urandom(32), os.urandom(32))
        self.made[made.person] = made
        return made

    def is_lost(self, person):
        return person not in self.made

    def in_batch(self):
        return contextlib.nullcontext()

    def is_low(self):
        return False

    def keys(self, person):
        return self.made.get(person, PersonKeys(person, None, None))

    def both_keys_of(self, persons):
        return {each: (self.made[each].details, self.made[each].openings) for each in persons if each in self.made}


class Ledger:
    """One open transaction; a second passes with each act. `subjects` by the names that a machine gives them."""

    def __init__(self, subjects):
        self.subjects = subjects
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        for _, sql in schema.migrations():
            for statement in schema.statements(sql):
                self.db.execute(statement)
        self.db.execute("INSERT INTO head (one, size, ledger, peppers) VALUES (1, 0, x'00', 1)")
        self.db.execute("BEGIN")
        self.tx = Transaction(self.db, NoVault())
        self.db = self.tx.db  # behind all that it said
        self.at, self.folded, self.seen = BEGAN, FoldOfLedger(), -1

    def now(self):
        self.at += timedelta(seconds=1)
        return milliseconds(self.at)

    def choose(self, kind, who, purpose):
        self.now()
        choice = Choice(kind, (purpose,), "api", self.at)
        return records.write_choice(self.tx, self.subjects[who], choice, os.urandom(16))

    def allow(self, who, purpose, recipient="acme"):
        self.now()
        choice = Choice(
            ChoiceKind.OPT_IN, (purpose,), "api", self.at, recipient=recipient, data_class=DataClass.PRECISE_GEO
        )
        return records.write_choice(self.tx, self.subjects[who], choice, os.urandom(16))

    def link(self, account, thing):
        now = self.now()
        return links.link_identifiers(self.tx, self.subjects[account], [self.subjects[thing]], Span(now), now)

    def unlink(self, account, thing):
        now = self.now()
        links.link_identifiers(self.tx, self.subjects[account], [self.subjects[thing]], Span(now - 1, now), now)

    def release(self, thing):
        links.release(self.tx, self.subjects[thing], self.now())

    def begin(self, device, purpose, source):
        return self.tell(device_states.begin_state, ChoiceKind.STATE_BEGAN, device, (purpose,), source)

    def end(self, device, purposes, source):
        return self.tell(device_states.end_state, ChoiceKind.STATE_ENDED, device, purposes, source)

    def tell(self, act, kind, device, purposes, source):
        self.now()
        return act(self.tx, self.subjects[device], Choice(kind, purposes, source, self.at), os.urandom(16))

    def standing(self, who):
        return self.stands().standing(self.subjects[who].key, milliseconds(self.at))

    def stands(self):
        """The fold of all that was said, read where something was."""
        if self.db.total_changes != self.seen:
            self.folded.caught_up(self.db)
            self.seen = self.db.total_changes
        return self.folded

    def held(self, who):
        return self.standing(who).held

    def denies(self, who, purpose):
        return self.standing(who).denies(purpose)
