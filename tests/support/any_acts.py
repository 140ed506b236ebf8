"""Acts at random, at a handful of keys, in any order, so that names, mailboxes, looser forms and accounts meet in ways
that no ledger would tell.
"""

import random

from gateway.fold.record import (
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
    SaidPruned,
    ScreenVoided,
    StateSaid,
)
from gateway.terms import CHOOSABLE, GrantKind, NoticeKind
from support.folding import ACCOUNTS, key

KEYS = [key(name) for name in (*ACCOUNTS, "cat", *(f"key {number}" for number in range(9)))]
LINKERS = KEYS[:3]
DIGESTS = [key(f"digest {number}") for number in range(6)]  # of which the first alone says anything itself
PURPOSES, SCREENS, SOURCES = CHOOSABLE[:6], ("one", "two", "three"), ("device", "installation", "tool")


def said_at_random(rng, at):
    """One act, in any order, of any key."""
    purposes, screen = tuple(rng.sample(PURPOSES, rng.randint(1, 2))), rng.choice(SCREENS)
    others = tuple(rng.sample(KEYS, 2))
    return rng.choices(
        (
            SaidOut(purposes, "form", rng.choice(("", "a", "b")), signal=rng.random() < 0.3),
            SaidIn(purposes, screen, informed=rng.random() < 0.3),
            LinkSaid(
                rng.choice(LINKERS),
                at,
                rng.choice((None, None, at - 1, at, at + 90_000)),
                claimed=rng.random() < 0.2,
            ),
            Released(),
            NamesLearnt(others[:1] if rng.random() < 0.6 else (), others[1:] if rng.random() < 0.4 else ()),
            NamesLearnt(mailbox=others[0]),
            NamesLearnt(tuple(rng.sample(DIGESTS, 3))),
            StateSaid(rng.random() < 0.7, purposes, rng.choice(SOURCES), rng.choice(("", "a"))),
            AgeTold(rng.choice(("13_15", "16_17", "adult")), rng.random() < 0.5, rng.choice(("", "a"))),
            GrantSaid("bank", purposes, None, GrantKind.OPTED_IN, screen),
            NoticeGiven(rng.choice(tuple(NoticeKind)), 739_000 + rng.randint(0, 9)),
            NoticeBounced(rng.choice(tuple(NoticeKind)), 739_000 + rng.randint(0, 9)),
            SaidPruned(),
            ChildFound(),
            ScreenVoided(screen),
        ),
        (40, 30, 50, 6, 9, 4, 8, 12, 6, 12, 6, 3, 2, 0.3, 0.3),
    )[0]


def acts(seed, length):
    """Records, a minute apart."""
    rng, at = random.Random(seed), 0
    for number in range(length):
        at += 60_000
        of = rng.choice([*KEYS, DIGESTS[0]])
        said = said_at_random(rng, at)
        if not (isinstance(said, LinkSaid) and said.account == of):
            yield Record(number, at, of, said, of in LINKERS)
