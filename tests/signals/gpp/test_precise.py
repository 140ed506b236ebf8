"""Precise geolocation in a GPP string: refused is what a person, or the state's default, says no to."""

import pytest
from support.strings import us_fields

from gateway.signals import gpp
from gateway.signals.gpp import header, precise_refused, us
from gateway.signals.gpp.layouts import SECTIONS
from gateway.signals.heard import Reading

WITH_PRECISE = [section for section in SECTIONS if section.precise is not None]


class Fixed:
    """A source of chances that always takes the first choice."""

    def choice(self, options):
        return options[0]

    def random(self):
        return 0.0


def string(section, item):
    fields = us_fields(Fixed(), section, whole=True)
    items = [2] * len(fields["SensitiveDataProcessing"])
    items[section.precise] = item
    return us.write_us_section(section, fields | {"SensitiveDataProcessing": items})


def reading(section, item):
    return us.read_us_section(section, string(section, item))


@pytest.mark.parametrize("section", WITH_PRECISE, ids=lambda section: section.name)
def test_a_person_who_refuses_precise_location_is_heard_in_every_state_that_asks(section):
    assert reading(section, 1).ok
    assert precise_refused(reading(section, 1))
    assert not precise_refused(reading(section, 2))
    assert not precise_refused(reading(section, 0))


@pytest.mark.parametrize("section", WITH_PRECISE, ids=lambda section: section.name)
@pytest.mark.parametrize("section_ids", [None, [2], [-1], []], ids=str)
def test_a_refusal_of_precise_location_counts_whichever_section_applies(section, section_ids):
    """It can only tighten."""
    assert precise_refused(gpp.read_gpp_string(f"{header([section.id])}~{string(section, 1)}", section_ids))
    assert not precise_refused(gpp.read_gpp_string(f"{header([section.id])}~{string(section, 2)}", section_ids))


def test_colorado_and_maryland_have_no_item_for_precise_location():
    assert {section.name for section in SECTIONS} - {section.name for section in WITH_PRECISE} == {"usco", "usmd"}


def test_a_string_that_ends_before_the_item_refuses_nothing():
    assert not precise_refused(Reading(sections={"usva": {}}, error="truncated"))
    assert not precise_refused(Reading(sections={"usva": {"SensitiveDataProcessing": [1] * 7}}))
    assert not precise_refused(Reading(sections={"28": {"String": "raw"}}))
