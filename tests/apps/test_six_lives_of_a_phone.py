"""Six lives of a phone: what an app is told at its first and second start after something happened to the phone, by
what the app brings; a table, printed with `pytest -s`, and what must hold in each of its cells (R8, R26).

Nobody who said nothing is at `stop` on the second start where their ids are nobody's or they bring a proof; nobody who
said no is at `start` on the first.
"""

import itertools

import pytest
from support.people import gaid, named
from support.phones import Phone, idfv, standing

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SDK = "advertisers"
BRINGS = ("nothing", "assertion", "attestation")
OWNERS = ("nobody's", "somebody's")
SAID = ("nothing", "no")
# Life: what became of (ad id, vendor's id, device token, account) since the starts before; None: there were none
# before.
LIVES = {
    "first install": None,
    "reinstall, keychain kept": ("same", "new", "kept", "same"),
    "reinstall, keychain gone": ("same", "new", "lost", "same"),
    "ad id reset": ("new", "same", "kept", "same"),
    "second app of the operator": ("same", "same", "lost", "same"),
    "moved to a new phone": ("new", "new", "kept", "same"),
    "two accounts on it": ("same", "same", "kept", "other"),
}
START, STOP = ["start", "start"], ["stop", "stop"]
# (what they had said, whose the ids are, what the app brings): the two starts, in each of the seven lives.
TABLE = {
    ("nothing", "nobody's", "nothing"): [START] * 7,
    ("nothing", "nobody's", "assertion"): [START] * 7,
    ("nothing", "nobody's", "attestation"): [START] * 7,
    ("nothing", "somebody's", "nothing"): [STOP] * 7,
    ("nothing", "somebody's", "assertion"): [START] * 7,
    ("nothing", "somebody's", "attestation"): [START] * 7,
    ("no", "nobody's", "nothing"): [STOP] * 7,
    ("no", "nobody's", "assertion"): [STOP] * 7,
    ("no", "nobody's", "attestation"): [STOP] * 7,
    ("no", "somebody's", "nothing"): [STOP] * 7,
    ("no", "somebody's", "assertion"): [STOP] * 7,
    ("no", "somebody's", "attestation"): [STOP] * 7,
}


class Owner:
    """Somebody with a phone. `number`: apart from everybody else's."""

    def __init__(self, place, number, brings):
        self.place, self.number, self.brings = place, number, brings
        self.account = f"a{number}"
        self.phone = Phone(place.in_app, named("gaid", gaid(10 * number)), named("idfv", idfv(10 * number)))

    def proof(self):
        if self.brings == "assertion":
            return {"proof": self.place.backend.proof(self.account)}
        return {"proof": self.place.backend.attests(*self.phone.ids)} if self.brings == "attestation" else {}

    async def starts(self):
        answer = await self.phone.observes(**self.proof())
        assert answer.status_code == 200
        return self.phone.last["sdks"][SDK]

    def lives(self, became):
        ad_id, vendors, token, account = became
        ids = [(10 * self.number) + (ad_id == "new"), (10 * self.number) + (vendors == "new")]
        self.phone.ids = [named("gaid", gaid(ids[0])), named("idfv", idfv(ids[1]))]
        self.phone.token = self.phone.token if token == "kept" else None
        self.account += "-other" if account == "other" else ""


async def lived(place, number, life, said, owner, brings):
    """The words of both starts."""
    person, became = Owner(place, number, brings), LIVES[life]
    if owner == "somebody's":
        await place.links(person.account, person.phone.ids[0])
    for _ in range(2 if became else 0):
        await person.starts()
    if said == "no" and became:
        assert (await person.phone.chooses(**person.proof())).status_code == 201
    elif said == "no":  # on the web, before there was an app
        told = named("account", person.account) if owner == "somebody's" else person.phone.ids[0]
        await place.desk.post("/v1/choices", json={"identifiers": [told], "choice": "opt_out"})
    person.lives(became) if became else None
    return [await person.starts(), await person.starts()]


@pytest.fixture
async def shop(tmp_path):
    async with standing(tmp_path, apps__sdks="advertisers,payments") as made:
        yield made


async def test_what_an_app_is_told_in_each_life_of_a_phone(shop):
    print(f"\n{'life':28}{'said':9}{'ids':12}{'brings':13}first   second")
    number = itertools.count(1)
    for (said, owner, brings), expected in TABLE.items():
        for life, words in zip(LIVES, expected, strict=True):
            found = await lived(shop, next(number), life, said, owner, brings)
            print(f"{life:28}{said:9}{owner:12}{brings:13}{found[0]:8}{found[1]}")
            assert found == words, (life, said, owner, brings)


def test_the_table_has_every_cell_and_keeps_both_promises():
    assert {*TABLE} == {*itertools.product(SAID, OWNERS, BRINGS)}
    for (said, owner, brings), cells in TABLE.items():
        assert len(cells) == len(LIVES)
        for first, second in cells:
            assert not (said == "nothing" and second == "stop" and (owner == "nobody's" or brings != "nothing"))
            assert not (said == "no" and first == "start")


async def test_on_a_new_phone_that_shows_nothing_of_the_old_one_an_account_still_says_no(shop):
    """Without the token, an account or an id of the old phone nobody can know them: that is the one cell beyond it."""
    for number, (brings, word) in enumerate((("assertion", "stop"), ("nothing", "start")), 500):
        person = Owner(shop, number, brings)
        await person.starts()
        await person.phone.chooses(**person.proof())
        person.lives(("new", "new", "lost", "same"))
        assert await person.starts() == word
