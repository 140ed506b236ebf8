"""What is remembered of answers is what would be answered anew, and names the entry of the person who asks."""

from dataclasses import fields, replace

import pytest
from support.verdicts import decide, people

from gateway.choice import standing as standing_of
from gateway.choice import verdict
from gateway.choice.standing import Standing, alike, unnumbered
from gateway.consent import site
from gateway.signals.heard import Heard
from gateway.terms import Reason


def each_with_an_entry():
    """People at random, each of whose standings has an entry of its own."""
    for number, (asking, office) in enumerate(people()):
        rows = [replace(row, seq=10 * number + index) for index, row in enumerate(asking.standings)]
        yield asking._replace(standings=tuple(rows)), office


def remembered_is_fresh(alike=alike):
    named = 0
    for asking, office in each_with_an_entry():
        bare, fresh = asking._replace(standings=alike(asking.standings)), decide(asking, office)
        for _ in range(2):  # made, and remembered
            found = verdict.numbered(verdict.decide(bare, office), bare.standings, asking.standings)
            assert found._replace(by=fresh.by) == fresh, asking
        named += found.reason is Reason.OPTED_OUT and found.seq == asking.standings[fresh.by].seq
    assert named > 100


@pytest.mark.slow
def test_an_answer_that_is_remembered_is_the_one_that_would_be_made_and_names_the_persons_own_entry():
    remembered_is_fresh()


@pytest.mark.parametrize("column", ["own", "travelled", "age_band", "parental", "grown"])
def test_if_people_who_differ_in_a_column_counted_as_alike_the_property_would_fail(column):
    default = next(each.default for each in fields(Standing) if each.name == column)
    verdict.decide.cache_clear()
    with pytest.raises(AssertionError):
        remembered_is_fresh(lambda rows: alike(replace(row, **{column: default}) for row in rows))


def test_if_the_entry_were_remembered_too_it_would_be_somebody_elses(monkeypatch):
    monkeypatch.setattr(verdict, "numbered", lambda found, *_: found)
    with pytest.raises(AssertionError):
        remembered_is_fresh()


def test_whatever_tells_two_people_apart_but_the_entry_is_a_column_that_counts():
    one = Standing()
    for each in fields(Standing):
        other = replace(one, **{each.name: "other" if each.name != "held" else frozenset({"other"})})
        assert (unnumbered(one) == unnumbered(other)) is (each.name == "seq")
    assert unnumbered(replace(one, seq=1)) is unnumbered(replace(one, seq=2))
    assert standing_of.COLUMNS(one) == tuple(getattr(one, each.name) for each in fields(one) if each.name != "seq")


def outcomes(made):
    return [
        made(asking.places, site.widened(asking.heard.denied), asking.heard.gpc, asking.standings, asking.age, office)
        for asking, office in people()[:1000]
    ]


def test_what_holds_for_a_person_is_remembered_as_it_would_be_made(monkeypatch):
    remembered = [outcomes(site.outcome_of) for _ in range(2)]
    monkeypatch.setattr(site, "what_may", site.what_may.__wrapped__)
    monkeypatch.setattr(site, "decide", decide)
    fresh = outcomes(site.outcome_of.__wrapped__)
    assert remembered == [fresh, fresh]
    assert len(set(fresh)) > 10


def test_if_it_were_remembered_without_the_standing_the_property_would_fail(monkeypatch):
    monkeypatch.setattr(site, "decide", decide)
    forgetful = outcomes(lambda places, said, gpc, _, age, office: site.outcome_of(places, said, gpc, (), age, office))
    assert forgetful != outcomes(site.outcome_of.__wrapped__)


def test_equal_requests_are_found_by_each_other():
    assert hash(Heard(vendors=frozenset({1}))) == hash(Heard(vendors=frozenset({1})))
    assert Heard() != Heard(vendors=frozenset({1}))
