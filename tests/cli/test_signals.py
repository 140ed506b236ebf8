"""`gateway decode` and `gateway encode`: what a signal says, for a person and for a program."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.adchoices import write_adchoices
from support.examples import examples

from gateway.choice.downstream import Outcome, strings
from gateway.cli.root import group
from gateway.cli.signals import meaning
from gateway.signals import gpp
from gateway.terms import SIGNAL_PURPOSES

QUICKLY = examples(60)
OUT, YES = (strings(Outcome(denied, frozenset({"US-CA"}))).gpp for denied in (frozenset(SIGNAL_PURPOSES), frozenset()))
REFUSES = "CPzvOIAPzvOIAAAAAAENBdCAAAAAAAAAAAAAAAAAAAAA.IAAA"  # a TC string without any consent
NOTHING, EVERYTHING = (dict.fromkeys(map(str, SIGNAL_PURPOSES), word) for word in ("unknown", "opted_out"))
ADS = EVERYTHING | {"sale": "unknown"}
VALID = {
    "gpp": (OUT, EVERYTHING),
    "tcf": (REFUSES, EVERYTHING),
    "usp": ("1YYN", EVERYTHING),
    "ac": ("1~", ADS),
    "adchoices": (write_adchoices(1_764_000_000, preference=0), ADS),
    "cookies": ("a=b; cookieyes-consent=consent:no,action:yes,advertisement:no", ADS),
}
FORMS = list(VALID)


def run(*words, given=None):
    return CliRunner().invoke(group, list(words), input=given, catch_exceptions=False)


def decoded(*words, given=None):
    return json.loads(run("decode", *words, "--json", given=given).stdout)


# --- one value -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_program_reads_what_a_signal_says_of_the_person(form):
    text, choices = VALID[form]
    shown = run("decode", form, text, "--json")
    found = json.loads(shown.stdout)
    assert shown.exit_code == 0
    assert (found["ok"], found["choices"], "error" in found) == (True, choices, False)
    assert shown.stdout.count("\n") == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_person_reads_the_same(form):
    text, choices = VALID[form]
    shown = run("decode", form, text)
    lines = shown.stdout.splitlines()
    assert (shown.exit_code, lines[0]) == (0, "valid")
    assert [line.split() for line in lines[1:4]] == [list(pair) for pair in choices.items()]


@pytest.mark.parametrize("form", [form for form in FORMS if form != "cookies"])
@pytest.mark.parametrize(
    "text", ["", "rubbish", " ", "é", "~", "\x00", "D" * 20_000], ids=["", "word", "blank", "é", "~", "nul", "long"]
)
def test_what_is_not_valid_never_says_allowed_and_ends_with_one(form, text):
    shown = run("decode", form, text)
    assert shown.exit_code == 1
    assert shown.stdout.startswith("not valid: ")
    found = decoded(form, text)
    assert found["ok"] is False
    assert found["error"]
    assert "allowed" not in found["choices"].values()


def test_the_opt_out_in_a_string_that_is_not_valid_is_shown():
    assert decoded("usp", "2YYN") | {"sections": 0} == {
        "ok": False,
        "error": "version",
        "choices": EVERYTHING,
        "sections": 0,
    }
    assert run("decode", "usp", "2YYN").exit_code == 1


def test_what_a_library_leaves_out_is_named_as_absent():
    found = decoded("gpp", "DBABLA~BVQVAAAABgA")
    assert found["ok"] is True
    assert found["absent"]
    assert "not there, shown with the specification's defaults" in run("decode", "gpp", "DBABLA~BVQVAAAABgA").stdout


def test_the_numbers_of_a_state_section_are_told_in_words():
    shown = " ".join(run("decode", "gpp", OUT).stdout.split())
    for words in (
        "SaleOptOut 1 (opted out)",
        "SaleOptOutNotice 1 (notice given)",
        "MspaCoveredTransaction 2 (no)",
        "PersonalDataConsents 0 (not applicable)",
        "Gpc False",
    ):
        assert words in shown
    assert "SaleOptOut 2 (did not opt out)" in " ".join(run("decode", "gpp", YES).stdout.split())


@pytest.mark.parametrize(
    ("section", "field", "value", "words"),
    [
        ("usca", "SensitiveDataProcessing", [0, 1, 2], " (not applicable, opted out, did not opt out)"),
        ("usnat", "SensitiveDataProcessing", [1, 2, 2], " (no consent, consent)"),
        ("usva", "KnownChildSensitiveDataConsents", 1, " (no consent)"),
        ("usmd", "MspaMode", 2, " (service provider mode)"),
        ("usco", "MspaServiceProviderMode", 1, " (yes)"),
        ("usco", "SaleOptOut", 3, " (reserved)"),
        ("usco", "SaleOptOut", 9, ""),
        ("usco", "Gpc", True, ""),
        ("usco", "Version", 1, ""),
        ("uspv1", "OptOutSale", "Y", ""),
        ("tcfeuv2", "PurposeConsents", [True], ""),
    ],
)
def test_one_and_two_have_the_meaning_of_their_own_field(section, field, value, words):
    assert meaning(section, field, value) == words


@pytest.mark.parametrize(
    ("sections", "choices"),
    [(None, EVERYTHING), ("8", EVERYTHING), ("7,8", EVERYTHING), ("-1", EVERYTHING)],
)
def test_a_state_section_shows_what_the_person_wants_wherever_it_applies(sections, choices):
    words = ("--gpp-sid", sections) if sections else ()
    assert decoded("gpp", OUT, *words)["choices"] == choices


def test_a_yes_counts_only_where_its_section_applies():
    assert set(decoded("gpp", YES)["choices"].values()) == {"allowed"}
    assert set(decoded("gpp", YES, "--gpp-sid", "8")["choices"].values()) == {"allowed"}
    assert "allowed" not in decoded("gpp", YES, "--gpp-sid", "-1")["choices"].values()


@pytest.mark.parametrize("words", [["nonsense", "1YYN"], [], ["usp", "1YYN", "more"], ["usp", "--nonsense"]], ids=repr)
def test_a_slip_of_the_operator_is_explained(words):
    slipped = run("decode", *words)
    assert slipped.exit_code == 2
    assert "Error: " in slipped.output


def test_a_section_id_that_is_no_number_is_explained():
    assert run("decode", "gpp", OUT, "--gpp-sid", "usca").exit_code == 2


# --- a Cookie header -----------------------------------------------------------------------------------------------


def test_a_cookie_header_is_told_tool_by_tool():
    header = (
        "a=b; usprivacy=1YNN; cmplz_marketing=deny; OptanonConsent=groups=C0004%3A1&interactionCount=1; usprivacy=1YYN"
    )
    found = decoded("cookies", header)
    assert (found["ok"], found["choices"]) == (True, EVERYTHING)
    told = [(each["tool"], each["shown"], each["act"], each["denied"], each["carried"]) for each in found["cookies"]]
    assert told == [
        ("iab", "carried", False, [], ["us_privacy"]),
        ("complianz", "opted_out", False, ["sharing", "targeted_ads"], []),
        ("onetrust", "allowed", False, [], []),
        ("iab", "carried", False, [], ["us_privacy"]),
    ]
    lines = run("decode", "cookies", header).stdout.splitlines()
    assert "cmplz_marketing (complianz): opted_out sharing, targeted_ads" in lines
    assert "OptanonConsent (onetrust): allowed" in lines


@pytest.mark.parametrize("header", ["", "a=b", "usprivacy=1YNN", "CookieConsent=-1", "é=1; \x80"], ids=repr)
def test_a_header_without_a_no_says_nothing_and_never_allows(header):
    assert decoded("cookies", header)["choices"] == NOTHING


def test_a_broken_cookie_is_named_and_hides_no_other():
    found = decoded("cookies", "CookieConsent=junk; usprivacy=1YYN")
    assert (found["ok"], found["error"], found["choices"]) == (False, "cmp_cookie: format", EVERYTHING)


def test_a_header_is_read_as_the_service_reads_it():
    assert decoded("cookies", "optout=1")["choices"] == ADS


# --- a value a line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dash", [["-"], []], ids=["dash", "none"])
def test_a_table_of_values_is_answered_line_by_line_and_an_empty_line_is_an_empty_value(form, dash):
    text, choices = VALID[form]
    shown = run("decode", form, *dash, given=f"{text}\n\n{text}\r\nrubbish\n{text}")
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    assert (shown.exit_code, len(found)) == (0, 5)
    assert [found[number]["choices"] for number in (0, 2, 4)] == [choices] * 3
    assert found[1] == decoded(form, "")
    assert found[3] == decoded(form, "rubbish")


def test_an_empty_table_has_no_answers():
    assert run("decode", "usp", "-", given="").stdout == ""


def test_bytes_that_are_no_text_are_a_value_like_any_other():
    shown = run("decode", "usp", "-", given=b"\xff\xfe\n1YYN\n\x00\n")
    assert [json.loads(line)["ok"] for line in shown.stdout.splitlines()] == [False, True, False]


@QUICKLY
@given(
    lines=st.lists(st.binary(max_size=60).filter(lambda line: b"\n" not in line), max_size=6),
    form=st.sampled_from(FORMS),
)
def test_any_lines_are_answered_one_by_one(lines, form):
    shown = run("decode", form, "-", given=b"".join(line + b"\n" for line in lines))
    found = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(found) == len(lines)
    for each in found:
        assert set(each["choices"]) == set(NOTHING)
        assert each["ok"] or "allowed" not in each["choices"].values()


# Old TCF sections are written from their strings only; usnat's version number lies about its layout in the field.
UNSETTLED = {"tcfeuv1", "tcfeuv2", "usnat"}


# --- writing -------------------------------------------------------------------------------------------------------


def test_what_was_decoded_is_written_back_as_it_was(vectors):
    texts = {row["encoded"] for row in json.loads((vectors / "gpp" / "gpp_full.json").read_text())["vectors"]}
    shown = run("decode", "gpp", "-", given="\n".join(sorted(texts))).stdout.splitlines()
    settled = [line for line in shown if json.loads(line)["ok"] and UNSETTLED.isdisjoint(json.loads(line)["sections"])]
    assert len(settled) > 20
    written = run("encode", "gpp", "-", given="\n".join(settled))
    assert written.exit_code == 0
    assert run("decode", "gpp", "-", given=written.stdout).stdout.splitlines() == settled


def test_one_object_is_written_from_the_command_line():
    body = json.dumps(decoded("gpp", OUT))
    assert run("encode", "gpp", body).stdout == f"{OUT}\n"
    assert run("encode", "gpp", json.dumps({"sections": {}})).stdout == f"{gpp.write_gpp_string({})}\n"


@pytest.mark.parametrize(
    "body",
    ["", "rubbish", "[]", "7", "null", "{}", '{"sections":[]}', '{"sections":{"usca":1}}', '{"sections":{"usca":{}}}',
     '{"sections":{"nowhere":{}}}', '{"sections":{"usca":{"SaleOptOut":9}}}', '{"sections":{},"absent":7}x'],
)  # fmt: skip
def test_what_is_no_decoded_string_is_refused_and_explained(body):
    refused = run("encode", "gpp", body or "-", given="\n")
    assert refused.exit_code == 2
    assert "not a decoded GPP string" in refused.output


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["usca", "8", "7", "usnat", "Version", "SaleOptOut", "Gpc", ""]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@QUICKLY
@given(sections=JSON, absent=JSON)
def test_any_object_is_written_or_refused(sections, absent):
    shown = run("encode", "gpp", json.dumps({"sections": sections, "absent": absent}))
    assert shown.exit_code in {0, 2}


def test_both_commands_say_that_they_take_a_table():
    for name, words in (("decode", "a value a line from standard input"), ("encode", "a JSON object a line")):
        assert words in " ".join(run(name, "--help").output.split()), name
