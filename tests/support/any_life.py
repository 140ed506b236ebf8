"""Any life: what people do, in any order, by numbers that a machine or a generator chooses."""

import os
from datetime import timedelta
from hashlib import sha256

from hypothesis import strategies as st

from gateway.desk import notices
from gateway.ledger.acts import device_states, links, office_acts, records
from gateway.ledger.acts.folded_people import FoldedPeople
from gateway.ledger.acts.links import Span
from gateway.ledger.acts.office_acts import ListedRequest, ListPart
from gateway.ledger.subjects import Choice, milliseconds, moment
from gateway.terms import ChoiceKind, DataClass, NoticeKind, Purpose, Source, Told
from support.lives import PEOPLE, Ledger
from support.people import GAID, email, named, phone

ALIKE = sha256(GAID.encode()).hexdigest()
SUBJECTS = {
    name: PEOPLE.name([named(*said)]).subjects[0]
    for name, said in {
        "ann": ("account", "ann"), "bob": ("account", "bob"), "phone": ("phone", phone(1)),
        "phone hashed": ("phone_sha256", sha256(phone(1)[1:].encode()).hexdigest()),
        "dotted": ("email", "per.son1@gmail.example.com"), "mail": ("email", email(1)),
        "looks like mail": ("email", email(1).replace("@", "+shop@")), "jane": ("email", "janedoe@gmail.com"),
        "jane dotted": ("email", "jane.doe@gmail.com"), "jane's twin": ("email", "j.anedoe+a@googlemail.com"),
        "tablet": ("gaid", GAID), "tablet hashed": ("ad_id_sha256", ALIKE), "other tablet": ("idfa", GAID),
    }.items()
}  # fmt: skip
ACCOUNTS = ("ann", "bob")
THINGS = tuple(name for name in SUBJECTS if name not in ACCOUNTS)
SCREENS = ("fair", "dark")
LISTED = ("phone hashed", "tablet hashed")
MARKS = ("a" * 32, "b" * 32)  # of two installations of an app
KEYS = sorted({key for subject in SUBJECTS.values() for key in (*subject.keys, *subject.looser)})


class Lives(Ledger):
    """What people do, each by its name and three numbers that say to whom and how."""

    def __init__(self):
        super().__init__(SUBJECTS)
        self.moments = []

    def do(self, act, who, other, how):
        """One act, and what stood on record then."""
        getattr(self, ACTS[act % len(ACTS)])(who, other, how)
        self.moments.append((milliseconds(self.at), self.live(milliseconds(self.at))))

    def live(self, now):
        """What stands of every key, as a check reads it."""
        folded = self.stands()
        return {key: (folded.standing(key, now), folded.grants(key, now)) for key in KEYS}

    def then(self, key, now):
        """The same, folded again from the one key: what is connected to it must be found."""
        people = FoldedPeople(self.db, [key], now)
        return people.standing(key, now), people.grants(key, now)

    def pick(self, names, number):
        return SUBJECTS[names[number % len(names)]]

    def anybody(self, number):
        return self.pick(tuple(SUBJECTS), number)

    def say(self, subject, kind, how, **more):
        """On a screen that is voided nobody is asked any more: the doors refuse it."""
        if self.db.execute("SELECT 1 FROM voided_ui WHERE ui = ?", (more.get("ui"),)).fetchone():
            return
        self.now()
        purposes = (Purpose.SALE, Purpose.TARGETED_ADS, Purpose.SENSITIVE, Purpose.MARKETING_MAIL)
        choice = Choice(kind, (purposes[how % 4],), "api", self.at, **more)
        records.write_choice(self.tx, subject, choice, os.urandom(16))

    def no(self, who, other, how):
        self.say(self.anybody(who), ChoiceKind.OPT_OUT, how)

    def yes(self, who, other, how):
        more = {"ui": SCREENS[other % 2], "informed": other % 3 == 0, "parental": other % 5 == 0} if other % 7 else {}
        self.say(self.anybody(who), ChoiceKind.OPT_IN, how, **more)

    def grant(self, who, other, how):
        point = {"data_class": DataClass.PRECISE_GEO, "ui": SCREENS[other % 2]}
        self.say(self.anybody(who), ChoiceKind.OPT_IN, how, recipient="teemo", **point)

    def direct(self, who, other, how):
        self.say(self.anybody(who), ChoiceKind.DIRECT, how, recipient="bank")

    def use(self, who, other, how):
        now = self.now()
        records.use_acts(self.tx, self.anybody(who).keys, "bank", now)

    def keeps(self, who, other, how):
        self.say(self.anybody(who), ChoiceKind.KEEP_PROGRAMME, how, recipient="bonus", ui=SCREENS[other % 2])

    def hears(self, who, other, how):
        self.now()
        choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE, Purpose.TARGETED_ADS), Source.GPC, self.at)
        records.hear_signal(self.tx, self.anybody(who), choice, os.urandom(16))

    def gets(self, who, other, how):
        now, more = self.now(), [self.pick(THINGS, other)]
        if how % 3 == 0:
            more.append(self.pick(THINGS, other + how))
        until = now + 5000 if how % 5 == 0 else None
        links.link_identifiers(self.tx, self.pick(ACCOUNTS, who), more, Span(now - 10, until), now)

    def gives_up(self, who, other, how):
        now = self.now()
        links.link_identifiers(self.tx, self.pick(ACCOUNTS, who), [self.pick(THINGS, other)], Span(now - 1, now), now)

    def goes_back(self, who, other, how):
        links.release(self.tx, self.pick(THINGS, who), self.now())

    def limits(self, who, other, how):
        self.begin_or_end(self.begin, who, how)

    def limits_no_more(self, who, other, how):
        self.begin_or_end(lambda device, purpose, source: self.end(device, (purpose,), source), who, how)

    def begin_or_end(self, act, who, how):
        act(("tablet", "tablet hashed", "other tablet")[who % 3], Purpose.SALE, ("device", "tcf")[how % 2])

    def is_told(self, who, other, how):
        self.now()
        notice, outcome = tuple(NoticeKind)[how % 2], tuple(Told)[other % 3]
        day = self.at.date() - timedelta(days=other % 9)
        notices.note_told(self.tx, self.anybody(who), notice, day, outcome, self.at, os.urandom(16))

    def ages(self, who, other, how):
        self.now()
        band = records.AGES[how % 4]
        records.say_age(self.tx, self.anybody(who), band, self.at, os.urandom(16), may_rise=other % 2 == 0)

    def claims(self, who, other, how):
        """An app names an id with whoever is signed in."""
        now = self.now()
        links.link_identifiers(
            self.tx, self.pick(ACCOUNTS, who), [self.pick(THINGS, other)], Span(now), now, claimed=True
        )

    def disclaims(self, who, other, how):
        now = self.now()
        mine = [self.pick(ACCOUNTS, other).key] if how % 2 else []
        links.disclaim(self.tx, self.pick(THINGS, who), mine, now)

    def limits_in_an_app(self, who, other, how):
        now = self.now()
        act, kind = (
            (device_states.end_state, ChoiceKind.STATE_ENDED)
            if other % 3 == 0
            else (device_states.begin_state, ChoiceKind.STATE_BEGAN)
        )
        by = {"device": MARKS[how % 2]} if how % 5 else {}
        device = SUBJECTS[("tablet", "tablet hashed", "other tablet")[who % 3]]
        choice = Choice(kind, (Purpose.SALE,), Source.DEVICE, moment(now), details=by)
        act(self.tx, device, choice, os.urandom(16))

    def ages_in_an_app(self, who, other, how):
        self.now()
        mark, request = MARKS[how % 2], os.urandom(16)
        if other % 3:
            records.say_age(self.tx, self.anybody(who), records.AGES[how % 4], self.at, request, mark=mark)
        else:
            records.take_back_age(
                self.tx, self.anybody(who), mark if other % 2 else records.EVERYBODY, self.at, request
            )

    def is_voided(self, who, other, how):
        self.now()
        office_acts.void_consents(self.tx, SCREENS[who % 2], b"h" * 32, self.at)

    def is_listed(self, who, other, how):
        """A state's list names a digest."""
        self.by_the_list(lambda *part: office_acts.take_part(*part, {}), who, how)

    def is_listed_no_more(self, who, other, how):
        self.by_the_list(office_acts.end_part, who, how)

    def by_the_list(self, act, who, how):
        """Each digest may be asked for by two people."""
        self.now()
        part = ListPart("US-CA", f"{self.tx.size}.csv", "Phone", self.at.date(), self.at)
        act(self.tx, part, [ListedRequest(f"{who % 2} {how % 2}", self.pick(LISTED, who).key)])


ACTS = ("no", "gets", "yes", "grant", "direct", "use", "keeps", "hears", "gets", "gives_up", "goes_back", "limits",
        "limits_no_more", "is_told", "ages", "no", "yes", "is_voided", "claims", "disclaims", "limits_in_an_app",
        "ages_in_an_app", "gives_up", "yes", "is_listed", "is_listed_no_more", "is_listed")  # fmt: skip
NUMBER = st.integers(0, 200)
LIFE = st.lists(st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), max_size=14)


def lived(life):
    lives = Lives()
    for act in life:
        lives.do(*act)
    return lives
