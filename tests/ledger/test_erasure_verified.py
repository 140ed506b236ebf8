"""Whatever people did before and do after an erasure, it opens nothing for anybody else, and what stands of them can be
told from the entries that are left.
"""

import os
import random

import pytest
from support.examples import TIMES
from support.lives import PEOPLE, Ledger
from support.oracle import Folded
from support.people import GAID, IDFV, email, named, phone
from support.verified import VerifiedLife

from gateway.choice.standing import IN, NONE, OUT, state
from gateway.desk.forgetting import erasure
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.fold import reading
from gateway.fold.record import KeptNo
from gateway.fold.state import FOR_EVER
from gateway.ledger.acts import office_acts, records
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.log_records import records_of
from gateway.ledger.subjects import Choice, milliseconds
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Erasing, Purpose

KINDS = {
    "a": ("account", "a"),
    "b": ("account", "b"),
    "mail": ("email", email(1)),
    "dots": ("email", "per.son@gmail.com"),
    "twin": ("email", "person@gmail.com"),
    "looks like mail": ("email", email(1).replace("@", "+y@")),
    "phone": ("phone", phone(1)),
    "second phone": ("phone", phone(2)),
    "gaid": ("gaid", GAID),
    "idfv": ("idfv", IDFV),
}
SUBJECTS = {name: PEOPLE.name([named(*kind)]).subjects[0] for name, kind in KINDS.items()}
THINGS = [name for name in SUBJECTS if name not in {"a", "b"}]


class Life:
    def __init__(self, seed):
        self.dice, self.ledger = random.Random(seed), Ledger(SUBJECTS)
        self.done, self._verified = [], None

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
            lambda: records.say_age(
                ledger.tx, SUBJECTS[anyone], dice.choice(["13_15", "adult"]), self.tick(), os.urandom(16)
            ),
        ]
        if erasing and dice.random() < 0.2:
            self.erase(dice.choice([*Erasing]), *dice.sample([*SUBJECTS], dice.choice([1, 1, 2])))
        else:
            self.done.append((anyone, account, thing))
            dice.choice(acts)()

    def tick(self):
        self.ledger.now()
        return self.ledger.at

    def erase(self, mode, *who):
        self.done.append((mode, *who))
        order = ErasureOrder(mode, [self.ledger.subjects[each] for each in who], self.tick())
        erasure.erase(self.ledger.tx, order, os.urandom(16))

    def begin_with_an_erasure(self):
        """One account has several numbers and addresses, one of which said no and is unlinked."""
        dice = self.dice
        has = dice.sample(THINGS, 4)
        for thing in has:
            self.ledger.link("a", thing)
        self.ledger.choose(ChoiceKind.OPT_OUT, has[0], Purpose.SALE)
        self.done.append(("begins with", *has))
        self.erase(Erasing.UNLINK, has[0])
        self.ledger.choose(ChoiceKind.OPT_IN, dice.choice(["a", *has]), Purpose.SALE)
        self.erase(Erasing.UNLINK, dice.choice(["a", *has]))

    def people(self, name, until=FOR_EVER):
        return FoldedPeople(self.ledger.db, [self.ledger.subjects[name].key], until)

    def standing(self, name, until=FOR_EVER):
        return self.people(name, until).standing(self.ledger.subjects[name].key, milliseconds(self.ledger.at))

    def grants(self, name):
        return self.people(name).grants(self.ledger.subjects[name].key, milliseconds(self.ledger.at))

    def denies(self, name, purpose=Purpose.SALE):
        return self.standing(name).denies(purpose)

    def differences(self):
        """Who stands otherwise by the whole log than by what was said of their own people."""
        whole, now = Folded(), milliseconds(self.ledger.at)
        for record in records_of(self.ledger.db):
            whole.state.update(whole.fold(record, whole.state.get))
        keys = {name: subject.key for name, subject in self.ledger.subjects.items()}
        return {
            name
            for name, key in keys.items()
            if self.standing(name) != reading.standing_of(key, whole.state.get, now)
            or self.grants(name) != reading.grants_of(key, whole.state.get, now)
        }

    def verified(self):
        """What verify finds in the log, and in the state that has followed it since it was asked first."""
        if self._verified is None or self._verified.ledger is not self.ledger:
            self._verified = VerifiedLife(self.ledger)
        return self._verified.report().different


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30 * TIMES))
def test_any_life_with_erasures_in_it_is_made_again_from_the_log(seed):
    life = Life(seed)
    if seed % 2:
        life.begin_with_an_erasure()
    assert life.differences() == set()
    for _ in range(25):
        life.act(erasing=True)
        assert life.differences() == set(), life.done


@pytest.mark.parametrize("seed", range(20 * TIMES))
def test_an_erasure_opens_nothing_for_anybody_else(seed):
    """Whoever was denied is denied, but for the unlinked themselves."""
    life = Life(seed)
    if seed % 2:
        life.begin_with_an_erasure()
    for _ in range(25):
        life.act(erasing=False)
    for mode in Erasing:
        who = life.dice.choice([*SUBJECTS])
        before = {name for name in SUBJECTS if life.denies(name, Purpose.SALE)}
        life.erase(mode, who)
        after = {name for name in SUBJECTS if life.denies(name, Purpose.SALE)}
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
    assert life.denies("hers", Purpose.SALE)
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
    assert life.denies("hers", Purpose.SALE)
    assert life.denies("other", Purpose.SALE), "by the digest that both have"
    assert life.differences() == set()
    life.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    assert not life.denies("other", Purpose.SALE)
    assert life.differences() == set()


def household():
    """An account that has an address and two numbers, one of which says no and is unlinked."""
    kinds = {"account": ("account", "hers"), "mail": ("email", email(1))}
    kinds |= {name: ("phone", phone(number)) for number, name in enumerate(("phone", "second phone"), 1)}
    life = Life(0)
    life.ledger = Ledger({name: PEOPLE.name([named(*kind)]).subjects[0] for name, kind in kinds.items()})
    for thing in ("mail", "phone", "second phone"):
        life.ledger.link("account", thing)
    life.ledger.choose(ChoiceKind.OPT_OUT, "phone", Purpose.SALE)
    life.erase(Erasing.UNLINK, "phone")
    assert life.denies("mail", Purpose.SALE)
    return life


@pytest.mark.parametrize("then", [["account"], ["second phone"], ["mail"], ["account", "second phone"]])
def test_a_no_of_a_number_erased_earlier_that_the_account_took_back_is_forgotten_with_the_account(then):
    life = household()
    life.ledger.choose(ChoiceKind.OPT_IN, "account", Purpose.SALE)
    assert not life.denies("mail", Purpose.SALE)
    life.erase(Erasing.UNLINK, *then)
    assert (life.differences(), life.verified()) == (set(), [])
    assert not life.denies("mail", Purpose.SALE)


def test_a_no_of_a_number_erased_earlier_holds_for_whoever_took_nothing_back_when_another_one_is_erased():
    life = household()
    life.ledger.choose(ChoiceKind.OPT_IN, "mail", Purpose.SALE)  # lifts nothing of what the account still has
    for then in ("mail", "second phone"):
        life.erase(Erasing.UNLINK, then)
        assert (life.differences(), life.verified()) == (set(), [])
        assert life.denies("account", Purpose.SALE)


def test_the_look_back_shows_a_no_that_somebody_who_is_still_there_took_back_later():
    """Her address left the account and took back itself what it had kept: that yes is on record, and so is the no."""
    life = household()
    life.ledger.unlink("account", "mail")
    denied = life.tick()
    life.ledger.choose(ChoiceKind.OPT_IN, "mail", Purpose.SALE)
    assert not life.denies("mail", Purpose.SALE)
    life.erase(Erasing.UNLINK, "second phone")
    assert life.standing("mail", milliseconds(denied)).denies(Purpose.SALE)
    assert (life.differences(), life.verified()) == (set(), [])


def test_what_travelled_on_from_a_no_that_is_forgotten_stays_where_nobody_took_it_back():
    spelt = {"first": "per.son", "second": "person", "third": "perso.n"}
    kinds = {name: ("email", f"{local}@gmail.com") for name, local in spelt.items()}
    kinds |= {"account": ("account", "hers"), "phone": ("phone", phone(1))}
    life = Life(0)
    life.ledger = Ledger({name: PEOPLE.name([named(*kind)]).subjects[0] for name, kind in kinds.items()})
    for thing in ("first", "second"):
        life.ledger.link("account", thing)
    life.ledger.choose(ChoiceKind.OPT_OUT, "first", Purpose.SALE)
    life.erase(Erasing.UNLINK, "first")
    life.ledger.link("account", "phone")
    life.ledger.unlink("account", "phone")  # keeps what it had got
    life.ledger.choose(ChoiceKind.OPT_IN, "third", Purpose.SALE)
    assert not life.denies("account", Purpose.SALE)
    life.erase(Erasing.UNLINK, "third")
    assert life.denies("phone", Purpose.SALE)
    assert not life.denies("account", Purpose.SALE)
    assert (life.differences(), life.verified()) == (set(), [])


@pytest.mark.parametrize("known", [False, True])
def test_another_spelling_of_an_erased_mailbox_stays_denied_where_anything_was_ever_heard_of_it(mailbox, known):
    """Else it is only a way to write the mailbox that is forgotten, of which nothing is known any more."""
    if known:
        mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    assert mailbox.denies("hers", Purpose.SALE)
    mailbox.erase(Erasing.UNLINK, "other")
    assert mailbox.denies("hers", Purpose.SALE) == known


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
    assert life.differences() == set()
    about_another_thing = ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.PROFILING)
    belief = office_acts.Belief(b"b" * 32, ("Ann Able", "Ben Best"))
    office_acts.void_choices(ledger.tx, [about_another_thing.seq], belief, life.tick())
    assert life.differences() == set()


def says(life, who):
    """What somebody says of sale herself."""
    return state(life.standing(who).own, Purpose.SALE)


def test_a_yes_that_a_spelling_ended_stays_over_when_that_spelling_is_erased(mailbox):
    mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    forgotten(mailbox, "other")
    assert says(mailbox, "hers") == NONE
    assert mailbox.denies("hers", Purpose.SALE)
    mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    assert (says(mailbox, "hers"), mailbox.denies("hers", Purpose.SALE)) == (IN, False)
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
    assert not any(mailbox.denies(who, Purpose.SALE) for who in ("hers", "account", "phone"))
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    assert mailbox.denies("hers", Purpose.SALE)
    assert mailbox.differences() == set()


def test_a_void_of_the_yes_that_an_erased_spelling_ended_leaves_the_no_before_it(mailbox):
    """The erased one's no ended a yes. Where that yes counts for nothing, her earlier no does."""
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    forged = mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    forgotten(mailbox, "other")
    belief = office_acts.Belief(b"b" * 32, ("Ann Able", "Ben Best"))
    office_acts.void_choices(mailbox.ledger.tx, [forged.seq], belief, mailbox.tick())
    assert says(mailbox, "hers") == OUT
    assert mailbox.differences() == set()


def test_a_no_that_a_void_gave_back_holds_when_the_spelling_that_had_ended_it_is_erased(mailbox):
    ledger = mailbox.ledger
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    mailbox.tick()
    yes = Choice(ChoiceKind.OPT_IN, (Purpose.SALE,), "api", ledger.at, ui="forged")
    records.write_choice(ledger.tx, ledger.subjects["other"], yes, os.urandom(16))
    office_acts.void_consents(ledger.tx, "forged", b"b" * 32, mailbox.tick())
    forgotten(mailbox, "other")
    assert (says(mailbox, "hers"), mailbox.denies("hers", Purpose.SALE)) == (OUT, True)


def test_what_an_erased_ones_no_took_from_a_recipient_stays_taken(mailbox):
    mailbox.ledger.link("account", "phone")
    mailbox.ledger.allow("account", Purpose.SALE)
    for kind in (ChoiceKind.OPT_OUT, ChoiceKind.OPT_IN):
        mailbox.ledger.choose(kind, "phone", Purpose.SALE)
    forgotten(mailbox, "phone")
    assert mailbox.grants("account") == []
    mailbox.ledger.allow("account", Purpose.SALE)
    [grant] = mailbox.grants("account")
    assert grant.recipient == "acme"


def test_the_no_of_a_spelling_stays_with_the_account_that_had_the_erased_one(mailbox):
    mailbox.ledger.link("account", "other")
    mailbox.ledger.choose(ChoiceKind.OPT_OUT, "hers", Purpose.SALE)
    forgotten(mailbox, "other")
    assert mailbox.denies("account", Purpose.SALE)


def test_nothing_leads_from_another_spelling_to_an_entry_of_the_erased_one(mailbox):
    mailbox.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    no = mailbox.ledger.choose(ChoiceKind.OPT_OUT, "other", Purpose.SALE)
    names = lambda: [said for row in places(mailbox, "hers") for said in row]  # noqa: E731
    assert no.seq in names(), "the control: while both are there it does"
    forgotten(mailbox, "other")
    assert no.seq not in names()


def places(life, who):
    """The numbers of the entries that her noes name, wherever they lie."""
    people = life.people(who)
    noes = reading.read_noes(people.slate(), life.ledger.subjects[who].key)
    return [(each.bit.seq, each.bit.came, each.bit.dated) for each in noes]


def test_what_stays_of_an_unlinked_account_is_one_no_a_purpose_and_nobody_elses_yes_lifts_it():
    browsers = [f"browser {number}" for number in range(12)]
    kinds = {"account": PEOPLE.account("ann"), "app": PEOPLE.name([named("idfv", IDFV)]).subjects[0]}
    life = Life(0)
    life.ledger = Ledger(kinds | {name: PEOPLE.browser(name.ljust(16, "b")) for name in browsers})
    for name in browsers:
        life.ledger.link("account", name)
        life.ledger.choose(ChoiceKind.OPT_OUT, name, Purpose.SALE)
    life.ledger.link("account", "app")
    life.erase(Erasing.UNLINK, "account")
    app, account = (life.ledger.subjects[name].key for name in ("app", "account"))
    kept = [tuple(each.said) for each in records_of(life.ledger.db, keys=[app]) if isinstance(each.said, KeptNo)]
    assert sorted(purpose for purpose, _, _ in kept) == sorted(SIGNAL_PURPOSES)
    assert all(via == app and origin not in {via, account} for _, origin, via in kept)
    for name in browsers:
        life.ledger.choose(ChoiceKind.OPT_IN, name, Purpose.SALE)
    assert life.denies("app")
    assert life.differences() == set()
    life.ledger.choose(ChoiceKind.OPT_IN, "app", Purpose.SALE)
    assert not life.denies("app"), "its own does"


def test_what_stayed_of_somebody_is_forgotten_with_the_account_that_it_is_named_by():
    """The account was told late that it had the browser: that goes, and no row of what the browser keeps leads to it."""
    life = Life(0)
    kinds = {"account": PEOPLE.account("ann"), "browser": PEOPLE.browser("b" * 16)}
    life.ledger = Ledger(kinds | {"phone": PEOPLE.name([named("phone", phone(1))]).subjects[0]})
    for thing in ("phone", "browser"):
        life.ledger.link("account", thing)
    life.ledger.choose(ChoiceKind.OPT_OUT, "phone", Purpose.SALE)
    life.ledger.unlink("account", "browser")
    for name in ("phone", "account"):
        life.erase(Erasing.UNLINK, name)
        assert life.denies("browser")
    kept = [each for each in records_of(life.ledger.db) if isinstance(each.said, KeptNo)]
    assert kept
    named_in = {(each.key, each.said.origin, each.said.via) for each in kept}
    assert life.ledger.subjects["account"].key not in {each for row in named_in for each in row}
    life.ledger.choose(ChoiceKind.OPT_IN, "browser", Purpose.SALE)
    assert not life.denies("browser")
