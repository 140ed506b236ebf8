"""The vocabulary of acts: what people, backends, desks and apps do, each as one JSON object about named keys, and the
one who plays them on a ledger. Histories told by hand (tests/vectors/histories.json) and those that the oracle makes up
(support/histories.py) are in these words; `WORDS` says what each act means.

An act is played as the verbs of `gateway.consent` do it, without HTTP; what stands then is the fold's. `standing_of` is what a check finds for a name, `row_of` for one key alone.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from hashlib import sha256
from operator import itemgetter
from typing import Any

from gateway.choice.law import AGES
from gateway.choice.standing import IN, OUT, Standing, state
from gateway.consent import still_out
from gateway.consent.people import People
from gateway.desk import notices, recipients_to_tell
from gateway.desk.documents import Document
from gateway.desk.forgetting import erasure, prune
from gateway.keys import secret_files
from gateway.ledger import entry
from gateway.ledger.acts import device_states, links, office_acts, records
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.acts.links import Span
from gateway.ledger.acts.office_acts import Belief, NotVoided
from gateway.ledger.proof.merkle import WIDTH
from gateway.ledger.subjects import Choice, Subject, milliseconds
from gateway.ledger.transaction import Job, Transaction
from gateway.terms import (
    CHOOSABLE,
    SIGNAL_PURPOSES,
    ChoiceKind,
    DataClass,
    Erasing,
    NoticeKind,
    Purpose,
    Source,
    Told,
)
from support.folding import FoldOfLedger
from support.lives import BEGAN, Ledger, NoVault

WORDS = {
    "link": "the backend says what an account has; `from`, `until`: hours from now; told again it is a nightly import",
    "had": "the backend says what an account had, `from` and `until` hours from now, both over",
    "link_end": "the backend says that an account has it no more",
    "sign_out": "a browser or an installation is signed out of an account",
    "claim": "an app names ids together with an account's assertion (a claimed tie)",
    "disclaim": "who shows that an id is theirs, by more than an app's word, is rid of others' claims; `account`: theirs",
    "sweep": "the ends of links that were told beforehand and are due are entered",
    "release": "a number or mailbox goes back to the pool",
    "named": "the other names of a key are met, beside what is no news",
    "choose": "a person's act (`kind`: opt_out, limit, withdraw), one entry each of `who`; `token`: the installation that"
    " said it; `reading`: the key is a further reading of what was typed",
    "signal": "GPC or another signal of a browser (`source`); an entry where it is news",
    "observe": "a state of a device or a tool began or ended by its `source`, of an installation's (`token`); or `signals`"
    " as POST /v1/observe has them",
    "opt_in": "both acts of opting in to one purpose, with a `proof` of `who`; `screen`: the screen's version;"
    " `recipient`: a grant of the precise location to it; `id`: by which a void names the entry; `refused`: it is, with"
    " this kind; `informed`, `parental`: how it was given",
    "ask": "the first act of opting in alone, remembered as `id`",
    "confirm": "the second act of the opting in that `of` names",
    "direct": "a person has one transfer made to a `recipient`; `class`: of that class of data",
    "use": "that transfer is made",
    "programme": "a person stays in a programme (`recipient`), in the face of a signal",
    "prove": "proof of a number that was another reading of what somebody typed",
    "attestation": "the operator's hook vouches for an id",
    "form": "what was typed into the form, the country that was chosen, and the countries of the operator's numbers",
    "say_age": "a band, said `by` app (`token`), account or desk",
    "take_age_back": "an installation's word about age goes (`token`), or every installation's",
    "child_found": "by the desk",
    "tell": "a notice of this `kind` was shown or sent, `days` ago, or bounced (`outcome`)",
    "erase": "`mode` as in POST /v1/erasures",
    "void": "of the consents of a `screen`, or of `entries` by their ids",
    "prune": "bodies of entries go as far as full tiles reach, after what stands rests on newer ones",
    "new_pepper": "every stored key is wrapped once more",
    "wait": "hours pass",
    "clock": "beside any act: by so many hours the clock was wrong that told it",
}
NOTHING: dict[str, Any] = {}
PROOFS_OF_THE_ID = {"attestation", "desk"}
STRANGER = Subject("device", "somebody else", (sha256(b"somebody else").digest()[:16],))


class Refused(Exception):
    """What a rule refuses, by the kind that its answer has."""


class InMemory:
    """A ledger that jobs run on at once; its rows can be read at any time."""

    def __init__(self):
        self.db = sqlite3.connect(":memory:", isolation_level=None)
        self.db.deserialize(_empty_ledger())
        self.db.execute("BEGIN")
        self.tx = Transaction(self.db, NoVault())
        self.db = self.tx.db  # behind all that it said

    def commit(self, job: Job[Any]) -> Any:
        with self.tx.savepoint():
            done = job(self.tx)
        self.tx.write_head()
        return done

    @contextlib.contextmanager
    def reading(self):
        yield self.db


@cache
def _empty_ledger() -> bytes:
    """As a file: copying it takes a tenth of the time that its statements do."""
    made = Ledger({})
    made.db.execute("COMMIT")
    return made.db.serialize()


class Play:
    """Does the acts of one history on a ledger, each by a clock that may be wrong. `who`: the named keys, type and
    value as a caller sends them. `ledger`: has `commit(job)` and `reading()`, a connection; one in memory if none is.
    """

    def __init__(self, who: dict[str, dict[str, str]], ledger: Any = None, secrets: Any = None) -> None:
        self.ledger = ledger or InMemory()
        self.commit: Callable[[Job[Any]], Any] = self.ledger.commit
        self.said = who
        self.at, self.wrong = BEGAN, timedelta()
        self.secrets = secrets or secret_files.Secrets(
            *((letter * 32,) for letter in (b"p", b"s", b"t", b"w", b"a", b"g"))
        )
        self.entries: dict[str, int] = {}
        self.asked: dict[str, tuple[int, dict[str, Any]]] = {}
        self.done: list[dict[str, Any]] = []  # acts, but those that were refused
        self.voided: list[str] = []  # of those that the last void named
        self.wrapped, self.folded, self.seen = 0, FoldOfLedger(), -1
        self._name_all()

    def _name_all(self) -> None:
        people = People(self.secrets, lambda: self.at)
        self.who = {name: self._named(people, said) for name, said in self.said.items()}
        by_key: dict[bytes, str] = {}
        for name, subject in self.who.items():
            by_key.setdefault(subject.key, name)
        for name, subject in self.who.items():
            for number, key in enumerate((*subject.keys[1:], *subject.looser)):
                by_key.setdefault(key, f"{name} #{number + 1}")
        self.keys = {label: key for key, label in by_key.items()}

    def _named(self, people: People, said: dict[str, str]) -> Subject:
        if said["type"] == "device":
            return people.device(said["value"])
        if said["type"] == "browser":
            return people.browser(said["value"])
        return people.name([said]).subjects[0]

    @property
    def now(self) -> int:
        return milliseconds(self.clock())

    def clock(self):
        return self.at + self.wrong

    def act(self, said: dict[str, Any]) -> None:
        """Raises `Refused` where a rule refuses it and the act does not say so."""
        self.at += timedelta(seconds=1)
        self.wrong = timedelta(**said.get("clock", NOTHING))
        try:
            getattr(self, said["act"])(said)
        except Refused as refused:
            if str(refused) != said.get("refused"):
                raise
        else:
            assert "refused" not in said, f"{said} was not refused"
            self.done.append({**said, "entries": self.voided} if "entries" in said else said)
        self.wrong = timedelta()

    def all_of(self, names):
        names = [names] if isinstance(names, str) else names
        return [self.who[name] for name in names]

    def mark(self, said) -> dict[str, str]:
        """Which installation says it, as the details of an entry have it: the seal's random half in the real one."""
        return {"device": sha256(said["token"].encode()).hexdigest()[:32]} if "token" in said else {}

    # what accounts have

    def span(self, said):
        ends = [milliseconds(self.at + timedelta(**said[end])) if end in said else None for end in ("from", "until")]
        return Span(self.now if ends[0] is None else ends[0], ends[1])

    def link(self, said, *, claimed=False):
        now, span, account = self.now, self.span(said), self.who[said["account"]]
        things = self.all_of(said["identifiers"])
        self.commit(lambda tx: links.link_identifiers(tx, account, things, span, now, claimed=claimed))

    def had(self, said):
        self.link(said)

    def claim(self, said):
        self.link(said, claimed=True)

    def link_end(self, said):
        now, account, things = self.now, self.who[said["account"]], self.all_of(said["identifiers"])
        self.commit(lambda tx: links.link_identifiers(tx, account, things, Span(now - 1, now), now))

    def sign_out(self, said):
        self.link_end(said)

    def sweep(self, said):
        now = self.now

        def job(tx: Transaction) -> None:
            state = FoldOfLedger().caught_up(tx.db).state
            due = [(edge.until, *place, edge) for place, edge in state.items() if isinstance(place, tuple)]
            due = [each for each in due if each[3].lives() and (each[0] or now + 1) <= now]
            for until, account, identifier, edge in sorted(due, key=itemgetter(0, 1, 2)):
                one, other = (Subject(kind, "", (key,)) for kind, key in (("account", account), ("", identifier)))
                links.link_identifiers(tx, one, [other], Span(edge.start, until), now, claimed=edge.claimed)

        self.commit(job)

    def disclaim(self, said):
        now, mine = self.now, [self.who[said["account"]].key] if said.get("account") else []

        def job(tx: Transaction) -> None:
            for subject in self.all_of(said["who"]):
                records.know_names(tx, subject, now)
                links.disclaim(tx, subject, mine, now)

        self.commit(job)

    def release(self, said):
        now = self.now
        for subject in self.all_of(said["who"]):
            self.commit(lambda tx, subject=subject: links.release(tx, subject, now))

    def named(self, said):
        now = self.now
        self.commit(lambda tx: [records.know_names(tx, subject, now) for subject in self.all_of(said["who"])])

    # what is chosen

    def choice(self, kind, purposes, source=Source.API, **more):
        return Choice(ChoiceKind(kind), tuple(map(Purpose, purposes)), source, self.clock(), **more)

    def choose(self, said):
        choice, request = self.choice(said["kind"], said["purposes"], details=self.mark(said)), os.urandom(16)
        subjects = [replace(each, reading=bool(said.get("reading"))) for each in self.all_of(said["who"])]
        written = self.commit(
            lambda tx: [recipients_to_tell.write_and_tell(tx, each, choice, request) for each in subjects]
        )
        self.entries[said.get("id", "")] = written[0].seq

    def signal(self, said):
        purposes = said.get("purposes", [*SIGNAL_PURPOSES])
        choice, request = self.choice("opt_out", purposes, said.get("source", Source.GPC)), os.urandom(16)
        subjects = self.all_of(said["who"])
        self.commit(lambda tx: [recipients_to_tell.hear_and_tell(tx, each, choice, request) for each in subjects])

    def observe(self, said):
        began = said["state"] == "began"
        kind, purposes = ("state_began", said["purposes"]) if began else ("state_ended", [*SIGNAL_PURPOSES])
        choice = self.choice(kind, purposes, said["source"], details=self.mark(said))
        act, request, subjects = (
            device_states.begin_state if began else device_states.end_state,
            os.urandom(16),
            self.all_of(said["who"]),
        )
        self.commit(lambda tx: [act(tx, each, choice, request) for each in subjects if each.is_device])

    def opt_in(self, said):
        self.ask({**said, "id": "this"})
        self.confirm({**said, "of": "this"})

    def ask(self, said):
        with self.ledger.reading() as db:
            [size] = db.execute("SELECT size FROM head").fetchone()
        subject = self.who[said["who"]]
        self._may_open(subject, said)
        self.asked[said["id"]] = size, said

    def _may_open(self, subject, said):
        with self.ledger.reading() as db:
            if db.execute("SELECT 1 FROM voided_ui WHERE ui = ?", (said.get("screen", "1"),)).fetchone():
                raise Refused("notice_required")

    def confirm(self, said):
        position, asked = self.asked[said["of"]]
        subject, purpose, how = self.who[asked["who"]], Purpose(asked["purpose"]), asked.get("proof")
        self._may_open(subject, asked)
        more = {name: asked[name] for name in ("informed", "parental") if name in asked}
        if "recipient" in asked:
            more |= {"recipient": asked["recipient"], "data_class": DataClass.PRECISE_GEO}
        choice = self.choice("opt_in", [purpose], ui=asked.get("screen", "1"), details=self.mark(asked), **more)

        def job(tx: Transaction):
            if still_out.superseded(tx, [replace(subject, value="")], purpose, position):
                raise Refused("superseded")
            if how in PROOFS_OF_THE_ID:
                links.disclaim(tx, subject, [self.who[name].key for name in (asked.get("account"),) if name], self.now)
                device_states.lift_state(tx, subject, purpose, self.clock())
            return recipients_to_tell.write_and_tell(tx, subject, choice, os.urandom(16))

        written = self.commit(job)
        self.entries[said.get("id", asked.get("id", ""))] = written.seq

    def direct(self, said):
        more = {"data_class": DataClass(said["class"])} if "class" in said else {}
        self._grant(said, "direct", [Purpose.SERVICE], **more)

    def programme(self, said):
        self._grant(said, "keep_programme", said["purposes"], ui=said.get("screen", "1"))

    def _grant(self, said, kind, purposes, **more):
        choice = self.choice(kind, purposes, recipient=said["recipient"], **more)
        for subject in self.all_of(said["who"]):
            written = self.commit(lambda tx, subject=subject: records.write_choice(tx, subject, choice, os.urandom(16)))
            self.entries[said.get("id", "")] = written.seq

    def use(self, said):
        now, keys = self.now, [key for subject in self.all_of(said["who"]) for key in subject.keys]
        self.commit(lambda tx: records.use_acts(tx, keys, said["recipient"], now))

    # what is said of people

    def say_age(self, said):
        at, may_rise = self.clock(), said["by"] == "desk"
        mark = self.mark(said).get("device", "") if said["by"] == "app" else ""

        def job(tx: Transaction) -> None:
            for each in self.all_of(said["who"]):
                records.say_age(tx, each, said["age"], at, os.urandom(16), may_rise=may_rise, mark=mark)

        self.commit(job)

    def take_age_back(self, said):
        at, mark = self.clock(), self.mark(said).get("device", records.EVERYBODY)
        self.commit(
            lambda tx: [records.take_back_age(tx, each, mark, at, os.urandom(16)) for each in self.all_of(said["who"])]
        )

    def tell(self, said):
        at, kind, outcome = self.clock(), NoticeKind(said.get("kind", "privacy")), Told(said.get("outcome", "shown"))
        day = at.date() - timedelta(days=said.get("days", 0))
        subjects = self.all_of(said["who"])
        self.commit(
            lambda tx: [notices.note_told(tx, each, kind, day, outcome, at, os.urandom(16)) for each in subjects]
        )

    # what is forgotten and taken back

    def erase(self, said, mode=None):
        order = erasure.ErasureOrder(mode or Erasing(said["mode"]), self.all_of(said["who"]), self.clock())
        with self.ledger.reading() as db:
            found = erasure.plan(db, order) if order.mode is Erasing.UNLINK else None
        self.commit(lambda tx: erasure.erase(tx, order, os.urandom(16), found))

    def child_found(self, said):
        self.erase(said, Erasing.CHILD)

    def void(self, said):
        at = self.clock()
        if "screen" in said:
            self.commit(
                lambda tx: office_acts.void_consents(tx, said["screen"], sha256(b"a dark pattern").digest(), at)
            )
            return
        names = [name for name in said["entries"] if self._voidable(name)]
        self.voided = names
        belief, seqs = Belief(sha256(b"forged").digest(), ("Ana", "Ben")), [self.entries[name] for name in names]
        if seqs:
            self.commit(lambda tx: office_acts.void_choices(tx, seqs, belief, at))

    def _voidable(self, name):
        """Whether the entry is still there: of a forgotten person, or pruned, nobody can void one."""
        with contextlib.suppress(NotVoided, KeyError):
            self.commit(lambda tx: office_acts.check_choices(tx, [self.entries[name]]))
            return True
        return False

    def prune(self, said):
        """`fill`: entries about nobody fill the tile first, so that all that was before it goes: a tile is full when
        somebody has said something behind it.
        """
        at = self.clock()
        if said.get("fill", True):
            self.commit(lambda tx: [self._filler(tx, at) for _ in range(-tx.size % WIDTH)])
            self.commit(lambda tx: records.write_choice(tx, STRANGER, self.choice("opt_out", ["sale"]), os.urandom(16)))
        later = self.at + timedelta(days=30)
        with self.ledger.reading() as db:
            planned = prune.plan(db, later, self.at - timedelta(days=3000))
        policy = Document(prune.POLICY, "1", "en", b"everything goes")
        for job in prune.jobs(planned, policy, at):
            self.commit(job)

    def _filler(self, tx, at):
        tx.append(entry.key_event(event=os.urandom(16), kind="filler", step="none", vkey="", at=at))

    def new_pepper(self, said):
        self.wrapped += 1
        fresh = (sha256(b"pepper %d" % self.wrapped).digest(),)
        grown = replace(self.secrets, peppers=(*self.secrets.peppers, *fresh))
        total, mark = len(grown.peppers), grown.marks[-1]
        self.commit(lambda tx: office_acts.rewrap(tx, lambda key: secret_files.wrap(key, fresh), total, mark))
        self.secrets = grown
        self._name_all()

    def wait(self, said):
        self.at += timedelta(hours=said["hours"])

    # what stands

    def row_of(self, key: bytes, now: int | None = None) -> dict[str, Any]:
        """What stands for one key alone; `NOBODY` where nothing does."""
        return self._row(self.state(), key, milliseconds(self.at) if now is None else now)

    def rows(self, keys: dict[str, bytes] | None = None) -> dict[str, dict[str, Any]]:
        """The same of every key that a named one goes by, or of some."""
        keys, now, folded = self.keys if keys is None else keys, milliseconds(self.at), self.state()
        return {name: self._row(folded, key, now) for name, key in keys.items()}

    def standing_of(self, name: str) -> dict[str, Any]:
        """What a check of a name finds: by its exact names, and denied by its looser ones too."""
        folded, now = self.state(), milliseconds(self.at)
        return self.joined(name, lambda key: self._row(folded, key, now))

    @contextlib.contextmanager
    def moment(self, at: int) -> Iterator[Callable[[str], dict[str, Any]]]:
        """`standing_of` as of a moment that is over, in Unix milliseconds: made again from the entries."""
        with self.ledger.reading() as db:
            then = FoldOfLedger().caught_up(db, at)
        yield lambda name: self.joined(name, lambda key: self._row(then, key, at))

    def state(self) -> FoldOfLedger:
        """The fold of all that was said."""
        with self.ledger.reading() as db:
            if not db.in_transaction or db.total_changes != self.seen:  # who reads beside a writer sees no change
                self.folded.caught_up(db)
                self.seen = getattr(db, "total_changes", 0)  # a server counts none
            return self.folded

    def _row(self, folded: FoldOfLedger, key: bytes, now: int) -> dict[str, Any]:
        return shown(folded.standing(key, now), folded.grants(key, now))

    def wrongs(self, then: dict[str, Any], standing_of: Callable[[str], dict[str, Any]] | None = None) -> list[str]:
        """What does not stand as a history says that it should, in words; `standing_of`: of another implementation."""
        return wrongs(then, standing_of or self.standing_of)

    def joined(self, name: str, row: Callable[[bytes], dict[str, Any]]) -> dict[str, Any]:
        """What a check of a name finds, from what stands for each key that it goes by."""
        subject = self.who[name]
        return joined([row(key) for key in subject.keys], [row(key) for key in subject.looser], row(subject.key))


NOBODY: dict[str, Any] = {
    "deny": frozenset(),
    "own": frozenset(),
    "yes": frozenset(),
    "informed": frozenset(),
    "parental": frozenset(),
    "states": frozenset(),
    "age": None,
    "grown": False,
    "linked": False,
    "told": None,
    "cpni_told": None,
    "grants": frozenset(),
}


@cache
def purposes_of(bits: int, word: int) -> frozenset[str]:
    """Those for which the bits of a standing say a word."""
    return frozenset(purpose.value for purpose in CHOOSABLE if state(bits, purpose) == word)


def shown(row: Standing, allowed: Any) -> dict[str, Any]:
    """One key's standing and grants in words that any implementation can say."""
    own = purposes_of(row.own, OUT)
    return {
        "deny": own | purposes_of(row.travelled, OUT),
        "own": own,
        "yes": purposes_of(row.own, IN),
        "informed": purposes_of(row.informed, IN),
        "parental": purposes_of(row.parental, IN),
        "states": row.held,
        "age": row.age_band,
        "grown": row.grown,
        "linked": row.linked,
        "told": _day(row.told),
        "cpni_told": _day(row.cpni_told),
        "grants": frozenset(
            (each.recipient, each.purpose.value, each.data_class or "", each.kind.value)
            for each in allowed
            if not each.child
        ),
    }


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def accepted(play: Play, acts: Iterable[dict[str, Any]]) -> Iterator[int]:
    """Does them one behind the other: the number of each, from 1, that no rule refuses."""
    for number, act in enumerate(acts, 1):
        try:
            play.act(act)
        except Refused:
            continue
        yield number


def row_then(db: Any, key: bytes, now: int) -> dict[str, Any]:
    then = FoldedPeople(db, [key], now)
    return shown(then.standing(key, now), then.grants(key, now))


def joined(exact: list[dict[str, Any]], looser: list[dict[str, Any]], own: dict[str, Any]) -> dict[str, Any]:
    """One standing of what stands for all that somebody goes by. `own`: of the very key, whose grants count."""
    ages_ = [row["age"] for row in exact if row["age"]]
    days = {name: max((row[name] for row in exact if row[name]), default=None) for name in ("told", "cpni_told")}
    union = {
        name: frozenset().union(*(row[name] for row in exact))
        for name in ("own", "yes", "informed", "parental", "states")
    }
    return {
        **union,
        **days,
        "deny": frozenset().union(*(row["deny"] for row in (*exact, *looser))),
        "age": min(ages_, key=AGES.index, default=None),
        "grown": any(row["grown"] for row in exact),
        "linked": any(row["linked"] for row in exact),
        "grants": own["grants"],
    }


def word_for(standing: dict[str, Any], purpose: str) -> str:
    """What holds for a purpose: `deny`, a no stands; `yes`, none does and an own opt-in stands; else `open`."""
    return "deny" if purpose in standing["deny"] else "yes" if purpose in standing["yes"] else "open"


def wrongs(then: dict[str, Any], standing_of: Callable[[str], dict[str, Any]]) -> list[str]:
    found = []
    for what, expected in then.items():
        if what in NOBODY:
            met = {name: told_as(what, standing_of(name)[what]) for name in expected}
            found += [
                f"{name}: {what} {met[name]}, not {wanted}" for name, wanted in expected.items() if met[name] != wanted
            ]
            continue
        for wanted in ("deny", "open", "yes"):
            met = {name: word_for(standing_of(name), what) for name in expected.get(wanted, ())}
            found += [f"{name}: {what} {is_so}, not {wanted}" for name, is_so in met.items() if is_so != wanted]
    return found


def told_as(what: str, value: Any) -> Any:
    """As a history says it: of grants their recipients, of anything that is several a list in order."""
    if what == "grants":
        return sorted({recipient for recipient, *_ in value})
    return sorted(value) if isinstance(value, frozenset) else value
