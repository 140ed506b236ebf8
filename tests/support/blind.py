"""The acts of a history as records for the fold alone, with no ledger in between that would leave out what is no news:
so will appends be that nobody looks at before they are ordered (`Blind`).
"""

from datetime import timedelta
from typing import Any

from gateway.fold import fold, reading
from gateway.fold.record import (
    EVERYBODY,
    ActUsed,
    AgeTold,
    ChildFound,
    GrantSaid,
    LinkSaid,
    NamesLearnt,
    NoticeBounced,
    NoticeGiven,
    Record,
    Released,
    SaidIn,
    SaidOut,
    ScreenVoided,
    StateSaid,
)
from gateway.ledger.subjects import ACT, Subject, milliseconds
from gateway.terms import SIGNAL_PURPOSES, DataClass, GrantKind, NoticeKind, Purpose, Source
from support.acts import PROOFS_OF_THE_ID, Play, shown


def is_blind(history: dict[str, Any]) -> bool:
    """Whether the log decides nothing in it: no second step that is refused, nobody who is forgotten."""
    acts = history["acts"]
    return "door" not in history and not any("refused" in act or act.get("mode") == "unlink" for act in acts)


class NoLedger:
    """In place of one: nothing is asked of it."""

    def commit(self, job: Any) -> Any:
        raise AssertionError("nothing is written")


class Blind(Play):
    """Plays acts into the fold. `standing_of` as `Play` has it."""

    def __init__(self, who: dict[str, dict[str, str]], fold: Any = fold) -> None:
        super().__init__(who, NoLedger())
        self.fold = fold
        self.seq, self.told = -1, 0
        self.records: list[Record] = []
        self.state: dict[Any, Any] = {}
        self.links: dict[tuple[bytes, bytes], LinkSaid] = {}
        self.met: set[tuple[bytes, ...]] = set()

    def say(self, subject: Subject | None, said: Any) -> int:
        """One record, behind the names of whom it is about."""
        if subject is not None:
            self.meet(subject)
        key, account = (subject.key, subject.is_account) if subject else (b"", False)
        self.seq += 1
        self.records.append(Record(self.seq, self.now, key, said, account))
        self.state.update(self.fold(self.records[-1], self.state.get))
        return self.records[-1].seq

    def meet(self, subject: Subject, *, again: bool = False) -> None:
        names = (*subject.keys, *subject.looser)
        if again or names not in self.met:
            self.met.add(names)
            if len(names) > 1 or subject.mailbox:
                self.say(subject, NamesLearnt(subject.keys[1:], subject.looser, subject.mailbox))

    def tie(self, account: Subject, subject: Subject, said: LinkSaid) -> None:
        self.meet(account)
        old = self.links.get((account.key, subject.key))
        whole = (
            old and not old.claimed and (old.until is None or old.until > self.now)
        )  # which no claim takes the place of
        self.links[account.key, subject.key] = old if whole and said.claimed else said
        self.say(subject, said)

    def link(self, said, *, claimed=False):
        span, account = self.span(said), self.who[said["account"]]
        for subject in self.all_of(said["identifiers"]):
            self.tie(account, subject, LinkSaid(account.key, span.start, span.until, claimed))

    def link_end(self, said):
        account = self.who[said["account"]]
        for subject in self.all_of(said["identifiers"]):
            self.tie(account, subject, LinkSaid(account.key, self.now - 1, self.now))

    def sweep(self, said):
        for (_, key), link in list(self.links.items()):
            if link.until is not None and link.until <= self.now:
                self.say(Subject("", "", (key,)), link)

    def disclaim(self, said):
        for subject in self.all_of(said["who"]):
            self._disclaim(subject, said.get("account"))

    def _disclaim(self, subject, mine):
        self.meet(subject)
        for (account, key), link in list(self.links.items()):
            if key == subject.key and link.claimed and (mine is None or account != self.who[mine].key):
                self.links[account, key] = link._replace(until=self.now)
                self.say(subject, self.links[account, key])

    def release(self, said):
        for subject in self.all_of(said["who"]):
            self.say(subject, Released())

    def named(self, said):
        for subject in self.all_of(said["who"]):
            self.meet(subject, again=True)

    def choose(self, said):
        reading_ = bool(said.get("reading"))
        source = Source.READING if reading_ else Source.API
        out = SaidOut(_purposes(said), source, self.mark(said).get("device", ""), dated=not reading_)
        for subject in self.all_of(said["who"]):
            self.entries[said.get("id", "")] = self.say(subject, out)

    def signal(self, said):
        out = SaidOut(_purposes(said, SIGNAL_PURPOSES), said.get("source", Source.GPC), signal=True)
        for subject in self.all_of(said["who"]):
            self.say(subject, out)

    def observe(self, said):
        began = said["state"] == "began"
        state = StateSaid(began, _purposes(said, SIGNAL_PURPOSES), said["source"], self.mark(said).get("device", ""))
        for subject in self.all_of(said["who"]):
            if subject.is_device:
                self.say(subject, state)

    def opt_in(self, said):
        subject, screen = self.who[said["who"]], said.get("screen", "1")
        purposes = (Purpose(said["purpose"]),)
        if said.get("proof") in PROOFS_OF_THE_ID:
            self._disclaim(subject, said.get("account"))
        yes: Any = SaidIn(purposes, screen, bool(said.get("informed")), bool(said.get("parental")))
        if "recipient" in said:
            yes = GrantSaid(said["recipient"], purposes, DataClass.PRECISE_GEO, GrantKind.OPTED_IN, screen)
        self.entries[said.get("id", "")] = self.say(subject, yes)

    def ask(self, said):
        self.asked[said["id"]] = 0, said

    def confirm(self, said):
        self.opt_in({**self.asked[said["of"]][1], "id": said.get("id", "")})

    def direct(self, said):
        for subject in self.all_of(said["who"]):
            act = GrantSaid(said["recipient"], (Purpose.SERVICE,), None, GrantKind.DIRECTED, "", self.now + ACT)
            self.entries[said.get("id", "")] = self.say(subject, act)

    def programme(self, said):
        for subject in self.all_of(said["who"]):
            stays = GrantSaid(said["recipient"], _purposes(said), None, GrantKind.PROGRAMME, said.get("screen", "1"))
            self.entries[said.get("id", "")] = self.say(subject, stays)

    def use(self, said):
        for subject in self.all_of(said["who"]):
            self.say(subject, ActUsed(said["recipient"]))

    def say_age(self, said):
        mark = self.mark(said).get("device", "") if said["by"] == "app" else ""
        for subject in self.all_of(said["who"]):
            self.say(subject, AgeTold(said["age"], said["by"] == "desk", mark))

    def take_age_back(self, said):
        for subject in self.all_of(said["who"]):
            self.say(subject, AgeTold("", may_rise=True, mark=self.mark(said).get("device", EVERYBODY)))

    def tell(self, said):
        day = self.clock().date() - timedelta(days=said.get("days", 0))
        word = NoticeBounced if said.get("outcome") == "bounced" else NoticeGiven
        for subject in self.all_of(said["who"]):
            self.say(subject, word(NoticeKind(said.get("kind", "privacy")), day.toordinal()))

    def child_found(self, said):
        for subject in self.all_of(said["who"]):
            self.say(subject, ChildFound())

    def void(self, said):
        if "screen" in said:
            self.say(None, ScreenVoided(said["screen"]))
            return
        self.seq += 1
        voided = {self.entries[each] for each in said["entries"] if each in self.entries}
        self.records = [record for record in self.records if record.seq not in voided]
        self.state.clear()
        for record in self.records:
            self.state.update(self.fold(record, self.state.get))

    def prune(self, said):
        """What stands rests on records that are restated; the fold begins with them in their old order."""

    def erase(self, said, mode=None):
        """Boxes go, the record stays."""

    def new_pepper(self, said):
        """Keys come in wrapped."""

    def row_of(self, key, now=None):
        now = milliseconds(self.at) if now is None else now
        return shown(reading.standing_of(key, self.state.get, now), reading.grants_of(key, self.state.get, now))

    def standing_of(self, name):
        return self.joined(name, self.row_of)


class Alongside:
    """The fold told blindly of all that a ledger is told of, for the oracle. Nobody is forgotten in its universes."""

    def __init__(self) -> None:
        self.blind: Blind | None = None
        self.labels: dict[bytes, str] = {}

    def caught_up(self, play: Play, now: int) -> None:
        self.blind = self.blind or Blind(play.said)
        for act in play.done[self.blind.told :]:
            self.blind.act(act)
            self.blind.told += 1
        self.blind.at = play.at
        self.labels = {key: label for label, key in play.keys.items()}  # under a new pepper it is another key

    def standing_of(self, key: bytes, now: int) -> dict[str, Any]:
        assert self.blind is not None
        return self.blind.row_of(self.blind.keys[self.labels[key]], now)


def _purposes(said: dict[str, Any], otherwise: Any = ()) -> tuple[Purpose, ...]:
    return tuple(map(Purpose, said["purposes"])) if "purposes" in said else tuple(otherwise)
