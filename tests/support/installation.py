"""One installation on a real folder, with the real writer, vault and log: what people and operators do to it. Knows
nothing of what should come of it.
"""

import asyncio
import atexit
import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path

from gateway.app import composition, maintenance
from gateway.app.composition import open_house
from gateway.consent.asked import Ask
from gateway.desk.documents import Document
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys import seals, secret_files
from gateway.keys.person_keys import Vault
from gateway.ledger import publisher, schema
from gateway.ledger.acts import records
from gateway.ledger.entry import b64
from gateway.ledger.proof import merkle, note
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier
from gateway.ledger.subjects import Choice
from gateway.signals.heard import Heard, Said
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Erasing, Purpose, Source
from support import inside
from support.dying import Cut
from support.people import GAID, email, named, phone

PEOPLE = {"ann": named("account", "ann"), "phone": named("phone", phone(1)), "mail": named("email", email(1)),
          "tablet": named("gaid", GAID)}  # fmt: skip
GPC = Heard((Said(Source.GPC, frozenset(SIGNAL_PURPOSES)),))
ASKED, CONFIRMED = (Document(kind, "1", "en", kind.encode()).notice for kind in ("opt-in", "confirm"))
WORDS = {"opted_out": "out", "opted_in": "in", "no_choice": "none"}


class Clock:
    def __init__(self):
        self.now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)

    def __call__(self):
        return self.now

    def later(self, **more):
        self.now += timedelta(**more)


@dataclass(frozen=True)
class Kept:
    """One entry as the file has it. `event` and `key` None: of nobody."""

    seq: int
    body: bytes
    event: str | None
    key: bytes | None


@cache
def shipped():
    return inside.settings()


@cache
def with_a_full_tile():
    """An installation in which somebody else chose so often that the oldest bodies can go in time: bodies are pruned in
    whole tiles.
    """
    folder = inside.install(Path(tempfile.mkdtemp(prefix="store-template-")) / "data")
    atexit.register(shutil.rmtree, folder.parent, ignore_errors=True)
    with contextlib.closing(Installation(folder)) as here:
        subject = here.consent.people.name([named("account", "somebody else")]).subjects[0]
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", here.clock())
        here.house.writer.submit(
            lambda tx: [records.write_choice(tx, subject, choice, os.urandom(16)) for _ in range(merkle.WIDTH - 6)]
        ).result(30)
    return folder


class Installation:
    """Open from the start. The data folder moves with every crash, to another name beside it."""

    def __init__(self, folder, clock=None):
        self.clock, self.loop, self.moves = clock or Clock(), asyncio.new_event_loop(), count(1)
        self.folder = folder
        self.open()

    def open(self):
        self.way_out = contextlib.ExitStack()
        self.house = self.way_out.enter_context(open_house(self.folder, shipped(), dev=True, clock=self.clock))

    def stop(self):
        self.way_out.close()

    def close(self):
        self.stop()
        self.loop.close()

    @property
    def consent(self):
        return self.house.consent

    def subjects(self, name):
        return self.consent.people.name([PEOPLE[name]]).subjects

    def key(self, name):
        """What the rows of somebody are found by, at this moment."""
        return self.subjects(name)[0].key

    def wait(self, doing):
        return self.loop.run_until_complete(doing)

    def opt_out(self, name, repeat=""):
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", self.clock(), details={"note": f"said {repeat}"})
        return self.wait(self.consent.choose(self.subjects(name), choice, key=repeat, body=name.encode()))

    def ask(self, name):
        """The first act of opting in."""
        choice = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", self.clock(), notice=ASKED, ui=ASKED.version)
        return self.consent.ask_to_confirm(self.subjects(name), choice)[0]

    def confirm(self, token, repeat=""):
        return self.wait(self.consent.confirm(token, CONFIRMED, key=repeat, body=token.encode()))

    def hear(self, name):
        """How many entries a visit with GPC took."""
        return self.wait(self.consent.observe(self.subjects(name), GPC))

    def check(self, name):
        """What the gate says of somebody: `out`, `in`, `none`; whatever else it says it says as its reason."""
        ask = Ask(("teemo",), [PEOPLE[name]], purpose="sale", data=("ad_id",), place="US-NY")
        verdict = self.consent.checks.check(ask).verdicts["teemo"]
        word = WORDS.get(verdict.reason, verdict.reason)
        assert verdict.allowed == (word in {"in", "none"}), verdict
        return word

    def erase(self, name, mode):
        self.wait(self.consent.erase(ErasureOrder(mode, self.subjects(name), self.clock())))

    def settle(self):
        """Waits until the writer has done whatever it does by itself after a start."""
        self.house.writer.submit(lambda tx: None).result(60)

    def sealed(self, name, mode):
        """What an erasure of somebody has to remove from the ledger's files, boxes (details; by an unlink what opens an
        entry too); whose keys it has to destroy, each with whether both; and by an unlink what somebody's rows are
        found by.
        """
        whole, key = mode is Erasing.UNLINK, self.key(name)
        with contextlib.closing(schema.open_to_read(self.folder)) as db:
            rows = db.execute("SELECT person, sealed, opening FROM detail WHERE key = ?", (key,)).fetchall()
            boxes = [box for _, details, opening in rows for box in ([details, opening] if whole else [details])]
        return [box for box in boxes if box], [(person, whole) for person, *_ in rows], key if whole else None

    def opening(self, keys):
        """Which of these, each with whether both are meant, still open something. (What is left of them in the vault's
        file dies with an epoch.)
        """
        with contextlib.closing(Vault(self.folder, secret_files.load_secrets(self.folder).wraps)) as vault:
            known = [(vault.keys(person), whole) for person, whole in keys]
        return [each.person for each, whole in known if each.details or (whole and each.openings)]

    def rows_with(self, marker):
        """The tables in which some row holds these bytes. (A page's unused part may hold them until a VACUUM.)"""
        with contextlib.closing(schema.open_to_read(self.folder)) as db:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            columns = [(table, row[1]) for table in tables for row in db.execute(f"PRAGMA table_info({table})")]
            sql = "SELECT 1 FROM {} WHERE instr(CAST({} AS BLOB), ?) LIMIT 1"
            return [table for table, column in columns if db.execute(sql.format(table, column), (marker,)).fetchone()]

    def rekey(self, kind):
        """A key replaced and, but for a pepper, the older one retired; with the service stopped. Returns how many
        entries that took.
        """
        self.stop()
        try:
            if kind is maintenance.RekeyKind.PEPPER:
                maintenance.pepper(self.folder, shipped(), self.clock)
                return 1
            maintenance.replace_key(self.folder, shipped(), kind, self.clock)
            maintenance.retire(self.folder, shipped(), kind, self.clock, early=True)
            return 2
        finally:
            self.open()

    def prune(self):
        """Returns the first entry whose body is there still."""
        self.stop()
        try:
            return composition.prune_ledger(self.folder, shipped(), dry_run=False, clock=self.clock).below
        finally:
            self.open()

    def pruned(self):
        """The same, as it stands on record."""
        return self.head("pruned")

    def head(self, column):
        with contextlib.closing(schema.open_to_read(self.folder)) as db:
            return db.execute(f"SELECT {column} FROM head").fetchone()[0]

    def peppers_missing(self):
        """How many peppers are newer than the rows."""
        return len(secret_files.load_secrets(self.folder).peppers) - self.head("peppers")

    def verify(self):
        """What `gateway verify --vault` finds different."""
        report, _ = composition.verify_ledger(self.folder, shipped(), boxes=True)
        return report.different

    def back_up(self, into):
        maintenance.back_up(self.folder, into)

    def put_back(self, backup):
        """Whether the copy may go on only as a new log. The service is stopped then, else it is started."""
        self.stop()
        done = maintenance.put_back(self.folder, shipped(), backup, None, None)
        shutil.rmtree(done.aside)
        if not done.why:
            self.open()
        return bool(done.why)

    def go_on(self):
        """As a new log; where keys were wrapped anew since the copy was made, they are in it too."""
        maintenance.go_on(self.folder, shipped(), self.clock)
        if self.peppers_missing():
            maintenance.pepper(self.folder, shipped(), self.clock)
        self.open()

    def go_on_cut_off(self):
        """The machine dies between the new log's first entry and its first checkpoint; then it is done again."""
        fresh = self.folder.with_name(f"data{next(self.moves)}")
        with Cut("between the new log's entry and its checkpoint").during(self.folder, fresh):
            maintenance.go_on(self.folder, shipped(), self.clock)
        self.move(fresh)
        self.go_on()

    def events(self):
        """Where the entries are that somebody can still be shown as theirs."""
        with contextlib.closing(schema.open_to_read(self.folder)) as db:
            return {b64(event): seq for event, seq in db.execute("SELECT event, seq FROM detail")}

    def log(self):
        sql = "SELECT e.seq, e.body, d.event, d.key FROM entry e LEFT JOIN detail d ON d.seq = e.seq ORDER BY e.seq"
        with contextlib.closing(schema.open_to_read(self.folder)) as db:
            rows = db.execute(sql).fetchall()
        return [Kept(seq, body, b64(event) if event else None, key) for seq, body, event, key in rows]

    def verifiers(self):
        """Of those who sign at this moment."""
        origin, seeds = self.head("origin"), secret_files.load_secrets(self.folder).signing
        return [Ed25519Verifier.from_vkey(Ed25519Signer(origin, seed).vkey) for seed in seeds]

    def signed(self):
        """The text of the last checkpoint, its signature checked; None where nothing was signed yet."""
        signed = self.consent.log_reader.checkpoint()
        return signed and note.open_note(signed, self.verifiers()).text

    def receipt(self, event):
        (found,) = self.consent.log_reader.receipts([seals.unb64(event)])
        return found

    def cut_off(self, cut, act):
        """The machine dies during an act, and starts again. What was answered later is forgotten with the original."""
        fresh = self.folder.with_name(f"data{next(self.moves)}")
        try:
            with cut.during(self.folder, fresh):
                act()
        finally:
            self.stop()
            self.move(fresh)
            self.open()

    def move(self, fresh):
        """To another folder; the older one is thrown away."""
        for folder in (self.folder, publisher.checkpoints_beside(self.folder)):
            shutil.rmtree(folder, ignore_errors=True)
        self.folder = fresh
