"""What is on record of one person with an account, a phone's id and a mailbox, as a register that takes one act after
the other: what the search for an order (`support.linearizable`) follows. Written from `gateway help fold` anew, in
small: a no of any of them, or a signal; both acts of opting in; a link begins; a number or mailbox is given back.

Knows no HTTP and none of the gateway's code.
"""

from typing import Any, NamedTuple

ACCOUNT = "account"
MEMBERS = ("gaid", "email")
KEYS = (ACCOUNT, *MEMBERS)


class Said(NamedTuple):
    """A no. `event` None: it was not told. `signal`: one that is no news changes nothing."""

    number: Any
    key: str
    event: str | None
    signal: bool = False


class Asked(NamedTuple):
    """The first act of opting in; its token remembers which noes were there then."""

    token: Any
    key: str


class Yes(NamedTuple):
    """The second act: taken, or refused because a no had come since. None: its answer did not come."""

    token: Any
    key: str
    taken: bool | None


class Tied(NamedTuple):
    """The account has a member from now on."""

    member: str


class GivenBack(NamedTuple):
    """A member is nobody's any more."""

    member: str


class Waits(NamedTuple):
    """A no that was kept beside the ledger: it denies from its answer on, and is entered at some time."""

    key: str


class Seen(NamedTuple):
    """What a check said: `out` and by which event, `in`, or `none`. `strange`: an event that nobody was told of."""

    key: str
    word: str
    event: str | None = None
    strange: bool = False


class No(NamedTuple):
    """A no, by who said it."""

    who: str
    number: Any


class Person(NamedTuple):
    """`noes`: the own no of each key; `up`: what members sent to the account; `down`: what stayed with a member when it
    was given back; each a set of (key, `No`). `yes`: who said so last, of their own. `old`: whose no is of a
    holder of before. `asked`: which noes were there when a token was made. `events`: of noes so far; `untold`: how many more.
    """

    noes: frozenset = frozenset()
    up: frozenset = frozenset()
    down: frozenset = frozenset()
    yes: frozenset = frozenset()
    live: frozenset = frozenset()
    old: frozenset = frozenset()
    asked: frozenset = frozenset()
    events: frozenset = frozenset()
    untold: int = 0


def of(pairs, key):
    return {no for other, no in pairs if other == key}


def without(pairs, *keys):
    return frozenset(pair for pair in pairs if pair[0] not in keys)


def every_no(person):
    return frozenset(no for _, no in (*person.noes, *person.up, *person.down))


def account_noes(person):
    return of(person.noes, ACCOUNT) | {no for _, no in person.up}


def denying(person, key):
    """The noes for which a check of a key is denied."""
    if key == ACCOUNT:
        return account_noes(person)
    return of(person.noes, key) | of(person.down, key) | (passed_on(person, key) if key in person.live else set())


def passed_on(person, member):
    """What an account has for a member: not what that sent itself, and has."""
    return {no for no in account_noes(person) if no.who != member}


def step(person, act):
    """The register after an act, or None where it cannot have been answered so."""
    match act:
        case Said():
            mine = of(person.noes, act.key) and act.key not in person.old  # not of the holder before
            return person if act.signal and mine else no_said(person, act)
        case Asked():
            return person._replace(asked=person.asked | {(act.token, every_no(person))})
        case Yes():
            return confirmed(person, act)
        case Tied():
            return tied(person, act.member)
        case GivenBack():
            return given_back(person, act.member)
        case Seen():
            return seen(person, act)
        case Waits():
            return person


def no_said(person, act):
    key, pair = act.key, (act.key, No(act.key, act.number))
    return person._replace(
        noes=without(person.noes, key) | {pair},
        up=without(person.up, key) | {pair} if key in person.live else person.up,
        yes=person.yes - {key},
        old=person.old - {key},
        events=person.events | ({act.event} if act.event else set()),
        untold=person.untold + (not act.event),
    )


def confirmed(person, act):
    then = next((noes for token, noes in person.asked if token == act.token), None)
    if then is None:
        return None
    superseded = not denying(person, act.key) <= then
    if act.taken is False:
        return person if superseded else None
    return None if superseded else opted_in(person, act.key)


def opted_in(person, key):
    noes, yes = without(person.noes, key), person.yes | {key}
    if key == ACCOUNT:
        down = without(person.down, *person.live)
        return person._replace(noes=noes, up=frozenset(), down=down, yes=yes)
    up, down = person.up, person.down
    if key in person.live:
        up = without(up, key)
    else:
        down = without(down, key)
    return person._replace(noes=noes, up=up, down=down, yes=yes)


def tied(person, member):
    """What stayed with it and still stands at the account is read through the account again."""
    if member in person.live:
        return person
    up = person.up if member in person.old else person.up | {pair for pair in person.noes if pair[0] == member}
    stand = {no.who for no in account_noes(person)}
    down = frozenset((key, no) for key, no in person.down if key != member or no.who not in stand)
    return person._replace(up=up, down=down, live=person.live | {member})


def given_back(person, member):
    stays = {(member, no) for no in passed_on(person, member)} if member in person.live else set()
    return person._replace(
        down=person.down | stays, live=person.live - {member}, yes=person.yes - {member}, old=person.old | {member}
    )


def seen(person, act):
    """What is told beside `out` is the event of any no that was said before: a row keeps the last one through a lift."""
    out = bool(denying(person, act.key))
    if act.word != ("out" if out else "in" if act.key in person.yes else "none"):
        return None
    if act.event in {None, *person.events}:
        return person
    if not (act.strange and person.untold):
        return None
    return person._replace(events=person.events | {act.event}, untold=person.untold - 1)
