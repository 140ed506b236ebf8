"""What is over stays over, and what denies goes on: over made-up lives of links, claims, releases and voids, told to
the fold alone. A grant that a no had ended is never there again, and nothing opens but by a yes or the end of a claim.
"""

import pytest
from support import universes
from support.blind import Blind
from support.examples import SOAK
from support.universes import acts_of

from gateway.fold import links, noes, reading
from gateway.fold.record import LinkSaid, SaidIn
from gateway.fold.state import HEAD, Slate

pytestmark = pytest.mark.slow

ABOUT = {
    "opt_out", "limit", "withdraw", "signal", "opt_in", "opt_in_dark", "grant", "programme", "link", "link_until",
    "link_again", "link_end", "claim", "claim_whole", "disclaim", "release", "named", "void_screen", "wait", "sweep",
}  # fmt: skip
OTHERS = {*universes.KINDS} - ABOUT
LIVES = 60 if SOAK else 25  # each control's fault shows in one of the first
ACTS = 80


class Watched(Blind):
    """Notes behind each record what came back and what opened that should not."""

    def __init__(self, who):
        self.over, self.denied, self.found = set(), set(), []
        super().__init__(who)

    def say(self, subject, said):
        seq = super().say(subject, said)
        slate = Slate(self.state.get)
        keys = [place for place in self.state if isinstance(place, bytes) and place != HEAD]
        self._grants(slate, keys)
        denied = {(key, no.purpose) for key in keys for no in reading.read_noes(slate, key) if no.holds(slate.voids)}
        self.found += [(said, "opened", each) for each in self.denied - denied if not self._may_open(said, each[1])]
        self.denied = denied
        return seq

    def _grants(self, slate, keys):
        for key in keys:
            given = {(key, name, each.seq) for name, each in slate.row(key).grants.items()}
            ended = {(key, name, slate.row(key).grants[name].seq) for name in reading.revoked(slate, key)}
            self.found += [("came back", each) for each in (given - ended) & self.over]
            self.over |= ended

    def _may_open(self, said, purpose):
        if isinstance(said, SaidIn):
            return purpose in said.purposes
        return isinstance(said, LinkSaid) and said.claimed


def wrong_within(lives):
    """What came back or opened in the first of these lives where something did."""
    for seed in range(lives):
        who, acts = acts_of(seed, ACTS, without=OTHERS)
        watched = Watched(who)
        for act in acts:
            watched.act(act)
            if watched.found:
                return watched.found
    return []


@pytest.fixture(autouse=True)
def two_purposes(monkeypatch):
    monkeypatch.setattr(universes, "PURPOSES", ("sale", "sensitive"))


def test_a_grant_that_is_over_never_comes_back_and_nothing_opens_by_itself():
    assert wrong_within(LIVES) == []


def test_the_control_where_grants_are_not_taken_away_one_comes_back(monkeypatch):
    for room in (noes, links):
        monkeypatch.setattr(room, "revoke_over", lambda slate, keys: None)
    assert wrong_within(LIVES)


def test_the_control_where_nothing_stays_of_a_link_somebody_opens(monkeypatch):
    monkeypatch.setattr(noes, "leave_down", lambda *which: None)
    assert wrong_within(LIVES)
