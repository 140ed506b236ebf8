"""Questions at random, asked again and again of many people while everything around them changes: each answer that the
plans of checks give is compared with the rules' own, to the byte, and each id, line of the log and count with what it
ought to be. Law, day, recipients, places, hearing and what stands on record change in between and change back.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from types import SimpleNamespace
from unittest import mock

import orjson

from gateway.choice.downstream import downstream
from gateway.choice.law import AGES
from gateway.choice.question import DENIED, Grant
from gateway.choice.sensitive import Circle, SensitivePlaces
from gateway.choice.standing import LookupRefused, Stale, Standing, alike
from gateway.consent import check
from gateway.consent.check import Checks
from gateway.consent.decision_log import DecisionLog
from gateway.consent.decisions import IMPERSONAL, NOBODY, Deciding, Decision, Decisions, Stands, in_order
from gateway.consent.people import People
from gateway.consent.places import Places
from gateway.keys.api_keys import ApiKey
from gateway.signals.hear import SHIPPED
from gateway.state.lookup import Seen
from gateway.state.packed_rows import ANY_DIGEST
from gateway.terms import Answer, DataClass, GrantKind, Purpose
from gateway.web.api import check_answer
from gateway.web.api.check import Defaults
from gateway.web.api.check_plans import to_ask
from gateway.web.shell import wire
from gateway.web.shell.metrics import Metrics
from support import inside, verdicts
from support.people import email, gaid, named, phone
from support.signals import ADCHOICES_OUT, GPP_GPC, GPP_OUT, TC_CONSENT

AD_CODE, OFFICER = (
    ApiKey("ads", "ads", "", ("check",)),
    ApiKey("desk", "desk", "", ("check", "desk")),
)
OFTEN = {"place": 0.9, "data": 0.4, "age": 0.1, "during_call": 0.05}  # of the members of a question
PEOPLE, QUESTIONS = 40, 6
SIGNALS = (
    {"gpc": 1}, {"gpp": GPP_GPC}, {"gpp": GPP_OUT, "gpp_sid": [7]}, {"us_privacy": "1YYN"}, {"us_privacy": "?"},
    {"tc": TC_CONSENT, "gdpr": 1}, {"gdpr": 1}, {"cookies": "OptanonConsent=groups=C0004:0"}, {"lmt": 1},
    {"adchoices": ADCHOICES_OUT}, {"age_bracket": "13_15"}, {"age_bracket": "adult", "gpc": "1"},
)  # fmt: skip
# What is asked about mostly, so that not everything is refused for what it is.
USUAL = (DataClass.AD_ID, DataClass.PRECISE_GEO, DataClass.COARSE_GEO, DataClass.EMAIL_HASH, DataClass.CONTACT)
USUALLY = (*["US-CA"] * 5, *["US-NY"] * 5, *["US-CO"] * 5)
CLINIC = {"lat": 40.0, "lon": -75.0}
GEO = (CLINIC, {"country": "USA", "region": "CA"}, {"country": "DEU"}, {"lat": 45.5, "lon": -122.6}, {})
OTHERS = (  # who cannot be read, is withheld, or is of no kind that is known
    named("gaid", "00000000-0000-0000-0000-000000000000"), named("email", "nobody"), named("id:other", "x"),
    named("phone", "555"),
)  # fmt: skip


class Record:
    """What stands on record, as a look-up answers it, to which anybody's digests may have been named."""

    named_alone = ANY_DIGEST

    def __init__(self):
        self.rows, self.found_grants, self.position, self.away = {}, {}, 1, False

    def seen(self, keys, *, numbered=False, beside=()):
        if self.away:
            raise Stale
        found, others = ([self.rows[key] for key in some if key in self.rows] for some in (keys, beside))
        found = tuple(found if numbered else [replace(each, seq=None) for each in found])
        return Seen(self.position, found, None, alike(found), beside=None if numbered or not beside else tuple(others))

    def grants(self, keys):
        found = [grant for key in keys for grant in self.found_grants.get(key, ())]
        return sorted(found, key=lambda grant: -grant.seq)

    def event(self, seq):
        if self.away:
            raise LookupRefused
        return None if seq % 7 == 0 else f"event {seq}"


class Noted(Deciding):
    """Keeps what it is told to count."""

    def __init__(self, *of):
        super().__init__(*of)
        self.noted = []

    def _note(self, issued, key, at, position):
        self.noted += [(draft.of(key, int(at.timestamp())), position) for _, draft in issued]

    async def _intend(self, ask, checked, going):
        raise AssertionError

    async def _withdraw(self, going):
        raise AssertionError


class CountedChecks(Checks):
    """Counts how often the rules are asked."""

    asked_rules = 0

    def decide(self, *of):
        self.asked_rules += 1
        return super().decide(*of)


class World:
    """One installation of which everything may change. `served`: answers that no rule was asked for."""

    def __init__(self, rng):
        self.rng, self.now = rng, datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.record, self.around = Record(), verdicts.any_office(rng)
        secrets = inside.secrets()
        self.recipients = self.any_recipients()
        people = People(secrets, self.clock, ("loyalty",))
        self.checks = CountedChecks(self.record, people, self.office, self.recipients, Places(), SHIPPED)
        self.decisions = Decisions(secrets, [f"r{number}" for number in range(8)])
        self.noted = Noted(self.checks, self.decisions, self.clock)
        self.log = DecisionLog(inside._made_once(), [f"r{number}" for number in range(6)], self.clock, lambda: None)
        self.consent = SimpleNamespace(
            checks=self.checks, recipients=self.recipients, clock=self.clock, send_window=timedelta(milliseconds=250)
        )
        self.answering = check_answer.Answering(self.consent, self.noted, Metrics(), self.log)
        self.offices, self.pool = {}, [self.any_body() for _ in range(QUESTIONS)]
        self.asked = self.served = 0
        self.rewrite()

    def clock(self):
        return self.now

    def office(self):
        return self._office_of(self.now.date(), self.around)

    @staticmethod
    @cache
    def _office_of(on, around):
        return replace(around, on=on)

    # --- what changes ---

    def change(self):
        """One thing, at random."""
        self.record.away = False
        self.rng.choice((self.another_day, self.configure, self.rewrite, self.look, self.listen, self.come_and_go))()

    def another_day(self):
        day = verdicts.any_day(self.rng) if self.rng.random() < 0.6 else self.now.date() + timedelta(days=1)
        self.now = datetime.combine(day, time(12), UTC)

    def configure(self):
        if self.rng.random() < 0.5:
            self.around = verdicts.any_office(self.rng)
        else:
            self.recipients = self.any_recipients()
            self.checks.recipients = self.consent.recipients = self.recipients

    def configure_buyer(self):
        """Somebody outside whom nothing but a person stops, on an ordinary day."""
        self.around, self.now = verdicts.OFFICE, datetime(2026, 11, 24, 12, tzinfo=UTC)
        self.recipients = {"r0": verdicts.buyer(purposes=(Purpose.SALE,), data=(DataClass.AD_ID,))}
        self.checks.recipients = self.consent.recipients = self.recipients

    def look(self):
        clinic = SensitivePlaces([Circle(CLINIC["lat"], CLINIC["lon"], 500)])
        self.checks.places = Places(sensitive=self.rng.choice([None, clinic]))

    def listen(self):
        purposes = frozenset(self.rng.sample(check.SIGNAL_PURPOSES, self.rng.randint(1, 3)))
        self.checks.hearing = self.rng.choice([SHIPPED, replace(SHIPPED, ad_choice_purposes=purposes)])

    def come_and_go(self):
        self.record.away = self.rng.random() < 0.3
        self.consent.send_window = timedelta(milliseconds=self.rng.choice([250, 40]))

    def rewrite(self):
        """What stands on record of everybody: few words, so that many are alike."""
        words = [Standing(verdicts.OUT_OF_ALL), *(verdicts.any_standing(self.rng) for _ in range(3))]
        self.record.rows, self.record.found_grants = {}, {}
        self.record.position += self.rng.randint(1, 9)
        for number in range(PEOPLE):
            for subject in self.checks._people.name(self.identifiers(number, 4)).subjects:
                for key in subject.keys[:1] if self.rng.random() < 0.6 else ():
                    word = replace(self.rng.choice(words), seq=self.rng.randint(1, 10**6))
                    if self.rng.random() < 0.2:
                        self.record.found_grants[key] = self.any_grants()
                        word = replace(word, granted=True)
                    self.record.rows[key] = word

    # --- questions ---

    def any_recipients(self):
        return {name: self._any_recipient(name) for name in (f"r{number}" for number in range(6))}

    def _any_recipient(self, name):
        found = verdicts.any_recipient(self.rng)
        purposes = verdicts.any_purposes(self.rng, found.role)
        return replace(found, name=name, purposes=purposes, data=tuple(self.rng.sample(USUAL, 3)))

    def any_grants(self):
        """What somebody allowed one recipient: the exact point for all that it is for; and its programme."""
        to = self.rng.choice([*self.recipients.values()])
        kinds = ((to.name, DataClass.PRECISE_GEO, GrantKind.OPTED_IN), (to.programme, None, GrantKind.PROGRAMME))
        return [
            Grant(name, purpose, of, self.rng.randint(1, 10**6), kind)
            for (name, of, kind) in kinds
            for purpose in to.purposes
        ]

    def any_body(self):
        """What is asked, of nobody."""
        rng, body = self.rng, {}
        names = [*(f"r{number}" for number in range(6)), *self.rng.sample(["r0", "r6"], 1)]  # r6 is nobody
        if rng.random() < 0.5:
            body["recipient"] = rng.choice(names)
        else:
            body["recipients"] = rng.sample(names, rng.randint(1, 5))
        some = {
            "purpose": lambda: rng.choice([*Purpose, "made up"]),
            "data": lambda: rng.sample([*USUAL, rng.choice([*DataClass, "made up %d"])], rng.randint(1, 3)),
            "place": lambda: rng.choice([*USUALLY, *verdicts.SOMEWHERE, ["US-CA", "US-NY"], "100 %"]),
            "age": lambda: rng.choice([*AGES, 12, 15, 40]),
            "count": lambda: rng.choice([0, 5, 40]),
            "collected": lambda: str(verdicts.any_day(rng)),
            "during_call": lambda: True,
            "dry_run": lambda: True,
        }
        return body | {name: make() for name, make in some.items() if rng.random() < OFTEN.get(name, 0.15)}

    def one_else(self, body):
        """The same question but for one member."""
        other = self.any_body()
        name = self.rng.choice([name for name in other if not name.startswith("recipient")] or ["place"])
        return {**body, name: other.get(name)}

    def identifiers(self, number, most):
        every = [
            named("gaid", gaid(number)), named("email", email(number)), named("account", f"a{number}"),
            named("phone", phone(number)),
        ]  # fmt: skip
        return every[:most]

    def of_somebody(self, body, share=1.0):
        """A body about a person, with what is said of that person alone."""
        rng = self.rng
        found = self.identifiers(rng.randrange(PEOPLE), rng.choice([0, 1, 1, 1, 1, 1, 2, 4]))
        said = {"identifiers": [*found, rng.choice(OTHERS)] if rng.random() < 0.1 else found}
        for name, values in (("signals", SIGNALS), ("geo", GEO), ("ip", ("203.0.113.9",)), ("ref", ("a % b", ""))):
            if rng.random() < 0.1 * share:
                said[name] = rng.choice(values)
        return {**body, **said}

    def question(self):
        """(body, whose key)."""
        rng = self.rng
        asked = rng.choice(self.pool)
        if rng.random() < 0.1:
            asked = self.one_else(asked)
        body = self.of_somebody(self.any_body() if rng.random() < 0.05 else asked)
        if rng.random() < 0.1:  # what a call says of everybody in it, beside
            shared = self.of_somebody({"place": rng.choice(verdicts.SOMEWHERE)}, share=2)
            body = {name: value for name, value in body.items() if name != "identifiers"}
            return Defaults(shared).check(body), rng.choice([AD_CODE, OFFICER])
        return wire.convert(body, wire.Check), rng.choice([AD_CODE, AD_CODE, OFFICER])

    # --- answers ---

    def ask(self):
        """One question, and what is wrong with its answer; empty where nothing is."""
        body, key = self.question()
        self.now += timedelta(milliseconds=self.rng.randint(0, 999))
        before, self.noted.noted = Counter(self.log._counts.get(self.now.date())), []
        rules = self.checks.asked_rules
        told = self.answering.at_once(body, key, "r").body
        self.asked, self.served = self.asked + 1, self.served + (rules == self.checks.asked_rules)
        ids = _ids_in(told)
        checked, ought = self.by_rules(body, key, ids)
        counts = self.log._counts[self.now.date()] - before
        logged = Counter(each.cell for each in self.log.logged(checked, "dry_run" if body.dry_run else "live", "check"))
        decisions = self.decisions_of(body, checked)
        found = [self.decisions.read(each) for each in ids]
        noted = [(each, checked.position) for each in decisions if each.stands is Stands.POSSIBLE]
        wrong = {
            "body": (told, ought), "ids": (found, decisions), "log": (counts, logged),
            "noted": (self.noted.noted, noted),
        }  # fmt: skip
        return {name: pair for name, pair in wrong.items() if pair[0] != pair[1]}

    def by_rules(self, body, key, ids):
        """What the rules say, asked anew and written down member by member."""
        numbered = key is OFFICER
        with mock.patch.object(check, "decide", verdicts.decide):
            checked = self.checks.check(to_ask(body, numbered=numbered))
        of_each = {
            name: self._verdict(name, checked, numbered, text)
            for (name, text) in zip(checked.verdicts, ids, strict=True)
        }
        window = self.consent.send_window
        told = {"verdicts": of_each} if body.recipients is not None else next(iter(of_each.values()))
        told = {
            **told,
            "position": checked.position,
            "valid_until": wire.stamp(self.now + window),
            "valid_for_ms": int(window.total_seconds() * 1000),
        }
        if body.ref is not None:
            told["ref"] = body.ref
        if body.dry_run:
            told["dry_run"] = True
        return checked, orjson.dumps(told)

    def _verdict(self, name, checked, numbered, decision):
        verdict = checked.verdicts[name]
        signal, choice = verdict.reason in check_answer.SIGNALS, verdict.reason in check_answer.CHOICES
        seq = verdict.seq if numbered and choice else None
        event = self.checks.event(seq) if seq is not None else None
        return {
            "allowed": set(verdict.data.values()) == {Answer.ALLOW},
            "partly": verdict.partly,
            "data": verdict.data,
            "reason": verdict.reason,
            "rule": verdict.rule,
            "place": verdict.place,
            "because": {
                "source": "signal" if signal else "choice" if choice else None,
                "event": event,
                "seq": seq if event else None,
            },
            "downstream": downstream(checked.outcome_for(name)),
            "decision": decision,
        }

    def decisions_of(self, body, checked):
        """What each id has to say."""
        found, key = [], checked.own[0] if checked.own else NOBODY
        for name, verdict in checked.verdicts.items():
            to = self.recipients.get(name)
            stated = {body.purpose} if body.purpose else set(to.purposes if to else ())
            going = {word for word, answer in verdict.data.items() if to and answer not in DENIED}
            if verdict.data.get("contact") == "hash":  # of which nothing else goes
                going = going - {"contact"} | ({"email_hash", "phone_hash"} if to else set())
            classes = (going - IMPERSONAL) or going or set(verdict.data)
            possible = going - IMPERSONAL and key != NOBODY and not body.dry_run
            found.append(
                Decision(
                    key, name if to else "", *in_order(frozenset(stated), frozenset(classes)),
                    int(self.now.timestamp()), Stands.POSSIBLE if possible else Stands.NOTHING, not going,
                )
            )  # fmt: skip
        return found


def _ids_in(told):
    found = orjson.loads(told)
    return [each["decision"] for each in found["verdicts"].values()] if "verdicts" in found else [found["decision"]]


def first_wrong(rng, questions, *, each=300, world=World):
    """Asks so many, with a change after `each`; what is wrong with the first wrong answer, or the world in which all
    were right.
    """
    made = world(rng)
    for number in range(questions):
        if number % each == each - 1:
            made.change()
        if wrong := made.ask():
            return wrong
    return made
