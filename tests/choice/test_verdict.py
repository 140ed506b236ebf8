"""The verdict: decisions as data, and the properties that no decision may break (R3, R13)."""

import itertools
import json
import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.signals import ADCHOICES_OUT, GPP_GPC, GPP_OUT, OPT_OUTS, OTHERS, TC_WITHOUT_ANY, mixes

from gateway.choice import law, verdict
from gateway.choice.law import AGES
from gateway.choice.recipient import Recipient
from gateway.choice.standing import IN, OUT, Standing, out_bits, with_state
from gateway.choice.verdict import NOT_PERSONAL, STRICTNESS, Grant, Office, Question, decide, deny_all
from gateway.signals.hear import from_call
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES, Answer, DataClass, Purpose, Reason, Role

QUICKLY = settings(max_examples=150, deadline=1000)
TODAY = date(2026, 11, 24)
TABLES = Path(law.__file__).parent / "tables"
LAW = law.parse(tomllib.loads(file.read_text()) for file in sorted(TABLES.glob("*.toml")))
OFFICE = Office(LAW, TODAY)
VERDICTS = json.loads((Path(__file__).parent.parent / "vectors" / "verdicts.json").read_text())["rows"]
PERSONAL = tuple(data_class for data_class in DataClass if data_class not in NOT_PERSONAL)
THIRD = (Role.THIRD_PARTY, Role.AFFILIATE)
PLACES = ("US-CA", "US-CO", "US-MD", "US-OR", "US-WY", "US-PR", "US", "DE", "US-ZZ", "")
OUT_OF_ALL = out_bits(SIGNAL_PURPOSES)
IN_FOR_ALL = sum(with_state(0, purpose, IN) for purpose in CHOOSABLE)
RECORDED = {  # where an opt-out that is on record may stand: on which identifier, said there or travelled to it
    "its own": (Standing(own=OUT_OF_ALL),),
    "travelled": (Standing(travelled=OUT_OF_ALL),),
    "travelled to one that opted in": (Standing(own=IN_FOR_ALL, travelled=OUT_OF_ALL),),
    "another identifier": (Standing(own=IN_FOR_ALL, granted=True), Standing(), Standing(own=OUT_OF_ALL)),
}
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


def buyer(role=Role.THIRD_PARTY, **changes):
    registered = {"purposes": tuple(Purpose), "data": tuple(DataClass), "contract": "MSA-7"}
    return Recipient("buyer", role, **registered | changes)


def bits(states):
    return sum(with_state(0, Purpose(name), {"out": OUT, "in": IN}[word]) for name, word in states.items())


def standing(told):
    kept = {name: told[name] for name in ("age_band", "seq") if name in told}
    return Standing(own=bits(told.get("own", {})), travelled=bits(told.get("travelled", {})), **kept)


def asked(ask):
    """The question of one row of verdicts.json, and the office that it is asked of."""
    until = ask.get("contract_until")
    recipient = buyer(
        Role(ask.get("role", "third_party")),
        contract=ask.get("contract", "MSA-7"),
        contract_until=date.fromisoformat(until) if until else None,
        purposes=tuple(Purpose(name) for name in ask.get("registered_purposes", Purpose)),
        data=tuple(DataClass(name) for name in ask.get("registered_data", DataClass)),
    )
    question = Question(
        recipient,
        purposes=tuple(Purpose(name) for name in ask.get("purposes", ["sale"])),
        data=tuple(DataClass(name) for name in ask["data"]),
        places=frozenset(ask["places"]),
        age=ask.get("age"),
        heard=from_call(ask.get("signals", {})),
        standings=tuple(standing(told) for told in ask.get("standings", ())),
        grants=tuple(
            Grant(told["recipient"], Purpose(told["purpose"]), DataClass(told["data_class"]), told["seq"])
            for told in ask.get("grants", ())
        ),
        limited=ask.get("limited", False),
    )
    return question, Office(LAW, date.fromisoformat(ask.get("on", "2026-11-24")), ask.get("age_floor", 16))


@pytest.mark.parametrize("row", VERDICTS, ids=lambda row: row["because"])
def test_a_decision_is_the_one_on_file(row):
    answer = row["answer"]
    decided = decide(*asked(row["ask"]))
    assert decided.data == answer["data"], row["rule"]
    assert decided.reason == answer["reason"], row["rule"]
    assert answer.get("cites", "") in decided.rule
    assert decided.seq == answer.get("seq", decided.seq)
    assert decided.allowed == (set(answer["data"].values()) == {"allow"})
    assert decided.partly == (not decided.allowed and set(answer["data"].values()) != {"deny"})
    assert decided.place == (",".join(sorted(row["ask"]["places"])) or "unknown")


def test_the_decisions_on_file_cover_every_role_place_and_reason_that_rules_give():
    assert len(VERDICTS) >= 40
    assert all(row["rule"] for row in VERDICTS)
    assert {row["ask"].get("role", "third_party") for row in VERDICTS} == set(Role)
    places = {place for row in VERDICTS for place in row["ask"]["places"] or ["unknown"]}
    assert places >= {"US-CA", "US-CO", "US-MD", "US-OR", "US-WY", "unknown", "DE", "US"}
    given_by_the_caller = {"unknown_recipient", "unknown_purpose", "unlinked", "no_identifier", "undeclared_identifier",
                           "malformed", "stale", "store_unavailable"}  # fmt: skip
    assert {row["answer"]["reason"] for row in VERDICTS} == set(Reason) - given_by_the_caller


def every_opt_out(sources):
    """R3's cases, all of them: place x role x class x purpose x source of the opt-out."""
    for place, role, data_class, purpose in itertools.product(PLACES, THIRD, PERSONAL, SIGNAL_PURPOSES):
        places = frozenset({place} - {""})
        grants = (Grant("buyer", purpose, data_class, 1),)
        question = Question(buyer(role), (purpose,), (data_class,), places, grants=grants)
        for name, source in sources.items():
            heard = {"heard": source} if name in SAID else {"standings": source}
            yield name, replace(question, **heard)


def opted_out_means_deny(sources):
    for name, question in every_opt_out(sources):
        decided = decide(question, OFFICE)
        assert set(decided.data.values()) == {Answer.DENY}, (name, question)


@pytest.mark.parametrize("name", RECORDED)
def test_a_person_on_record_as_opted_out_is_denied_to_every_third_party_and_affiliate_everywhere(name):
    opted_out_means_deny({name: RECORDED[name]})


@pytest.mark.parametrize("name", SAID)
def test_a_person_whose_request_says_no_is_denied_to_every_third_party_and_affiliate_everywhere(name):
    opted_out_means_deny({name: SAID[name]})


@pytest.mark.parametrize("name", PARTLY)
def test_a_request_that_refuses_one_use_ends_the_others_at_a_third_party_whatever_was_said_yes_to_before(name):
    """R3, R25: underneath, giving it personal data is one of the three."""
    for role, purpose, data_class in itertools.product(
        THIRD, SIGNAL_PURPOSES, (DataClass.AD_ID, DataClass.PRECISE_GEO)
    ):
        grants = (Grant("buyer", purpose, data_class, 1),)
        asking = Question(buyer(role), (purpose,), (data_class,), frozenset({"US-CA"}), heard=PARTLY[name])
        for before in ({}, {"standings": (Standing(own=IN_FOR_ALL),)}, {"grants": grants}):
            refused = decide(replace(asking, **before), OFFICE)
            assert (set(refused.data.values()), refused.reason) == ({Answer.DENY}, Reason(name))


@pytest.mark.parametrize("role", THIRD)
def test_a_person_comes_back_to_a_third_party_purpose_by_purpose(role):
    """The ledger records a no to one of the three as a no to all of them; a yes takes that one alone back."""
    for said_yes, purpose in itertools.product(SIGNAL_PURPOSES, CHOOSABLE):
        back = Standing(own=with_state(OUT_OF_ALL, said_yes, IN))
        asking = Question(buyer(role), (purpose,), (DataClass.AD_ID,), frozenset({"US-CA"}), standings=(back,))
        assert decide(asking, OFFICE).allowed == (purpose is said_yes)


@pytest.mark.parametrize("name", PARTLY)
def test_a_refusal_of_one_use_leaves_a_service_provider_the_others(name):
    for purpose in SIGNAL_PURPOSES:
        provider = buyer(Role.SERVICE_PROVIDER)
        asking = Question(provider, (purpose,), (DataClass.AD_ID,), frozenset({"US-CA"}), heard=PARTLY[name])
        assert decide(asking, OFFICE).allowed == (purpose not in PARTLY[name].denied)


@pytest.mark.parametrize("name", RECORDED)
def test_without_the_rule_on_recorded_opt_outs_the_property_fails(monkeypatch, name):
    monkeypatch.setattr(verdict, "ORDER", tuple(rule for rule in verdict.ORDER if rule.__name__ != "_explicit"))
    with pytest.raises(AssertionError):
        opted_out_means_deny({name: RECORDED[name]})


@pytest.mark.parametrize("name", SAID)
def test_without_the_rule_on_signals_the_property_fails(monkeypatch, name):
    monkeypatch.setattr(verdict, "ORDER", tuple(rule for rule in verdict.ORDER if rule.__name__ != "_in_band"))
    with pytest.raises(AssertionError):
        opted_out_means_deny({name: SAID[name]})


ROWS = st.dictionaries(st.sampled_from(CHOOSABLE), st.sampled_from(["out", "in"]), max_size=5).map(bits)
STANDINGS = st.builds(Standing, own=ROWS, travelled=ROWS, age_band=st.sampled_from([None, *AGES]), seq=st.just(7))
GRANTS = st.builds(
    Grant,
    st.sampled_from(["buyer", "other"]),
    st.sampled_from(CHOOSABLE),
    st.sampled_from([DataClass.PRECISE_GEO, DataClass.AD_ID]),
    st.integers(1, 9),
)
QUESTIONS = st.builds(
    Question,
    recipient=st.builds(
        buyer,
        st.sampled_from(Role),
        data=st.lists(st.sampled_from(DataClass), min_size=1, unique=True).map(tuple),
        contract=st.sampled_from(["MSA-7", "MSA-7", ""]),
    ),
    purposes=st.lists(st.sampled_from(CHOOSABLE), min_size=1, max_size=3).map(tuple),
    data=st.lists(st.sampled_from(DataClass), min_size=1, max_size=4, unique=True).map(tuple),
    places=st.frozensets(st.sampled_from([place for place in PLACES if place]), max_size=3),
    age=st.sampled_from([None, *AGES, "infant"]),
    heard=st.sampled_from([from_call({}), *SAID.values(), *PARTLY.values()]),
    standings=st.lists(STANDINGS, max_size=3).map(tuple),
    grants=st.lists(GRANTS, max_size=2).map(tuple),
    limited=st.booleans(),
)
OFFICES = st.builds(Office, st.just(LAW), st.dates(date(2019, 1, 1), date(2036, 1, 1)), st.sampled_from([0, 16]))


def opted_out_property():
    """R3 over questions of any kind that nothing else refuses: only the recorded opt-out stands in the way."""

    @settings(QUICKLY, database=None, report_multiple_bugs=False, phases=[Phase.generate])
    @given(QUESTIONS, st.sampled_from(THIRD), st.sampled_from(SIGNAL_PURPOSES), st.booleans())
    def holds(question, role, purpose, travelled):
        said = Standing(travelled=out_bits([purpose])) if travelled else Standing(own=out_bits([purpose]))
        asking = replace(
            question,
            recipient=buyer(role),
            purposes=(purpose,),
            standings=(*question.standings, said),
            heard=verdict.NOTHING,
            limited=False,
        )
        for name, answer in decide(asking, OFFICE).data.items():
            assert answer is Answer.DENY or name in NOT_PERSONAL

    return holds


def test_no_place_age_consent_or_date_opens_what_a_person_has_closed():
    opted_out_property()()


def test_the_property_over_all_questions_fails_without_its_rule(monkeypatch):
    monkeypatch.setattr(verdict, "ORDER", tuple(rule for rule in verdict.ORDER if rule.__name__ != "_explicit"))
    with pytest.raises(AssertionError):
        opted_out_property()()


def not_looser(stricter, looser):
    return all(STRICTNESS[stricter.data[name]] >= STRICTNESS[answer] for name, answer in looser.data.items())


@QUICKLY
@given(QUESTIONS, OFFICES, st.sampled_from([place for place in PLACES if place]))
def test_one_more_known_place_never_opens_anything(question, office, place):
    """R13: a VPN, the form or the caller can only add. (No place at all is already the strictest regime.)"""
    known = replace(question, places=question.places | {"US-WY"})
    assert not_looser(decide(replace(known, places=known.places | {place}), office), decide(known, office))


@QUICKLY
@given(QUESTIONS, OFFICES, st.lists(st.sampled_from(CHOOSABLE), max_size=3), st.sampled_from(list(SAID.values())))
def test_one_more_refusal_never_opens_anything(question, office, purposes, heard):
    more = (*question.standings, Standing(travelled=out_bits(purposes)))
    before = decide(question, office)
    assert not_looser(decide(replace(question, standings=more), office), before)
    assert not_looser(decide(replace(question, limited=True), office), before)
    if not question.heard.said:
        assert not_looser(decide(replace(question, heard=heard), office), before)


@QUICKLY
@given(QUESTIONS, OFFICES, mixes(OTHERS), mixes(OPT_OUTS))
def test_one_more_opt_out_among_any_signals_of_a_call_never_opens_anything(question, office, said, added):
    """Whoever asks, for whatever purpose."""
    more = {**added, **said}
    before, after = (decide(replace(question, heard=from_call(signals)), office) for signals in (said, more))
    assert not_looser(after, before)


@QUICKLY
@given(QUESTIONS, OFFICES, mixes(OTHERS), st.sampled_from(OPT_OUTS["cookies"]))
def test_one_more_refusing_cookie_in_a_call_never_opens_anything(question, office, said, cookie):
    jar = said.get("cookies", "")
    more = {**said, "cookies": f"{jar}; {cookie}" if isinstance(jar, str) else jar}
    before, after = (decide(replace(question, heard=from_call(signals)), office) for signals in (said, more))
    assert not_looser(after, before)


@QUICKLY
@given(QUESTIONS, OFFICES)
def test_every_question_has_one_answer_a_class_and_one_reason(question, office):
    decided = decide(question, office)
    assert list(decided.data) == list(question.data)
    assert decided.allowed == all(answer is Answer.ALLOW for answer in decided.data.values())
    assert not (decided.allowed and decided.partly)
    assert decided.rule
    again = replace(question, recipient=replace(question.recipient))  # another object: nothing remembered helps
    assert decide(again, office) == decided


@QUICKLY
@given(QUESTIONS, OFFICES, st.permutations(list(DataClass)))
def test_a_class_is_answered_the_same_alone_and_beside_others(question, office, data):
    data = [
        data_class for data_class in data if data_class not in {*NOT_PERSONAL, DataClass.KEYWORDS}
    ]  # these mind their company (R20, R28)
    together = decide(replace(question, data=tuple(data)), office).data
    for data_class in data:
        assert decide(replace(question, data=(data_class,)), office).data == {data_class: together[data_class]}


@QUICKLY
@given(QUESTIONS, OFFICES)
def test_several_purposes_are_as_strict_as_the_strictest_of_them(question, office):
    alone = [decide(replace(question, purposes=(purpose,)), office).data for purpose in question.purposes]
    for name, answer in decide(question, office).data.items():
        assert STRICTNESS[answer] == max(STRICTNESS[each[name]] for each in alone)


@QUICKLY
@given(QUESTIONS, OFFICES)
def test_no_third_party_has_a_precise_point_without_an_opt_in_that_names_it(question, office):
    """R7, in every place; and without a contract it has nothing."""
    third = replace(question, recipient=replace(question.recipient, role=Role.THIRD_PARTY))
    decided = decide(replace(third, data=(DataClass.PRECISE_GEO,)), office)
    if decided.allowed:
        named = {(grant.recipient, grant.purpose, grant.data_class) for grant in question.grants}
        assert {("buyer", purpose, DataClass.PRECISE_GEO) for purpose in question.purposes} <= named
        assert third.recipient.contract


def test_a_verdict_on_nothing_allows_nothing():
    decided = decide(Question(buyer(), (Purpose.SALE,), (), frozenset({"US-CA"})), OFFICE)
    assert (decided.data, decided.allowed, decided.partly, decided.reason) == ({}, False, False, Reason.MALFORMED)


def test_a_refusal_without_rules_denies_every_class_that_was_named():
    refused = deny_all(["ad_id", "zzz"], Reason.STORE_UNAVAILABLE)
    assert refused.data == {"ad_id": "deny", "zzz": "deny"}
    assert (refused.allowed, refused.partly, refused.place) == (False, False, "unknown")


@pytest.mark.parametrize(
    ("place", "age", "standing", "reason"),
    [
        ("US-MD", "16_17", Standing(own=IN_FOR_ALL), Reason.BANNED),  # L72: no consent unlocks it
        ("US-CT", "16_17", Standing(own=IN_FOR_ALL), Reason.BANNED),
        ("US-CA", "13_15", Standing(), Reason.OPT_IN_REQUIRED),  # L71
        ("US-CA", "13_15", Standing(own=IN_FOR_ALL), Reason.OPTED_IN),
        ("US-CA", "16_17", Standing(), Reason.NO_CHOICE),
        ("US-DE", "16_17", Standing(), Reason.OPT_IN_REQUIRED),  # L73
        ("US-WY", "under_13", Standing(), Reason.OPT_IN_REQUIRED),  # COPPA, where no state has a law
        ("US-WY", "adult", Standing(), Reason.NO_CHOICE),
    ],
)
def test_where_the_operator_has_no_floor_the_law_protects_the_young(place, age, standing, reason):
    buyer = Recipient("buyer", Role.THIRD_PARTY, (Purpose.SALE,), (DataClass.AD_ID,), contract="c")
    asked = Question(buyer, (Purpose.SALE,), (DataClass.AD_ID,), frozenset({place}), age, standings=(standing,))
    assert decide(asked, Office(LAW, TODAY)).reason is reason
    recorded = replace(asked, age="adult", standings=(replace(standing, age_band=age),))  # the youngest known holds
    assert decide(recorded, Office(LAW, TODAY)).reason is reason


def test_a_sale_of_precise_location_is_banned_from_the_day_that_the_table_says():
    buyer = Recipient("buyer", Role.THIRD_PARTY, (Purpose.SALE,), (DataClass.PRECISE_GEO,), contract="c")
    granted = (Grant("buyer", Purpose.SALE, DataClass.PRECISE_GEO, 1),)
    for place, day in (("US-CT", date(2026, 10, 1)), ("US-VA", date(2026, 7, 1)), ("US-OR", date(2026, 1, 1))):
        asked = Question(buyer, (Purpose.SALE,), (DataClass.PRECISE_GEO,), frozenset({place}), grants=granted)
        assert decide(asked, Office(LAW, day - timedelta(days=1))).allowed
        assert not decide(asked, Office(LAW, day)).allowed
