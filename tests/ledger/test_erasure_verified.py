"""Whatever people did before and do after an erasure, their standings are still those that the entries give."""

import os
import random

import pytest
from support.examples import TIMES
from support.lives import PEOPLE, Ledger
from support.people import GAID, IDFV, email, named, phone

from gateway.choice.standing import IN, NONE, OUT, state
from gateway.ledger import ages, erasure, records, replay, rows_check, verify, void_choices, voiding
from gateway.ledger.component import of
from gateway.ledger.erasure import ErasureOrder
from gateway.ledger.subjects import Choice
from gateway.terms import ChoiceKind, Erasing, Purpose

KINDS = {
    "a": ("account", "a"),
    "b": ("account", "b"),
    "mail": ("email", email(1)),
    "dots": ("email", "per.son@gmail.com"),
    "twin": ("email", "person@gmail.com"),
    "looks like mail": ("email", email(1).replace("@", "+y@")),
    "phone": ("phone", phone(1)),
    "gaid": ("gaid", GAID),
    "idfv": ("idfv", IDFV),
}
SUBJECTS = {name: PEOPLE.name([named(*kind)]).subjects[0] for name, kind in KINDS.items()}
THINGS = [name for name in SUBJECTS if name not in {"a", "b"}]


class Life:
    def __init__(self, seed):
        self.dice, self.ledger = random.Random(seed), Ledger(SUBJECTS)
        self.done = []

    def act(self, *, erasing):
        dice, ledger = self.dice, self.ledger
        thing, account, anyone = dice.choice(THINGS), dice.choice("ab"), dice.choice([*SUBJECTS])
        purpose = dice.choice([Purpose.SALE, Purpose.PROFILING])
        acts = [
            lambda: ledger.choose(dice.choice([ChoiceKind.OPT_OUT, ChoiceKind.OPT_IN]), anyone, purpose),
            lambda: ledger.link(account, thing),
            lambda: ledger.unlink(account, thing),
            lambda: ledger.release(dice.choice(["phone", "phone", "dots"])),
            lambda: ledger.begin("gaid", purpose, "device"),
            lambda: ledger.allow(anyone, purpose),
            lambda: ages.say(ledger.tx, SUBJECTS[anyone], dice.choice(["13_15", "adult"]), self.tick(), os.urandom(16)),
        ]
        if erasing and dice.random() < 0.2:
            self.erase(dice.choice([*Erasing]), anyone)
        else:
            self.done.append((anyone, account, thing))
            dice.choice(acts)()

    def tick(self):
        self.ledger.now()
        return self.ledger.at

    def erase(self, mode, who):
        self.done.append((mode, who))
        erasure.erase(self.ledger.tx, ErasureOrder(mode, [SUBJECTS[who]], self.tick()), os.urandom(16))

    def differences(self):
        self.ledger.tx.write_head()
        db = self.ledger.db
        keys = [row[0] for row in db.execute("SELECT key FROM standing")]
        return {(table, key.hex()[:8]) for table, key in rows_check.of_keys(db, keys, of(db, keys))}

    def verified(self):
        self.ledger.tx.write_head()
        return verify.examine(self.ledger.db, lambda _: None, None).different


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60 * TIMES))
def test_any_life_with_erasures_in_it_is_made_again_from_the_log(seed):
    life = Life(seed)
    for _ in range(25):
        life.act(erasing=True)
        assert life.differences() == set(), life.done
    assert life.verified() == [], life.done


@pytest.mark.parametrize("seed", range(20 * TIMES))
def test_an_erasure_opens_nothing_for_anybody_else(seed):
    """Whoever was denied is denied, but for the unlinked themselves."""
    life = Life(seed)
    for _ in range(25):
        life.act(erasing=False)
    for mode in Erasing:
        who = life.dice.choice([*SUBJECTS])
        before = {name for name in SUBJECTS if life.ledger.denies(name, Purpose.SALE)}
        life.erase(mode, who)
        after = {name for name in SUBJECTS if life.ledger.denies(name, Purpose.SALE)}
        assert before - after <= ({who} if mode is Erasing.UNLINK else set()), life.done


@pytest.mark.parametrize("host", ["gmail.com", "example.com"])
@pytest.mark.parametrize("names", [("janedoe", "jane.doe"), ("jane.doe", "janedoe")])
@pytest.mark.parametrize("both", [False, True])
def test_the_no_of_an_address_outlives_the_erasure_of_one_that_looks_like_it_and_is_made_again_from_the_log(
    host, names, both
):
    hers, other = (PEOPLE.name([named("email", f"{name}@{host}")]).subjects[0] for name in names)
    life = Life(0)
    life.ledger = Ledger({"hers": hers, "other": other})
    life.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    if both:
        life.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    erasure.erase(life.ledger.tx, ErasureOrder(Erasing.UNLINK, [other], life.tick()), os.urandom(16))
    assert life.ledger.denies("hers", Purpose.SALE)
    assert life.differences() == set()
    life.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    assert life.differences() == set()


def test_who_unlinks_an_address_opens_nothing_of_one_that_recipients_hash_alike():
    """Of her address with a suffix some recipients have the digest of the one without, which is somebody else's."""
    hers, other = (PEOPLE.name([named("email", f"{name}@example.com")]).subjects[0] for name in ("x+y", "x"))
    life = Life(0)
    life.ledger = Ledger({"hers": hers, "other": other})
    life.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    life.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    erasure.erase(life.ledger.tx, ErasureOrder(Erasing.UNLINK, [other], life.tick()), os.urandom(16))
    assert life.ledger.denies("hers", Purpose.SALE)
    assert life.ledger.denies("other", Purpose.SALE), "by the digest that both have"
    assert life.differences() == set()
    life.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    assert not life.ledger.denies("other", Purpose.SALE)
    assert life.differences() == set()


@pytest.fixture
def mailbox():
    """A person with one mailbox in two spellings, an account and a phone."""
    life, her = Life(0), {"hers": "person", "other": "per.son"}
    kinds = {name: ("email", f"{local}@gmail.com") for name, local in her.items()}
    kinds |= {"account": ("account", "hers"), "phone": ("phone", phone(1))}
    life.ledger = Ledger({name: PEOPLE.name([named(*kind)]).subjects[0] for name, kind in kinds.items()})
    return life


def forgotten(life, who):
    """Somebody is unlinked, and an entry of hers is voided, for which her rows are made again from the log."""
    ledger = life.ledger
    erasure.erase(ledger.tx, ErasureOrder(Erasing.UNLINK, [ledger.subjects[who]], life.tick()), os.urandom(16))
    assert (life.differences(), life.verified()) == (set(), [])
    about_another_thing = ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.PROFILING)
    belief = void_choices.Belief(b"b" * 32, ("Ann Able", "Ben Best"))
    void_choices.void(ledger.tx, [about_another_thing.seq], belief, life.tick())
    assert (life.differences(), life.verified()) == (set(), [])


def says(life, who):
    """What somebody says of sale herself."""
    return state(life.ledger.standing(who).own, Purpose.SALE)


def test_a_yes_that_a_spelling_ended_stays_over_when_that_spelling_is_erased(mailbox):
    mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    forgotten(mailbox, "other")
    assert says(mailbox, "hers") == NONE
    assert mailbox.ledger.denies("hers", Purpose.SALE)
    mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    assert (says(mailbox, "hers"), mailbox.ledger.denies("hers", Purpose.SALE)) == (IN, False)
    assert mailbox.differences() == set()


def test_an_erased_spellings_no_that_its_own_yes_lifted_brings_no_other_yes_back(mailbox):
    mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    for kind in (ChoiceKind.OPT_OUT, ChoiceKind.OPT_IN):
        mailbox.ledger.choose(kind, "other", Purpose.SALE)
    forgotten(mailbox, "other")
    assert says(mailbox, "hers") == NONE


def test_a_no_that_a_spelling_took_back_stays_lifted_and_a_later_one_holds(mailbox):
    mailbox.ledger.link("account", "hers")
    mailbox.ledger.link("account", "phone")
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    mailbox.ledger.choose(ChoiceKind.OPT_IN, "other", Purpose.SALE)
    mailbox.ledger.unlink("account", "hers")
    forgotten(mailbox, "other")
    assert not any(mailbox.ledger.denies(who, Purpose.SALE) for who in ("hers", "account", "phone"))
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    assert mailbox.ledger.denies("hers", Purpose.SALE)
    assert mailbox.differences() == set()


def test_a_void_of_the_yes_that_an_erased_spelling_ended_leaves_the_no_before_it(mailbox):
    """The erased one's no ended a yes. Where that yes counts for nothing, her earlier no does."""
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    forged = mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    forgotten(mailbox, "other")
    belief = void_choices.Belief(b"b" * 32, ("Ann Able", "Ben Best"))
    void_choices.void(mailbox.ledger.tx, [forged.seq], belief, mailbox.tick())
    assert says(mailbox, "hers") == OUT
    assert mailbox.differences() == set()


def test_a_no_that_a_void_gave_back_holds_when_the_spelling_that_had_ended_it_is_erased(mailbox):
    ledger = mailbox.ledger
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    mailbox.tick()
    yes = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", ledger.at, ui="forged")
    records.write(ledger.tx, ledger.subjects["other"], yes, os.urandom(16))
    voiding.void(ledger.tx, "forged", b"b" * 32, mailbox.tick())
    forgotten(mailbox, "other")
    assert (says(mailbox, "hers"), ledger.denies("hers", Purpose.SALE)) == (OUT, True)


def test_what_an_erased_ones_no_took_from_a_recipient_stays_taken(mailbox):
    mailbox.ledger.link("account", "phone")
    mailbox.ledger.allow("account", Purpose.SALE)
    for kind in (ChoiceKind.OPT_OUT, ChoiceKind.OPT_IN):
        mailbox.ledger.choose(kind, "phone", Purpose.SALE)
    forgotten(mailbox, "phone")
    account = mailbox.ledger.subjects["account"]
    assert replay.rebuild(mailbox.ledger.db, account.keys, rows_check.FOR_EVER).grants == ()
    mailbox.ledger.allow("account", Purpose.SALE)
    [grant] = replay.rebuild(mailbox.ledger.db, account.keys, rows_check.FOR_EVER).grants
    assert grant.recipient == "acme"


def test_the_no_of_a_spelling_stays_with_the_account_that_had_the_erased_one(mailbox):
    mailbox.ledger.link("account", "other")
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    forgotten(mailbox, "other")
    assert mailbox.ledger.denies("account", Purpose.SALE)


def test_nothing_leads_from_another_spelling_to_an_entry_of_the_erased_one(mailbox):
    mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    no = mailbox.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    [before] = mailbox.ledger.db.execute("SELECT seq FROM own_choice WHERE state = ?", (NONE,)).fetchone()
    assert before == no.seq, "the control: while both are there it does"
    forgotten(mailbox, "other")
    left = mailbox.ledger.db.execute("SELECT seq FROM own_choice UNION SELECT seq FROM travelled_choice").fetchall()
    assert (no.seq,) not in left
