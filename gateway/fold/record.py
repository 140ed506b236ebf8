"""A record of the log as the fold reads it: its place, its exact time, the key that it is about and what it says.

Whoever reads a log makes them (`gateway.ledger.log_records`). `place` is where somebody said that they are, with what
they chose: names of `gateway.choice.place` between commas, empty where nobody said it (R13). Purposes are as they were
said; what a no to one of them denies besides is the fold's to know (R3, R25).
"""

from typing import NamedTuple

from gateway.terms import DataClass, GrantKind, NoticeKind, Purpose

EVERYBODY = "*"  # in place of a mark


class GrantName(NamedTuple):
    recipient: str
    purpose: Purpose
    data_class: DataClass | None
    kind: GrantKind


class KeyAge(NamedTuple):  # the present band and the youngest that ever was; `fixed`: of a child, for ever
    band: str
    youngest: str
    fixed: bool = False


class SaidOut(NamedTuple):  # a no of a person or a signal: opt_out, limit, withdraw
    purposes: tuple[Purpose, ...]
    source: str
    mark: str = ""  # of the installation of an app that said it
    dated: bool = True  # the person said it themselves
    signal: bool = False  # heard and not asked for, so it counts only as news
    place: str = ""


class OrderOver(NamedTuple):
    """In place of a no that a state's deletion list had said (`Source.DROP`), once the list took it back: it denies
    nothing, and brings back no yes that it had ended.
    """

    purposes: tuple[Purpose, ...]


class SaidPruned(NamedTuple):  # nobody knows any more what; nothing that stands rests on it but where somebody is
    mark: str = ""
    place: str = ""


class SaidIn(NamedTuple):
    """A yes to purposes, after both steps and with proof. `screen`: its page's version; `parental`: L71."""

    purposes: tuple[Purpose, ...]
    screen: str = ""
    informed: bool = False
    parental: bool = False
    place: str = ""


class GrantSaid(NamedTuple):
    """What was allowed one recipient or programme. `until`: of a directed act, Unix milliseconds."""

    recipient: str
    purposes: tuple[Purpose, ...]
    data_class: DataClass | None
    kind: GrantKind
    screen: str = ""
    until: int | None = None
    place: str = ""


class ActUsed(NamedTuple):  # a directed act did what it was for
    recipient: str


class LinkSaid(NamedTuple):  # the account has the record's key; said again once its date has come, it is over
    account: bytes
    start: int  # Unix milliseconds
    until: int | None = None
    claimed: bool = False  # by an app's word alone


class Released(NamedTuple):
    """A number or mailbox goes back to the pool."""


class NamesLearnt(NamedTuple):
    """Further forms of the record's key: exact names, looser ones, and the plainest spelling of its mailbox."""

    same: tuple[bytes, ...] = ()
    looser: tuple[bytes, ...] = ()
    mailbox: bytes | None = None


class StateSaid(NamedTuple):
    """A state of a device or a tool began or ended. `source`: who says it; `mark`: in which installation."""

    began: bool
    purposes: tuple[Purpose, ...]
    source: str
    mark: str = ""


class AgeTold(NamedTuple):
    """`may_rise`: the desk says so. `mark`: of an installation; its word without a band is taken back."""

    band: str
    may_rise: bool = False
    mark: str = ""


class NoticeGiven(NamedTuple):  # a notice reached somebody. `day`: of the notice, an ordinal
    notice: NoticeKind
    day: int


class NoticeBounced(NamedTuple):  # one came back: of that day, or an earlier one
    notice: NoticeKind
    day: int


class ChildFound(NamedTuple):
    """No to everything, and the youngest age, for good (R14)."""


class ScreenVoided(NamedTuple):  # each yes that was said on a screen counts for nothing
    screen: str


class KeptNo(NamedTuple):
    """A no that stays with the record's key though whoever said it is forgotten. `via`: what it came through."""

    purpose: Purpose
    origin: bytes
    via: bytes


class KeptEnd(NamedTuple):  # what the key had said until a forgotten spelling of its mailbox said something else
    purpose: Purpose
    no: bool  # a no as well as a yes
    screen: str = ""


class KeptRevoked(NamedTuple):  # a grant that a forgotten no had ended
    grant: GrantName


class KeptAge(NamedTuple):
    age: KeyAge


class KeptNotice(NamedTuple):  # `day` 0: it was told none, for a forgotten one's had come back
    notice: NoticeKind
    day: int


Chosen = SaidOut | OrderOver | SaidPruned | SaidIn | GrantSaid | ActUsed | ChildFound | ScreenVoided
Known = LinkSaid | Released | NamesLearnt | StateSaid | AgeTold | NoticeGiven | NoticeBounced
Kept = KeptNo | KeptEnd | KeptRevoked | KeptAge | KeptNotice  # of somebody who is forgotten
Said = Chosen | Known | Kept


class Record(NamedTuple):
    seq: int  # its number in the log; of what stands before an entry in today's side tables, that entry's
    at: int  # Unix milliseconds
    key: bytes
    said: Said
    account: bool = False  # whether its key is an account's
