"""What nobody sees, wide letters, labels and quotation marks: none of them makes another person of somebody."""

import unicodedata

import pytest

from gateway.choice.identity import NormalIdentifier, read_identifier, spelling
from gateway.terms import Malformed

JANE = "jane.doe@example.com"
# One of each range of Default_Ignorable_Code_Point, first and last where there are several.
INVISIBLE = [
    0x00AD,
    0x034F,
    0x061C,
    0x115F,
    0x1160,
    0x17B4,
    0x17B5,
    0x180B,
    0x180E,
    0x180F,
    0x200B,
    0x200C,
    0x200D,
    0x200E,
    0x200F,
    0x202A,
    0x202E,
    0x2060,
    0x2064,
    0x2065,
    0x2066,
    0x206F,
    0x2800,
    0x3164,
    0xFE00,
    0xFE0E,
    0xFE0F,
    0xFEFF,
    0xFFA0,
    0xFFF0,
    0xFFF8,
    0x1BCA0,
    0x1BCA3,
    0x1D173,
    0x1D17A,
    0xE0000,
    0xE0001,
    0xE0020,
    0xE007F,
    0xE0100,
    0xE01EF,
    0xE0FFF,
]
VALUES = {
    "email": JANE, "phone": "+14155550123", "gaid": "38400000-8cf0-11bd-b23e-10b96e40000d", "imei": "490154203237518",
    "serial": "C02XL0GTJGH5", "udid": "00008020-008d4548007b4f26", "email_sha256": "5" * 63 + "a",
}  # fmt: skip


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("code", INVISIBLE, ids="U+{:04X}".format)
def test_a_character_that_nobody_sees_makes_nobody_else_of_a_person(code, kind):
    value = VALUES[kind]
    for text in (chr(code) + value, value[:3] + chr(code) + value[3:], value + chr(code)):
        found = read_identifier(kind, text)
        assert isinstance(found, NormalIdentifier), text
        assert found.names[: found.exact] == read_identifier(kind, value).names[: found.exact]


@pytest.mark.slow
def test_the_rule_takes_what_unicode_lists_and_no_letter_with_it():
    """Every range of DerivedCoreProperties.txt has some; letters, digits, marks, signs, blanks and controls have
    none."""
    ignored = [code for code in range(0x110000) if spelling.ignorable(chr(code))]
    assert set(INVISIBLE) <= set(ignored)
    assert len(ignored) == EXPECTED + 1  # Braille's empty cell
    kinds = {unicodedata.category(chr(code)) for code in ignored}
    assert kinds <= {"Cf", "Cn", "Mn", "Lo", "So"}
    fillers = {chr(code) for code in ignored if unicodedata.category(chr(code)) == "Lo"}
    assert fillers == set("\u115f\u1160\u3164\uffa0")


EXPECTED = 4174  # characters of Default_Ignorable_Code_Point in Unicode 14.0 to 16.0, DerivedCoreProperties.txt


@pytest.mark.parametrize(
    "code", [0x0600, 0x06DD, 0xFFF9, 0xFFFC, 0xFFFD, 0xE000, 0xF0000, 0x0007, 0x13430], ids="U+{:04X}".format
)
def test_what_is_left_and_is_no_address_could_not_be_read(code):
    assert read_identifier("email", f"jane{chr(code)}@example.com") == Malformed("email", "value")


@pytest.mark.parametrize(
    "text", ["ｊａｎｅ．ｄｏｅ＠ｅｘａｍｐｌｅ．ｃｏｍ", "jane.doe＠example。com", "jane.doe﹫example｡com", "jane。doe@example.com",
             "<jane.doe@example.com>", '"jane.doe@example.com"', "“jane.doe@example.com”", "mailto:jane.doe@example.com",
             "<MAILTO:Jane.Doe@Example.COM>", "jane.doe@example.com."],
)  # fmt: skip
def test_an_address_is_itself_with_another_keyboards_signs_and_in_brackets_or_quotes(text):
    found = read_identifier("email", text)
    assert set(read_identifier("email", JANE).names) <= set(found.names)
    assert found.names[: found.exact] == read_identifier("email", JANE).names[: found.exact]


def test_letters_that_look_alike_in_another_alphabet_are_another_mailbox_and_mathematical_ones_can_only_deny():
    assert not set(read_identifier("email", "jаne@example.com").names) & set(
        read_identifier("email", "jane@example.com").names
    )  # the first has a Cyrillic letter
    fancy, plain = read_identifier("email", "𝐣𝐚𝐧𝐞@example.com"), read_identifier("email", "jane@example.com")
    assert fancy.names[0] != plain.names[0]
    assert plain.names[0] in fancy.looser


def test_what_was_kept_under_a_spelling_of_before_still_denies():
    before = read_identifier("email", "jane.doe@example.com").names[0]
    assert before in read_identifier("email", "jane\u00ad.doe@example.com").names
    assert len(read_identifier("email", "jane\u00ad.doe@example.com").names) > len(
        read_identifier("email", "jane.doe@example.com").names
    )


@pytest.mark.parametrize(
    "source", ["ID5-Sync.com", "id5-sync.com.", "https://id5-sync.com", "https://id5-sync.com/", "//id5-sync.com/x?y=1",
               "http://ID5-sync.com:443/path", " id5-sync.com ", "ｉｄ５-ｓｙｎｃ．ｃｏｍ", "id5-sync。com"],
)  # fmt: skip
def test_an_id_is_of_its_source_in_every_spelling_of_that(source):
    found = read_identifier("eid", "abc", source=source)
    assert found.names[0] == ("eid:id5-sync.com", "abc")


def test_a_source_in_unicode_and_in_ascii_is_one():
    assert (
        read_identifier("eid", "x", source="bücher.example").names[0]
        == read_identifier("eid", "x", source="xn--bcher-kva.example").names[0]
    )


def test_what_was_said_under_an_older_spelling_of_a_source_or_a_cookie_still_denies():
    assert ("eid:id5-sync.com.", "abc") in read_identifier("eid", "abc", source="id5-sync.com.").looser
    assert ("cookie:uid", '"abc"') in read_identifier("cookie", '"abc"', source="uid").looser


def test_a_cookie_is_one_with_its_quotes_and_without():
    assert (
        read_identifier("cookie", '"abc"', source="uid").names[0]
        == read_identifier("cookie", "abc", source="uid").names[0]
    )


@pytest.mark.parametrize("kind", ["account", "id:loyalty"])
def test_an_account_whose_name_looks_like_anothers_opens_nothing_of_theirs(kind):
    fake, real = (
        read_identifier(kind, "jane\u200b", declared=("loyalty",)),
        read_identifier(kind, "jane", declared=("loyalty",)),
    )
    assert fake.names[0] != real.names[0]
    assert real.names[0] in fake.looser


@pytest.mark.parametrize(
    "text", ["sha256:{}", "SHA-256={}", "0x{}", '"{}"', "hash: {}", "{{{}}}"])  # fmt: skip
def test_a_digest_with_its_label_is_that_digest(text):
    digest = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"
    assert read_identifier("email_sha256", text.format(digest)) == read_identifier("email_sha256", digest)


def test_a_digest_whose_bytes_are_written_apart_is_that_digest():
    digest = "973dfe463ec85785f5f95af5ba3906ee"
    apart = ":".join(digest[at : at + 2] for at in range(0, 32, 2)).upper()
    assert read_identifier("email_md5", apart) == read_identifier("email_md5", digest)
