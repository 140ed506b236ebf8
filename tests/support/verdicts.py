"""Questions for the verdict: a buyer whom nothing but the person or the law stops, and rows of verdicts.json read."""

import inspect
import json
import tomllib
from datetime import date
from functools import lru_cache
from pathlib import Path
from random import Random

from gateway.choice import law, verdict
from gateway.choice.law import AGES
from gateway.choice.question import ALL_TOLD, NOTHING, Gap, Grant, Naming, Notices, Office, Question, Ruling
from gateway.choice.recipient import Recipient
from gateway.choice.rules.case import NOT_PERSONAL, Rule
from gateway.choice.standing import IN, OUT, Standing, out_bits, with_state
from gateway.choice.verdict import STRICTNESS
from gateway.signals.hear import from_call
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Answer, DataClass, GrantKind, Purpose, Reason, Role
from support.examples import TIMES
from support.signals import ADCHOICES_OUT, GPP_GPC, GPP_OUT, TC_CONSENT, TC_WITHOUT_ANY

TODAY = date(2026, 11, 24)
TABLES = Path(law.__file__).parent / "tables"
LAW = law.parse_law(tomllib.loads(file.read_text()) for file in sorted(TABLES.glob("*.toml")))
OFFICE = Office(LAW, TODAY)
FILE = Path(__file__).parent.parent / "vectors" / "verdicts.json"
BITS = {"out": OUT, "in": IN}
decide = inspect.unwrap(verdict.decide)  # remembers nothing: tests change the rules under it
THIRD = (Role.THIRD_PARTY, Role.AFFILIATE)
PERSONAL = tuple(data_class for data_class in DataClass if data_class not in NOT_PERSONAL)
PLACES = sorted({row.place for row in LAW.rows} - {"US"})  # those that a table names
OUT_OF_ALL = out_bits(SIGNAL_PURPOSES)
IN_FOR_ALL = sum(with_state(0, purpose, IN) for purpose in CHOOSABLE)
VENDOR = 2  # whom TC_CONSENT lets advertise
CONSENTS = from_call({"tc": TC_CONSENT, "gdpr": 1})
SAID = {  # every signal that says no to all three purposes
    name: from_call(signals)
    for name, signals in {
        "gpc": {"gpc": "1"},
        "us_privacy": {"us_privacy": "1YYN"},
        "gpp": {"gpp": GPP_GPC},
        "tcf": {"tc": TC_WITHOUT_ANY},
        "stored": {"stored": {"gad_rdp": 1}},
        "cookie": {"cookies": "usprivacy=1yyn"},
        "cmp_cookie": {"cookies": "OptanonConsent=groups=OSSTA_BG:0"},
        "att": {"att": 0},
        "lmt": {"lmt": 1},
        "dnt": {"dnt": 1},
        "malformed": {"us_privacy": "?"},
        "unread": {"gpp": "DBAA~"},
    }.items()
}
PARTLY = {  # those that name some of them
    name: from_call(signals)
    for name, signals in {
        "gpp": {"gpp": GPP_OUT},
        "additional_consent": {"ac": "1~"},
        "ad_choices": {"adchoices": ADCHOICES_OUT},
        "cmp_cookie": {"cookies": "OptanonConsent=groups=C0004:0"},
    }.items()
}


def without(monkeypatch, name):
    """A verdict that lacks one rule."""
    monkeypatch.setattr(verdict, "ORDER", tuple(rule for rule in verdict.ORDER if rule.name != name))


def plant(monkeypatch, apply):
    """A verdict with a fault: a rule before all others."""
    monkeypatch.setattr(verdict, "ORDER", (Rule("fault", "What would be wrong?", apply), *verdict.ORDER))


def allowing(condition):
    """A fault: whoever it is true of is allowed."""
    return lambda case: Ruling(Answer.ALLOW, Reason.NO_CHOICE, "a fault") if condition(case) else None


def not_looser(stricter, looser):
    return all(STRICTNESS[stricter.data[name]] >= STRICTNESS[answer] for name, answer in looser.data.items())


def rows():
    return json.loads(FILE.read_text())["rows"]


def buyer(role=Role.THIRD_PARTY, **changes):
    registered = {"purposes": tuple(Purpose), "data": tuple(DataClass), "contract": "MSA-7", "transfer_basis": "scc"}
    return Recipient("buyer", role, **registered | changes)


def bits(states):
    return sum(with_state(0, Purpose(name), BITS[word]) for name, word in states.items())


def day(text):
    return date.fromisoformat(text) if text else None


def standing(told):
    return Standing(
        own=bits(told.get("own", {})),
        travelled=bits(told.get("travelled", {})),
        age_band=told.get("age_band"),
        seq=told.get("seq"),
        informed=bits(told.get("informed", {})),
        parental=bits(told.get("parental", {})),
        grown=told.get("grown", False),
        told=day(told.get("told")),
        cpni_told=day(told.get("cpni_told")),
        linked=told.get("linked", False),
    )


def recipient(ask):
    kept = ("contract", "transfer_basis", "same_brand", "surface", "tcf_vendor", "programme", "unlinked")
    changes = {name: ask[name] for name in kept if name in ask}
    if "announced" in ask:
        changes["announced"] = day(ask["announced"])
    return buyer(
        Role(ask.get("role", "third_party")),
        contract_until=day(ask.get("contract_until")),
        purposes=tuple(Purpose(name) for name in ask.get("registered_purposes", Purpose)),
        data=tuple(DataClass(name) for name in ask.get("registered_data", DataClass)),
        announced_later={name: day(text) for name, text in ask.get("announced_later", {}).items()},
        **changes,
    )


def grant(told):
    data_class = told.get("data_class")
    return Grant(
        told["recipient"],
        Purpose(told["purpose"]),
        DataClass(data_class) if data_class else None,
        told["seq"],
        GrantKind(told.get("kind", "opted_in")),
    )


def question(ask):
    return Question(
        recipient(ask),
        purposes=tuple(Purpose(name) for name in ask.get("purposes", ["sale"])),
        data=tuple(DataClass(name) for name in ask["data"]),
        places=frozenset(ask["places"]),
        age=ask.get("age"),
        heard=from_call(ask.get("signals", {})),
        standings=tuple(standing(told) for told in ask.get("standings", ())),
        grants=tuple(grant(told) for told in ask.get("grants", ())),
        limited=ask.get("limited", False),
        count=ask.get("count"),
        collected=day(ask.get("collected", "2026-11-24")),
        during_call=ask.get("during_call", False),
        sensitive=ask.get("sensitive", False),
        naming=Naming(**dict.fromkeys(ask.get("naming", ()), True)),
    )


def office(ask):
    gaps = tuple(
        Gap(day(gap["from"]), day(gap["until"]), gap.get("surface", "")) for gap in ask.get("without_notice", ())
    )
    return Office(
        LAW,
        day(ask.get("on", "2026-11-24")),
        ask.get("age_floor", 16),
        Notices(day(ask.get("told_everyone")) or date.max, gaps),
        least_count=ask.get("least_count", 10),
        cpni=ask.get("cpni", True),
    )


# --- people at random: most of a question is harmless, so that often one thing alone decides -------------------------

SOMEWHERE = (
    "US-CA", "US-CO", "US-CT", "US-MD", "US-OR", "US-NY", "US-VT", "US-WA", "US-WY", "US-PR", "US", "US-ZZ", "ZZ",
    "unknown", "DE", "FR-IDF", "GB", "CH", "CA", "CA-QC", "BR",
)  # fmt: skip
ROLES = (*[Role.THIRD_PARTY] * 5, *[Role.AFFILIATE] * 2, *[Role.SERVICE_PROVIDER] * 3, *Role)
USUAL = {
    Role.SERVICE_PROVIDER: tuple(purpose for purpose in Purpose if purpose not in {*SIGNAL_PURPOSES, Purpose.TRANSFER}),
    Role.CONSUMER_DIRECTED: (Purpose.SERVICE, Purpose.SALE),
    Role.LEGAL: (Purpose.LEGAL, Purpose.SECURITY),
    Role.SUCCESSOR: (Purpose.TRANSFER, Purpose.SALE),
}
POSSIBLE = (*[DataClass.PRECISE_GEO] * 6, *[DataClass.CPNI] * 2, *PERSONAL)
HEARD = (*[CONSENTS] * 6, *SAID.values(), *PARTLY.values())
OUT_OR_IN = (OUT, IN, IN, IN)


@lru_cache(maxsize=1)
def people():
    """(question, office) of so many people, the same in every run; SOAK=1 looks at five times as many."""
    return [(any_question(rng), any_office(rng)) for rng in map(Random, range(3000 * TIMES))]


def maybe(rng, chance, make, otherwise=None):
    return make() if rng.random() < chance else otherwise


def any_day(rng, first=date(2024, 1, 1), last=date(2029, 1, 1)):
    return date.fromordinal(rng.randint(first.toordinal(), last.toordinal()))


def any_recipient(rng):
    role = rng.choice(ROLES)
    return buyer(
        role,
        data=maybe(rng, 0.15, lambda: tuple(rng.sample(list(DataClass), 6)), tuple(DataClass)),
        contract=maybe(rng, 0.04, str, "MSA-7"),
        contract_until=maybe(rng, 0.15, lambda: any_day(rng)),
        transfer_basis=maybe(rng, 0.15, str, "scc"),
        same_brand=role is Role.AFFILIATE and rng.random() < 0.3,
        announced=maybe(rng, 0.8, lambda: date.min, maybe(rng, 0.7, lambda: any_day(rng))),
        announced_later=maybe(rng, 0.1, lambda: {rng.choice([*Purpose, *DataClass]): any_day(rng)}, {}),
        surface=rng.choice(["", "web", "app"]),
        tcf_vendor=rng.choice([0, VENDOR, 7]),
        programme=maybe(rng, 0.3, lambda: "club", ""),
    )


def any_standing(rng):
    own = travelled = 0
    for purpose in rng.sample(CHOOSABLE, rng.choice([0, 1, 2, 4])):
        own = with_state(own, purpose, rng.choice(OUT_OR_IN))
    if rng.random() < 0.1:
        travelled = out_bits(rng.sample(CHOOSABLE, 2))
    yes = own & IN_FOR_ALL
    return Standing(
        own,
        travelled,
        maybe(rng, 0.2, lambda: rng.choice(AGES)),
        rng.randint(1, 99),
        informed=maybe(rng, 0.5, lambda: yes, 0),
        parental=maybe(rng, 0.4, lambda: yes, 0),
        grown=rng.random() < 0.1,
        told=maybe(rng, 0.3, lambda: any_day(rng)),
        cpni_told=maybe(rng, 0.5, lambda: any_day(rng)),
    )


def any_grant(rng, purposes, data):
    return Grant(
        rng.choice(["buyer", "buyer", "buyer", "club", "other"]),
        rng.choice([*purposes, *purposes, rng.choice(CHOOSABLE)]),
        rng.choice([None, *data]),
        rng.randint(1, 99),
        rng.choice([GrantKind.OPTED_IN, *GrantKind]),
    )


def any_purposes(rng, role):
    """Mostly what such a recipient does."""
    if rng.random() < 0.1:
        return tuple(rng.sample(list(Purpose), 2))
    usual = USUAL.get(role, CHOOSABLE)
    return tuple(rng.sample(usual, min(rng.choice([1, 1, 1, 2]), len(usual))))


def any_data(rng):
    if rng.random() < 0.1:
        return tuple(rng.sample(list(DataClass), 3))
    return tuple(dict.fromkeys(rng.sample(POSSIBLE, rng.choice([1, 1, 1, 2]))))


def any_question(rng):
    receiver = any_recipient(rng)
    purposes, data = any_purposes(rng, receiver.role), any_data(rng)
    return Question(
        receiver,
        purposes,
        data,
        frozenset(rng.sample(SOMEWHERE, rng.choice([0, 1, 1, 1, 1, 2]))),
        maybe(rng, 0.3, lambda: rng.choice([*AGES, "infant"])),
        maybe(rng, 0.3, lambda: rng.choice(HEARD), NOTHING),
        tuple(any_standing(rng) for _ in range(rng.choice([0, 1, 1, 2]))),
        tuple(any_grant(rng, purposes, data) for _ in range(rng.choice([0, 1, 1, 3]))),
        rng.random() < 0.04,
        rng.choice([None, 5, 10, 40]),
        maybe(rng, 0.7, lambda: any_day(rng)),
        rng.random() < 0.1,
        naming=Naming(*(rng.random() < share for share in (0.2, 0.03, 0.02, 0.02))),
    )


def any_office(rng):
    on = any_day(rng) if rng.random() < 0.8 else any_day(rng, date(2019, 1, 1), date(2036, 1, 1))
    notices = ALL_TOLD
    if rng.random() < 0.2:
        start = any_day(rng)
        gap = Gap(start, date.fromordinal(start.toordinal() + 400), rng.choice(["", "web", "app"]))
        notices = Notices(any_day(rng), (gap,) * rng.randint(0, 1))
    return Office(LAW, on, rng.choice([0, 0, 16]), notices, cpni=rng.random() < 0.85)
