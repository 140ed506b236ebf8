"""What still rests on an entry is said again before its body goes, and whatever comes later comes out the same (R19)."""

import contextlib
import random
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import any_life
from support.acts import Play, Refused
from support.any_life import ACTS, KEYS, LIFE
from support.examples import QUICK, examples
from support.universes import acts_of

from gateway.desk import notices
from gateway.desk.forgetting import erasure_by_unlink, prune, resting
from gateway.fold import fold, reading
from gateway.fold.record import GrantSaid, Record, SaidIn, SaidOut, ScreenVoided
from gateway.fold.state import Slate
from gateway.ledger import log_records
from gateway.ledger.acts import office_acts, records
from gateway.ledger.acts.folded_people import FoldedPeople, group
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import ALL_PURPOSES, ChoiceKind, NoticeKind, Purpose, Told


def cut(lives, below, needed=None):
    """As a prune does it, at a place that need not be a tile's border."""
    tx = lives.tx
    below = max(below, *tx.db.execute("SELECT pruned FROM head").fetchone())  # as `plan` has it
    before = dict(lives.db.execute("SELECT place, packed FROM side"))
    lives.db.execute("DROP TRIGGER IF EXISTS pruned_stays")
    for of in sorted(resting.entries_to_restate(lives.db, below) if needed is None else needed):
        prune.restate_entry(tx, of, below, lives.at)
    lives.db.execute("UPDATE head SET pruned = ?", (below,))
    again = lives.db.execute("DELETE FROM restated WHERE seq < ? RETURNING of", (below,)).fetchall()
    prune.forget_words(tx, [of for (of,) in again])
    prune.delete_bodies(tx, below)
    after = dict(lives.db.execute("SELECT place, packed FROM side"))
    lives.pruned = getattr(lives, "pruned", {})
    lives.pruned |= {place: (before[place], its) for place, its in after.items() if before.get(place, its) != its}


def different(lives):
    """Whose noes, standing or grants are not those that they would be with every entry there: now, once a screen is
    voided, with the last choice that may be voided left out, and once lists took back all that they say.
    """
    left = log_records.records_of(lives.db)
    [pruned] = lives.db.execute("SELECT pruned FROM head").fetchone()
    lives.db.execute("SAVEPOINT with_every_entry")
    put_back = [(was, place, now) for place, (was, now) in lives.pruned.items()]
    lives.db.executemany("UPDATE side SET packed = ? WHERE place = ? AND packed = ?", put_back)
    whole = log_records.records_of(lives.db)
    lives.db.execute("ROLLBACK TO with_every_entry")
    chosen = [each for each in left if each.seq >= pruned and isinstance(each.said, SaidOut | SaidIn | GrantSaid)]
    found = set()
    for gone in (None, *chosen[-1:]):
        ours, theirs = ([each for each in of if each != gone] for of in (left, whole))
        found |= read_otherwise(ours, theirs, KEYS, any_life.SCREENS)
    ours, theirs = ([*map(log_records.order_over, of)] for of in (left, whole))
    found |= read_otherwise(ours, theirs, KEYS, ()) if theirs != whole else set()
    return sorted(found)


def read_otherwise(ours, theirs, keys, screens):
    """The keys of which the fold of these does not read what that of those reads, with any of some screens voided."""
    now = max((each.at for each in theirs), default=0)
    voids = [Record(2**40 + turn, now, b"", ScreenVoided(ui)) for turn, ui in enumerate(screens)]
    found = set()
    for voided in ([], *([each] for each in voids), voids):
        one, other = (what_is_read([*of, *voided], keys, now) for of in (ours, theirs))
        found |= {key for key in keys if one[key] != other[key]}
    return found


def what_is_read(records, keys, now):
    state = {}
    for each in records:
        state.update(fold(each, state.get))
    slate = Slate(state.get)
    return {
        key: (
            reading.standing_of(key, state.get, now),
            reading.grants_of(key, state.get, now),
            reading.last_outs(key, state.get),
            {
                (each.purpose, each.bit.who, each.bit.seq, each.place, each.reach, each.via)
                for each in reading.read_noes(slate, key)
                if each.holds(slate.voids)
            },
        )
        for key in keys
    }


@pytest.mark.slow
@examples(40)
@given(LIFE, LIFE, st.integers(0, 40), st.integers(0, 40))
@example([(0, 2, 0, 0), (2, 0, 1, 0)], [(2, 0, 1, 0)], 1, 2)
def test_any_life_can_be_made_again_from_what_is_kept_and_goes_on_as_if_nothing_was_pruned(old, new, first, second):
    lives = any_life.lived(old)
    cut(lives, min(first, lives.tx.size))
    assert different(lives) == []
    for act in new:
        lives.do(*act)
    assert different(lives) == []
    cut(lives, min(first + second, lives.tx.size))
    assert different(lives) == []
    lives.db.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_long_lives_can_be_made_again_from_what_is_kept(seed):
    numbers = random.Random(seed)
    lives = any_life.lived([tuple(numbers.randrange(200) for _ in range(4)) for _ in range(60)])
    for _ in range(3):
        cut(lives, numbers.randrange(1, lives.tx.size))
        for _ in range(10):
            lives.do(*(numbers.randrange(200) for _ in range(4)))
        assert different(lives) == []
    lives.db.close()


def test_a_device_that_no_longer_limits_itself_is_not_limited_again_by_a_second_prune():
    """What the first one said again is still there when the second drops the word that took it back."""
    lives = any_life.Lives()
    lives.begin("tablet", Purpose.SALE, "device")
    lives.end("tablet", (Purpose.SALE,), "device")
    for below in (1, 2):
        cut(lives, below)
        assert different(lives) == []
    lives.db.close()


BESIDE_ITS_NO = {
    "a second no": lambda lives: says_no_to_all(lives, "phone hashed"),
    "a link": lambda lives: lives.link("ann", "phone"),
    "a no to mail": lambda lives: lives.choose(ChoiceKind.OPT_OUT, "phone hashed", Purpose.MARKETING_MAIL),
    "a no of its number": lambda lives: says_no_to_all(lives, "phone"),
}


def says_no_to_all(lives, who):
    lives.now()
    choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "api", lives.at)
    records.write_choice(lives.tx, lives.subjects[who], choice, bytes(16))


@pytest.mark.parametrize("beside", BESIDE_ITS_NO)
def test_who_said_no_is_out_after_a_prune_although_a_list_that_named_them_takes_that_back(beside):
    """The list's no never stands in the place of theirs, so what they said is said again."""
    lives = any_life.Lives()
    says_no_to_all(lives, "phone hashed")
    BESIDE_ITS_NO[beside](lives)
    lives.do(ACTS.index("is_listed"), 0, 0, 0)
    cut(lives, lives.tx.size)
    assert different(lives) == []
    lives.do(ACTS.index("is_listed_no_more"), 0, 0, 0)
    assert different(lives) == []
    assert lives.denies("phone hashed", Purpose.SALE)
    lives.db.close()


HANDS_CHANGE = {
    "given back": ((), (("goes_back", "phone"),)),
    "another account's, which once was somebody's": ((("gets", "ann"), ("gives_up", "ann")), (("gets", "bob"),)),
}


@pytest.mark.parametrize("how", HANDS_CHANGE)
def test_the_earlier_holders_no_is_there_again_behind_a_prune_and_an_unlink_of_the_later_one_who_said_the_same(how):
    lives = any_life.Lives()
    phone, number = any_life.SUBJECTS["phone"], any_life.THINGS.index("phone")

    def do(acts):
        for act, who in acts:
            lives.do(ACTS.index(act), number if who == "phone" else any_life.ACCOUNTS.index(who), number, 1)

    before, changes = HANDS_CHANGE[how]
    do(before)
    said = lives.tx.size
    says_no_to_all(lives, "phone")
    do(changes)
    since = lives.tx.size
    says_no_to_all(lives, "phone")
    cut(lives, lives.tx.size)
    names = sorted(group(lives.db, phone.key))
    own = dict.fromkeys(names, since)
    left = erasure_by_unlink.plan_unlink(lives.db, [phone], own, lives.tx.size, milliseconds(lives.at))
    log_records.put_rewritten(lives.db, left.gone)
    assert [each.seq for each in log_records.records_of(lives.db, keys=names) if isinstance(each.said, SaidOut)] == [
        said
    ]
    assert lives.denies("phone", Purpose.SALE)
    lives.db.close()


def test_who_was_told_once_is_told_after_a_prune_though_the_like_came_back_to_somebody_before_them():
    """Two words that say the same of one day, each the only one of its person."""
    lives = any_life.Lives()
    for who, outcome in (("bob", Told.BOUNCED), ("ann", Told.SENT)):
        lives.now()
        subject, day = lives.subjects[who], lives.at.date()
        notices.note_told(lives.tx, subject, NoticeKind.PRIVACY, day, outcome, lives.at, bytes(16))
    cut(lives, lives.tx.size)
    assert different(lives) == []
    lives.db.close()


@pytest.mark.parametrize("sent", [0, 1])
def test_what_came_back_before_a_prune_told_nobody_after_it(sent):
    """Also where the notice was restated by an earlier one."""
    lives = any_life.Lives()
    for outcome in (Told.SENT, Told.BOUNCED):
        lives.now()
        notices.note_told(
            lives.tx, lives.subjects["ann"], NoticeKind.PRIVACY, lives.at.date(), outcome, lives.at, bytes(16)
        )
        if sent and outcome is Told.SENT:
            cut(lives, lives.tx.size)
    cut(lives, lives.tx.size)
    assert different(lives) == []
    lives.db.close()


@pytest.mark.parametrize("told", ["ann", "tablet"])
def test_what_comes_back_behind_a_prune_told_nobody_whom_an_app_claims_for_the_account_since(told):
    """Of the link by which the account had it nothing else may be left."""
    lives = any_life.Lives()
    tablet = any_life.THINGS.index("tablet")

    def tells(who, outcome):
        lives.now()
        subject, day = lives.subjects[who], lives.at.date()
        notices.note_told(lives.tx, subject, NoticeKind.PRIVACY, day, outcome, lives.at, bytes(16))

    lives.gets(0, tablet, 1)
    tells(told, Told.SENT)
    lives.gives_up(0, tablet, 0)
    lives.claims(0, tablet, 0)
    cut(lives, lives.tx.size)
    tells("ann", Told.BOUNCED)
    key = lives.subjects["tablet"].key
    standing, *_ = what_is_read(log_records.records_of(lives.db), [key], lives.now())[key]
    assert (standing.told, different(lives)) == (None, [])
    lives.db.close()


def test_a_grant_that_a_later_link_ended_by_a_lists_no_is_there_again_once_the_list_takes_it_back():
    """It was given before the link by which the no came, and nobody asked again."""
    acts = [("grant", 6, 0, 0), ("is_listed", 0, 0, 0), ("gets", 0, 0, 1), ("gets", 0, 4, 1), ("gives_up", 0, 4, 0)]
    lives = any_life.lived([(ACTS.index(act), *how) for act, *how in acts])
    cut(lives, lives.tx.size)
    lives.do(ACTS.index("is_listed_no_more"), 0, 0, 0)
    assert different(lives) == []
    lives.db.close()


def test_a_prune_that_restates_nothing_does_not_pass():
    lives = any_life.lived([(ACTS.index("no"), 2, 0, 0), (ACTS.index("no"), 6, 0, 0)])
    cut(lives, 1, needed=())
    assert different(lives)


def test_what_nothing_rests_on_is_not_restated():
    """An opt-out that was repeated: the first is history, the second is in force."""
    lives = any_life.lived([(ACTS.index("no"), 6, 0, 0), (ACTS.index("no"), 6, 0, 0)])
    assert resting.entries_to_restate(lives.db, 2) == {1}
    lives = any_life.lived([(ACTS.index("no"), 6, 0, 0), (ACTS.index("yes"), 6, 0, 0)])
    assert resting.entries_to_restate(lives.db, 2) == {0, 1}, "until when nobody may ask again comes from the opt-out"


def test_a_consent_whose_entry_was_pruned_is_void_and_counted_with_its_screen():
    lives = any_life.lived([(ACTS.index("no"), 6, 0, 0)])
    subject = lives.subjects["tablet"]
    for ui in ("dark", "fair"):
        choice = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", lives.at, ui=ui)
        records.write_choice(lives.tx, subject, choice, bytes(16))
    cut(lives, 3)
    assert office_acts.void_consents(lives.tx, "fair", bytes(32), lives.at)
    assert office_acts.consents_of(lives.db, "fair") == 1
    assert FoldedPeople(lives.db, [subject.key]).standing(subject.key, milliseconds(lives.at)).own == 0
    assert office_acts.void_consents(lives.tx, "dark", bytes(32), lives.at)
    assert office_acts.consents_of(lives.db, "dark") == 0, "nothing rested on that one"
    lives.db.close()


# --- universes: what was measured in the middle of a life is enough for the rest of it ---

LENGTH, EVERY = 160, 40  # acts


def lived_and_measured(seed):
    """The play at its end; and by place below which entries would go, those that were needed when the log ended there."""
    who, acts = acts_of(seed, LENGTH, Counter(), without=("prune",))
    play, needed = Play(who), {}
    for number, act in enumerate(acts, 1):
        with contextlib.suppress(Refused):
            play.act(act)
        if not number % EVERY:
            size = play.ledger.tx.size
            needed[size] = resting.entries_to_restate(play.ledger.db, size)
    return play, needed


def pruned_records(db, below, needed):
    """As the fold reads them after a prune."""
    left, gone = [], set()
    for row, record in log_records.placed_records(db):
        goes = row.is_own(record) and record.key and row.seq < below and row.seq not in needed
        gone |= {row.seq} if goes else set()
        left.append(resting.pruned_record(row, record) if goes else record)
    return left, len(gone)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3 if QUICK else 12))
def test_everything_comes_out_as_with_every_entry_there_whatever_is_said_voided_or_unlinked_later(seed):
    play, needed = lived_and_measured(seed)
    whole, keys = log_records.records_of(play.ledger.db), set(play.keys.values())
    screens = {getattr(each.said, "screen", "") for each in whole} - {""}
    voids = play.ledger.db.execute("SELECT seq, by FROM voided_choice").fetchall()
    for below, found in needed.items():
        if any(seq < below <= by for seq, by in voids):
            continue  # what is pruned nobody can void
        left, _ = pruned_records(play.ledger.db, below, found)
        assert read_otherwise(left, whole, keys, sorted(screens)) == set(), below


def test_the_control_of_what_rests_on_entries_finds_a_life_of_which_nothing_is_said_again():
    play, needed = lived_and_measured(0)
    below = max(needed)
    left, gone = pruned_records(play.ledger.db, below, set())
    assert gone
    assert read_otherwise(left, log_records.records_of(play.ledger.db), set(play.keys.values()), ())
