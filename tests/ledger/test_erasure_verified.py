"""Whatever people did before and do after an erasure, their standings are still those that the entries give."""

import os
import random

import pytest
from support.examples import TIMES
from support.lives import PEOPLE, Ledger
from support.people import GAID, IDFV, email, named, phone

from gateway.ledger import ages, erasure, rows_check
from gateway.ledger.component import of
from gateway.ledger.erasure import Order
from gateway.terms import ChoiceKind, Erasing, Purpose

KINDS = {"a": ("account", "a"), "b": ("account", "b"), "mail": ("email", email(1)), "dots": ("email", "per.son@gmail.com"),
         "phone": ("phone", phone(1)), "gaid": ("gaid", GAID), "idfv": ("idfv", IDFV)}  # fmt: skip
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
            lambda: ledger.release("phone"),
            lambda: ledger.begin("gaid", purpose, "device"),
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
        erasure.erase(self.ledger.tx, Order(mode, [SUBJECTS[who]], self.tick()), os.urandom(16))

    def differences(self):
        self.ledger.tx.write_head()
        db = self.ledger.db
        keys = [row[0] for row in db.execute("SELECT key FROM standing")]
        return {(table, key.hex()[:8]) for table, key in rows_check.of_keys(db, keys, of(db, keys))}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60 * TIMES))
def test_any_life_with_erasures_in_it_is_made_again_from_the_log(seed):
    life = Life(seed)
    for _ in range(25):
        life.act(erasing=True)
        assert life.differences() == set(), life.done


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
    erasure.erase(life.ledger.tx, Order(Erasing.UNLINK, [other], life.tick()), os.urandom(16))
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
    erasure.erase(life.ledger.tx, Order(Erasing.UNLINK, [other], life.tick()), os.urandom(16))
    assert life.ledger.denies("hers", Purpose.SALE)
    assert life.ledger.denies("other", Purpose.SALE), "by the digest that both have"
    assert life.differences() == set()
    life.ledger.choose(ChoiceKind.OPT_IN, "hers", Purpose.SALE)
    assert not life.ledger.denies("other", Purpose.SALE)
    assert life.differences() == set()
