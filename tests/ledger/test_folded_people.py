"""What stands of a few keys, folded from what was said of them and of whoever is connected with them, is what the fold of
the whole log says of them.
"""

from collections import Counter

import pytest
from support.acts import Play, accepted
from support.examples import QUICK, SOAK
from support.oracle import Folded
from support.universes import acts_of

from gateway.fold import reading
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.acts.holders import last_outs_at, own_outs_at
from gateway.ledger.errors import NothingKept
from gateway.ledger.subjects import milliseconds

LENGTH, EVERY = 160, 40  # acts


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2 if QUICK else 12 if SOAK else 4))
def test_who_is_folded_alone_stands_as_the_whole_log_says(seed):
    who, acts = acts_of(seed, LENGTH, Counter())
    play, whole, looked = Play(who), Folded(), 0
    for number in accepted(play, acts):
        if number % EVERY:
            continue
        now, db = milliseconds(play.at), play.ledger.db
        whole.caught_up(play, now)
        for name, key in play.keys.items():
            people = FoldedPeople(db, [key])
            assert people.standing(key, now) == reading.standing_of(key, whole.state.get, now), (number, name)
            assert people.grants(key, now) == reading.grants_of(key, whole.state.get, now), (number, name)
            assert reading.last_outs(key, people.get) == reading.last_outs(key, whole.state.get), (number, name)
            assert own_outs_at(db, [key]) == last_outs_at(db, people, [key]), (number, name)
            looked += people.standing(key, now).travelled > 0
    assert looked > 10


def test_near_an_entry_that_cannot_be_read_nothing_is_kept_so_that_a_no_waits_in_the_emergency_file():
    who, acts = acts_of(0, LENGTH, Counter())
    play = Play(who)
    assert len([*accepted(play, acts)]) > 10
    db = play.ledger.db
    [key] = db.execute("SELECT key FROM detail ORDER BY seq LIMIT 1").fetchone()
    FoldedPeople(db, [key])
    db.execute("UPDATE side SET packed = x'7b' WHERE seq IN (SELECT seq FROM detail WHERE key = ?)", (key,))
    with pytest.raises(NothingKept, match="cannot be read"):
        FoldedPeople(db, [key])
