"""GPP strings of the reference library and of public test suites, field by field.

The reference is cmpapi 3.2.0. What is meant is compared, never the text of two strings; where ours are the reference's
letter for letter, that is asserted too. Each disagreement stands here by its string, with our reason.
"""

import json

import pytest

from gateway.signals import gpp, usprivacy
from gateway.signals.gpp import header, us
from gateway.signals.gpp.layouts import BY_NAME, IDS, US_PRIVACY

REFERENCE = "cmpapi 3.2.0"


def read_section(name, text):
    return usprivacy.read_usprivacy(text) if IDS[name] == US_PRIVACY else us.read_us_section(BY_NAME[name], text)


@pytest.fixture
def generated(vectors):
    """Rows of one file of the differential set."""
    return lambda name: [
        json.loads(line) for line in (vectors / "gpp" / f"generated_{name}.jsonl").read_text().splitlines()
    ]


@pytest.fixture
def suite(vectors):
    """Rows of one file of the public suites that the reference was run on."""

    def rows(name):
        found = json.loads((vectors / "gpp" / f"gpp_{name}.json").read_text())["vectors"]
        return [row for row in found if "reference_decoded" in row]

    return rows


# --- the differential set ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_us_string_of_the_differential_set_is_read_and_written_as_by_the_reference(generated, figure):
    total = 0
    for name, section in BY_NAME.items():
        rows = generated(name)
        assert len(rows) == 300, name
        for row in rows:
            reading = us.read_us_section(section, row["section_string"])
            assert (reading.error, reading.sections) == ("", {name: row["decoded"]}), row["gpp"]
            assert us.write_us_section(section, reading.sections[name], reading.absent) == row["section_string"]
            assert gpp.read_gpp_string(row["gpp"]).sections == reading.sections
            total += 1
    figure("GPP, differential", f"{total} strings of {len(BY_NAME)} US sections read and written as {REFERENCE}")


@pytest.mark.slow
def test_every_us_string_is_read_alike_in_the_padding_of_the_specification_and_in_that_of_tc_strings(generated):
    for name, section in BY_NAME.items():
        for row in generated(name):
            plain = us.read_us_section(section, row["section_string"])
            _, dot, behind = row["section_string"].partition(".")
            shortest = row["core_minpad"]
            longest = shortest + "A" * (-len(shortest) % 4)
            for core in (shortest, longest):
                assert us.read_us_section(section, f"{core}{dot}{behind}") == plain, core


def test_every_us_privacy_string_is_read_and_written_as_by_the_reference(generated, figure):
    rows = generated("uspv1")
    assert len(rows) == 27
    for row in rows:
        assert usprivacy.read_usprivacy(row["section_string"]).sections == {"uspv1": row["fields"]}
        assert gpp.read_gpp_string(row["gpp"]).sections == {"uspv1": row["fields"]}
        assert gpp.write_gpp_string({"uspv1": row["fields"]}) == row["gpp"]
    figure("GPP, uspv1", f"{len(rows)} of {len(rows)} read and written as {REFERENCE}")


def test_every_string_of_several_sections_is_read_and_written_as_by_the_reference(generated, figure):
    rows = generated("multi")
    assert len(rows) == 300
    for row in rows:
        reading = gpp.read_gpp_string(row["gpp"])
        assert (reading.error, reading.sections) == ("", row["decoded"]), row["gpp"]
        assert list(gpp.split_gpp_string(row["gpp"])) == row["ids"]
        assert gpp.write_gpp_string(reading.sections, reading.absent) == row["gpp"]
    figure("GPP, several sections", f"{len(rows)} of {len(rows)} read and written as {REFERENCE}")


def test_every_list_of_section_ids_is_read_and_written_as_by_the_reference(generated, suite, figure):
    rows = generated("header")
    assert len(rows) == 400
    for row in rows:
        assert list(gpp.split_gpp_string("~".join([row["header"], *["raw"] * len(row["ids"])]))) == row["decoded"]
        assert header(row["ids"]) == row["header"]
    for row in suite("header"):
        if ids := row["reference_decoded"].get("header_ids"):
            assert list(gpp.split_gpp_string("~".join([row["encoded"], *["raw"] * len(ids)]))) == ids
            assert header(ids) == row["encoded"]
    figure("GPP, headers", f"{len(rows)} of {len(rows)} read and written as {REFERENCE}")


def as_the_tcf_library_shows(value):
    """Bitfields as the numbers of their set bits."""
    flags = isinstance(value, list) and value and all(isinstance(each, bool) for each in value)
    return [number for number, flag in enumerate(value, 1) if flag] if flags else value


def test_every_tc_string_inside_gpp_is_read_as_the_tcf_library_reads_it(generated, figure):
    """Encoded by cmpapi, decoded again by the other reference, core 1.5.21."""
    rows = generated("tcfeuv2")
    assert len(rows) == 300
    for row in rows:
        reading = gpp.read_gpp_string(row["gpp"])
        fields = reading.sections["tcfeuv2"]
        for theirs, value in row["core_decoded"].items():
            ours = {"useNonStandardTexts": "UseNonStandardStacks"}.get(theirs, theirs[0].upper() + theirs[1:])
            assert as_the_tcf_library_shows(fields[ours]) == value, (ours, row["gpp"])
        assert gpp.read_gpp_string(gpp.write_gpp_string({"tcfeuv2": {"String": row["tc"]}})) == reading
    figure("GPP, tcfeuv2", f"{len(rows)} of {len(rows)} read as core 1.5.21")


# --- the public suites ---------------------------------------------------------------------------------------------

# How our fields of a section stand to the reference's.
SAME = "the same fields"
TRIMMED = "Version 1 in the layout of version 2: the reference cuts the lists to 12 and 2, we show what stands there"
STRETCHED = "the layout of version 1 by its length: the reference stretches the lists to 16 and 3 with zeros"
UNREAD = "the reference fills in defaults where the string has nothing, or something else"
DROPPED = "a section that the reference has no reader for, and drops"
REFUSED = "the reference reads nothing, or ends its process"
WORSE = (SAME, TRIMMED, STRETCHED, UNREAD, DROPPED, REFUSED)
NATIONAL_LISTS = {"SensitiveDataProcessing": 12, "KnownChildSensitiveDataConsents": 2}  # items in version 1


def as_version_1(fields):
    """With the lists of the national section cut to those of its first version."""
    lists = {name: value for name, value in fields.items() if name in NATIONAL_LISTS and isinstance(value, list)}
    return fields | {name: value[: NATIONAL_LISTS[name]] for name, value in lists.items()}


def kinship(ours, theirs):
    """One of the words above."""
    if ours == theirs:
        return SAME
    if as_version_1(ours) != as_version_1(theirs):
        return UNREAD
    return TRIMMED if as_version_1(theirs) == theirs else STRETCHED


def worst_kinship(reading, reference):
    """How the worst section of a whole string is read; nothing where all agree and it is valid to both."""
    if "error" in reference:
        return REFUSED if reading.ok else ""
    theirs = reference["sections"]
    words = {kinship(reading.sections.get(name, {}), fields) for name, fields in theirs.items()}
    words |= {DROPPED for name in reading.sections if name not in theirs}
    worst = max(words, key=WORSE.index, default=SAME)
    return "" if reading.ok and worst == SAME else worst


# Our error, how the fields stand to the reference's, and the strings. Where there is an error the fields are shown
# and nothing is allowed; where there is none the string is valid to both.
SECTION_DISAGREEMENTS = {
    ("", TRIMMED): {"BVVVkkkkkpFY", "BVVVkkkkkpFY.YA", "BAAAAAAAAABA", "BAAAAAAAAABA.QA"},
    # a length of version 1 with another version in front
    ("version", STRETCHED): {"CVQqAAAACg", "DSJgmkoZJSA.YA"},
    ("reserved", STRETCHED): {"gqgkgAAAAEA"},  # in the national section
    # versions that do not exist
    ("version", SAME): {
        "xlgWEYCY.YA", "bSFgmJQ.YA", "bSFgmSZQ.YA", "bSRYJllA", "bSFgmiU", "CVVVVVg.YA", "2YNY", "2NYY", "2YN-",
        "ZYN-",
    },
    # a value of 3, or no word on whether the MSPA covers the transaction, which is not allowed to be missing
    ("reserved", SAME): {"BbYbGwXY.YA", "BAAAAAAA.QA", "BAAAAAAA", "BbYbG22w", "BbYbG22w.YA", "gqgkgAAAAEA"},
    # ones behind the last field
    ("padding", SAME): {"CVVVVVVVVWA.YA", "BVVVVVVVVWA.AA", "CVVVVVVVVWA"},
    # a subsection that says it is none
    ("subsection", SAME): {"BVVVVVg.AA", "BVVVVVVVVWA.AA"},
    ("empty", UNREAD): {""},
}  # fmt: skip


def grouped(found):
    """{(error, word): strings} of (string, error, word)."""
    groups = {}
    for text, error, word in found:
        groups.setdefault((error, word), set()).add(text)
    return groups


def test_every_section_of_the_public_suites_is_read_as_the_reference_reads_it_or_stands_here(suite, figure):
    differing, total = [], 0
    for name in ("uspv1", *BY_NAME):
        for row in suite(name):
            reading, reference = read_section(name, row["encoded"]), row["reference_decoded"]
            total += 1
            if "error" in reference:
                assert not reading.ok, row["encoded"]
                continue
            word = kinship(reading.sections.get(name, {}), reference)
            if reading.error or word != SAME:
                differing.append((row["encoded"], reading.error, word))
    figure("GPP sections, suites", f"{total - len(differing)} of {total} as {REFERENCE}, {len(differing)} explained")
    assert grouped(differing) == SECTION_DISAGREEMENTS


def brief(text):
    """A long string by both its ends."""
    return text if len(text) <= 50 else f"{text[:32]}…{text[-16:]}"


WHOLE_DISAGREEMENTS = {
    ("", TRIMMED): {
        "DBABLA~BAAAAAAAAQRA.QA", "DBABLA~BAAoAAAAAABY.QA", "DBABrw~BVAUAAAAAABk.QA~BAAAAABA.QA",
        "DBABLA~BAAAAAAAAABY.QA", "DBABLA~BVAUAAAAAABo.QA", "DBABLA~BAAAAAAAAABA.QA",
        "DBABrw~BAAAAAAAAABA.QA~BAAAAABA.QA", "DBABLA~BAAqqqqqqqpY.QA", "DBABLA~BVVAAAAAAABY.QA",
        "DBACOcGA~CPSG_8APSG_8ANwAAAENAAF…QAA.AAA~BQAA.AAA", "DBABLA~BVAAAAAAAABY.QA", "DBABLA~BVQVAAAAAAGA.YA",
        "DBABLA~BVAoAAAAAABo.QA", "DBABLA~BAFAqqqqqqho.QA", "DBABLA~BVAoAAAAAABk.QA", "DBABLA~BAAVVVVVVVVY.QA",
        "DBABLA~BAFAqqqqqlRo.QA", "DBACMMA~CQeBJ0AQeBJ0AGXABBENCNFg…~BAAAAAAAAABY.YA",
        "DBACOYs~CPSG_8APSG_8AAAAAAENAACA…A.QA~BAAAAAQA.QA",
    },
    ("reserved", TRIMMED): {"DBACOYs~CPSG_8APSG_8AAAAAAENAACA…QA~BAAAAAABAA.QA"},
    ("version", STRETCHED): {
        "DBABLA~CAAAAAAAAQA.QA", "DBABLA~DSJgmkoZJSA.YA", "DBABLA~CAAAAAABEQA.QA",
        "DBABrGA~DSJgmkoZJSA.YA~BlgWEYCY.…JllA~bSFgmSZQ.YA",
    },
    ("version", SAME): {"DBABRg~bSFgmiU", "DBABJg~bSFgmJQ.YA", "DBABVg~bSFgmSZQ.YA"},
    ("reserved", SAME): {"DBACLMA~BAAAAAAAAAA.QA~BaAAAAA", "DBACTjw~1YYN~BSZZYgkA~BaRlkCSA.QA"},
    # a header with one character more than any padding has
    ("padding", SAME): {"DBABBgA~xlgWEYCZAA", "DBABRgA~bSFgmiU"},
    # section 5: a restriction on purpose 56; a core that ends in front of its restrictions, which a cut one does too
    ("restriction", UNREAD): {"DBACOeA~CPSG_8APSG_8ANwAAAENAwCg…fHHHA4444ao~1YNN"},
    ("truncated", UNREAD): {
        "DBABDA~BPXuQIAPXuQIAAfKABENB-CgA…AAAA.YAAAAAAAAAA", "DBABDA~BPXuQIAPXuQIAAfKABENB-CgAAAAAAAAAAAAAAAA",
        "DBABjw~BPXuQIAPXuQIAAfKABENB-CgA…YAAAAAAAAAA~1YNN", "DBABMA~.",
    },
    # section 1
    ("version", DROPPED): {"DBABYA~test_minimum"},
    ("", DROPPED): {"DBABYA~BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA"},
    # ranges of section 5 in the coding of older encoders, which the reference takes for millions of vendors (1.7 j)
    ("", REFUSED): {"DBABDA~BQMC4oAQMC4oAPoABABGB0CYA…AAAA.YAAAAAAAAAA"},
}  # fmt: skip


def test_every_whole_string_of_the_suites_and_of_the_field_is_read_as_the_reference_reads_it_or_stands_here(
    suite, figure
):
    rows = [*suite("full"), *suite("wild_strings")]
    differing = []
    for row in rows:
        reading = gpp.read_gpp_string(row["encoded"])
        if word := worst_kinship(reading, row["reference_decoded"]):
            differing.append((brief(row["encoded"]), reading.error, word))
    figure(
        "GPP strings, suites", f"{len(rows) - len(differing)} of {len(rows)} as {REFERENCE}, {len(differing)} explained"
    )
    assert grouped(differing) == WHOLE_DISAGREEMENTS


def test_section_ids_and_strings_are_split_as_the_other_reference_splits_them(vectors):
    """iabgpp-rs 33ea52a, where it lists raw sections."""
    rows = json.loads((vectors / "gpp" / "gpp_full.json").read_text())["vectors"]
    listed = [row for row in rows if row.get("expected_rs", "").startswith('vec!["')]
    assert len(listed) == 3
    for row in listed:
        assert list(gpp.split_gpp_string(row["encoded"]).values()) == json.loads(
            row["expected_rs"].removeprefix("vec!")
        )
