"""GPP strings of every kind, whole and damaged: never an exception, never a yes from what is not valid, and no opt-out
that one more section, or one applicable section fewer, would take back."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.strings import WRITABLE, damaged, eu_fields, fields, gpp_string, sections

from gateway.signals import gpp, tcf
from gateway.signals.bits import bits_of, number_bits, text_of
from gateway.signals.gpp import header, us
from gateway.signals.gpp.layouts import BY_NAME, IDS, SECTIONS
from gateway.terms import SIGNAL_PURPOSES, Stated

pytestmark = pytest.mark.slow  # seconds of random input; `make check` is the quick loop

QUIETLY = examples(200)
RANDOMS = st.randoms(use_true_random=False)
SECTION_IDS = st.none() | st.lists(st.sampled_from([-1, 0, 6, 7, 8, 28, 300, 10**30]), max_size=3)


def holds(reading):
    """The promise that every reading keeps."""
    assert set(reading.choices) == set(SIGNAL_PURPOSES)
    assert reading.ok or Stated.ALLOWED not in reading.choices.values()
    assert reading.as_json()["ok"] is reading.ok
    return reading


def allowed(reading):
    return {purpose for purpose, word in reading.choices.items() if word is Stated.ALLOWED}


# --- anything at all -----------------------------------------------------------------------------------------------


@QUIETLY
@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")), SECTION_IDS)
def test_any_text_is_answered_and_only_a_valid_one_allows(text, section_ids):
    holds(gpp.read_gpp_string(text, section_ids))


@QUIETLY
@given(st.sampled_from([1, 2, 5, 6, 28, *(section.id for section in SECTIONS)]), st.text(max_size=40))
def test_any_text_behind_a_good_header_is_answered_and_only_a_valid_one_allows(number, text):
    holds(gpp.read_gpp_string(f"{header([number])}~{text}"))


@QUIETLY
@given(RANDOMS, SECTION_IDS)
def test_a_string_damaged_on_its_way_never_allows_unless_it_is_still_valid(random, section_ids):
    holds(gpp.read_gpp_string(damaged(random, gpp_string(random)), section_ids))


@QUIETLY
@given(st.sampled_from(SECTIONS), RANDOMS)
def test_a_damaged_section_never_allows_unless_it_is_still_valid(section, random):
    text = us.write_us_section(section, fields(random, section.name))
    holds(us.read_us_section(section, damaged(random, text)))


@QUIETLY
@given(st.sampled_from(SECTIONS), RANDOMS, st.data())
def test_no_bit_of_a_section_turns_into_an_allow_that_its_fields_do_not_say(section, random, data):
    """One bit of the core flipped: what is then allowed is what a valid string says with that bit."""
    said = fields(random, section.name)
    core = section.cores[said.get("Version", said.get("MspaVersion"))]
    at = data.draw(st.integers(0, core.bits - 1))
    text, _, behind = us.write_us_section(section, said).partition(".")
    flipped = text_of("".join(str(int(bit) ^ (index == at)) for index, bit in enumerate(bits_of(text)[: core.bits])))
    reading = holds(us.read_us_section(section, ".".join([flipped, *([behind] if behind else [])])))
    if reading.ok:
        written = us.write_us_section(section, reading.sections[section.name], reading.absent)
        assert written.partition(".")[0] == flipped


# --- written and read ----------------------------------------------------------------------------------------------


@QUIETLY
@given(RANDOMS)
def test_what_people_chose_in_any_sections_is_read_as_it_was_written(random):
    said = sections(random)
    text = gpp.write_gpp_string(said)
    reading = holds(gpp.read_gpp_string(text))
    assert reading.ok, reading.error
    assert {name: {field: reading.sections[name][field] for field in given} for name, given in said.items()} == said
    assert gpp.write_gpp_string(reading.sections, reading.absent) == text


@pytest.mark.parametrize("name", WRITABLE)
def test_every_section_and_version_comes_up_in_these_tests(name):
    """Control of the strategy: each section is drawn, with each of its versions, with and without subsections."""
    drawn = [fields(Random(seed), name) for seed in range(40)]
    if name in BY_NAME:
        versions = {said.get("Version", said.get("MspaVersion")) for said in drawn}
        assert versions == set(BY_NAME[name].cores)
        assert len({len(said) for said in drawn}) >= 1 + len(BY_NAME[name].subsections)
    texts = {gpp.write_gpp_string({name: said}) for said in drawn}
    assert len(texts) > 10
    words = [gpp.read_gpp_string(text).choices for text in texts]
    assert any(Stated.OPTED_OUT in said.values() for said in words)


# --- opt-outs stay -------------------------------------------------------------------------------------------------


@QUIETLY
@given(RANDOMS, st.sampled_from(WRITABLE))
def test_one_more_section_never_takes_an_opt_out_back(random, name):
    said = sections(random, 3)
    more = {**said, name: fields(random, name)} if name not in said else {**said, 300: "raw"}
    ids = [IDS[each] for each in said]
    for section_ids in (None, ids):
        before, after = (
            gpp.read_gpp_string(gpp.write_gpp_string(said), section_ids),
            gpp.read_gpp_string(gpp.write_gpp_string(more), section_ids),
        )
        assert before.opted_out <= after.opted_out
        assert before.opted_out - before.unanswered <= after.opted_out - after.unanswered


@QUIETLY
@given(RANDOMS, st.data())
def test_naming_fewer_applicable_sections_never_takes_an_opt_out_of_one_of_them_back(random, data):
    said = sections(random)
    text, ids = gpp.write_gpp_string(said), [IDS[name] for name in said]
    fewer = data.draw(st.lists(st.sampled_from([*ids, -1]), unique=True))
    reading = gpp.read_gpp_string(text, fewer)
    for name, found in said.items():
        alone = gpp.read_gpp_string(gpp.write_gpp_string({name: found}))
        acts = alone.opted_out - alone.unanswered
        assert acts <= reading.opted_out - reading.unanswered, name
        assert IDS[name] not in fewer or alone.opted_out <= reading.opted_out, name
    assert allowed(reading) <= allowed(gpp.read_gpp_string(text)) | gpp.read_gpp_string(text).opted_out


@QUIETLY
@given(RANDOMS)
def test_nothing_is_allowed_that_no_applicable_section_allows(random):
    said = sections(random, 3)
    text = gpp.write_gpp_string(said)
    for name in said:
        alone = allowed(gpp.read_gpp_string(gpp.write_gpp_string({name: said[name]})))
        assert allowed(gpp.read_gpp_string(text, [IDS[name]])) <= alone
    assert not allowed(gpp.read_gpp_string(text, [-1]))


# --- sections that nobody knows, and the other form of four ----------------------------------------------------------


@QUIETLY
@given(RANDOMS, st.integers(28, 5000), st.text("ABCxyz019-_.", min_size=1, max_size=30))
def test_an_unknown_section_is_written_back_untouched_and_allows_nothing_while_it_applies(random, number, raw):
    text = gpp.write_gpp_string({**sections(random, 2), number: raw})
    reading = holds(gpp.read_gpp_string(text))
    assert gpp.split_gpp_string(text)[number] == raw
    assert gpp.split_gpp_string(
        gpp.write_gpp_string({name: {"String": each} for name, each in gpp.split_gpp_string(text).items()})
    ) == gpp.split_gpp_string(text)
    assert reading.sections[str(number)] == {"String": raw}
    assert not allowed(reading)
    assert not allowed(gpp.read_gpp_string(text, [number]))


@QUIETLY
@given(st.sampled_from([section for section in SECTIONS if section.with_header]), RANDOMS)
def test_the_form_of_the_specification_says_what_the_form_of_the_library_says(section, random):
    """SectionID, version 1, and the ids of the subsections behind the core: none, or the one with id 1."""
    text = us.write_us_section(section, fields(random, section.name))
    named = "000000000001" + "0" + "11" if "." in text else "000000000000"
    front = text_of(number_bits(section.id, 6) + number_bits(1, 6) + named, random.choice([6, 8, 24]))
    assert us.read_us_section(section, f"{front}.{text}") == us.read_us_section(section, text)
    assert gpp.read_gpp_string(f"{header([section.id])}~{front}.{text}") == gpp.read_gpp_string(
        f"{header([section.id])}~{text}"
    )


@QUIETLY
@given(RANDOMS)
def test_a_tc_string_says_the_same_alone_bare_and_inside(random):
    text = tcf.write_eu(eu_fields(random))
    inside = gpp.read_gpp_string(f"{header([2])}~{text}")
    assert (inside.choices, inside.sections) == (tcf.read_eu(text).choices, tcf.read_eu(text).sections)
    assert gpp.read_gpp_string(text) == inside
