"""A state's deletion list is read as it is written: by the published vectors, and to the same identifiers that calls
name. The lists of phones' and televisions' ids are marked as unverified.
"""

import hashlib
from datetime import date, timedelta

import pytest

from gateway.choice.deletion_list import (
    OPERATORS,
    UNVERIFIED,
    DeletionFile,
    DeletionKind,
    DeletionRequest,
    answer_lines,
    digest_of,
    hashed,
    read_requests,
    standardized,
)
from gateway.choice.deletion_periods import Fetched, due, mechanism_of, mechanisms
from gateway.choice.identity import read_identifier
from gateway.choice.identity.kinds import LAST_TEN, TELEVISION, TEN_ABROAD
from gateway.signals import lines
from gateway.signals.lines import NoHeader, RefusedLine

EMAIL, PHONE, MAID, CTVID = DeletionKind.EMAIL, DeletionKind.PHONE, DeletionKind.MAID, DeletionKind.CTVID
# Published with DROP's rules: an American number with eleven digits, and one of Viet Nam.
PUBLISHED = {
    "+1(415)555-9317": "vGM7y5n+hBXRSEAklhHDPCbysyNgYTmXdMcagGUOY8E=",
    "+84(90)123 4567": "ptzVkgbv9DonwvPCHmXmJ2SEOaolSh37z3ZzY/Gmm+U=",
}
AD_ID, TV = "38400000-8cf0-11bd-b23e-10b96e40000d", "1A2B3C4D-0000-4000-8000-00112233445A"
NAME = {EMAIL: "email_sha256", PHONE: LAST_TEN, MAID: "ad_id_sha256", CTVID: TELEVISION}
# As somebody wrote it to the state; the kind and the value as a call names it here.
TABLE = [
    (EMAIL, "ana@example.com", "email", "ana@example.com"),
    (EMAIL, " Ana.Maria+Shop@Example.COM ", "email", "ana.maria+shop@example.com"),
    (EMAIL, "ana @example.com", "email", "ANA@example.com"),
    (EMAIL, "ana@example.com", "email_sha256", hashlib.sha256(b"ana@example.com").hexdigest()),
    (PHONE, "+1(415)555-9317", "phone", "+14155559317"),
    (PHONE, "1 415 555 0150", "phone", "(415) 555-0150"),
    (PHONE, "415.555.0150", "phone", "14155550150"),
    (MAID, AD_ID, "gaid", AD_ID),
    (MAID, AD_ID.upper(), "idfa", AD_ID),
    (MAID, AD_ID.replace("-", ""), "gaid", AD_ID),
    (CTVID, TV.lower(), "id:rida", TV),
    (CTVID, TV, "id:tifa", TV.lower()),
]


def test_the_published_numbers_hash_as_published():
    assert {number: hashed(PHONE, number) for number in PUBLISHED} == PUBLISHED
    assert [standardized(PHONE, number) for number in PUBLISHED] == ["4155559317", "4901234567"]


@pytest.mark.parametrize(("kind", "written", "named", "value"), TABLE)
def test_whom_a_list_means_is_whom_a_call_names(kind, written, named, value):
    found = read_identifier(named, value, declared=("rida", "tifa"))
    name = (NAME[kind], digest_of(hashed(kind, written)).hex())
    assert name in found.names[: found.exact]


@pytest.mark.parametrize("number", ["+84 90 123 4567", "+44 20 7946 0123", "+683 4000"])
def test_a_number_from_abroad_is_denied_by_its_last_ten_digits_and_has_no_name_of_an_american_one(number):
    digest, found = digest_of(hashed(PHONE, number)).hex(), read_identifier("phone", number)
    assert (TEN_ABROAD, digest) in found.looser
    american = read_identifier("phone", f"+1{standardized(PHONE, '+44 20 7946 0123')}")
    assert {*found.names}.isdisjoint(american.names)
    assert NAME[PHONE] not in dict(found.names)


def test_what_is_not_verified_is_marked_and_names_and_vehicles_are_the_operators():
    assert {MAID, CTVID} == UNVERIFIED
    for kind in OPERATORS:
        with pytest.raises(ValueError, match="names and vehicles"):
            hashed(kind, "Ana")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("20260915_4821_Email.csv", EMAIL), ("20260915_4821_phone_2.CSV", PHONE),
     ("20260915_4821_Removed.csv", DeletionKind.REMOVED), ("20260915_4821_NameVIN.csv", DeletionKind.NAME_VIN)],
)  # fmt: skip
def test_a_list_is_known_by_its_name(name, kind):
    assert DeletionFile.named(name) == DeletionFile(name, date(2026, 9, 15), "4821", kind)


@pytest.mark.parametrize("name", ["emails.csv", "20261315_4821_Email.csv", "20260915_4821_Fax.csv", "2026_1_Email.csv"])
def test_another_name_is_refused_with_how_a_list_is_called(name):
    with pytest.raises(ValueError, match="YYYYMMDD"):
        DeletionFile.named(name)


def read(content, name="20260915_4821_Email.csv"):
    return [*read_requests(DeletionFile.named(name), lines.of_body(content))]


def test_each_row_comes_out_once_and_why_one_is_refused_quotes_nothing_of_it():
    good = hashed(EMAIL, "ana@example.com")
    rows = read(f"ID,Hash\nAAAAAAAAAAA1,{good}\nshort,{good}\nAAAAAAAAAAA2,{good[:-4]}\n\nAAAAAAAAAAA3,{good}".encode())
    assert [type(row).__name__ for row in rows] == [
        "DeletionRequest", "RefusedLine", "RefusedLine", "Empty", "DeletionRequest",
    ]  # fmt: skip
    assert rows[0] == DeletionRequest(2, "AAAAAAAAAAA1", EMAIL, hashlib.sha256(b"ana@example.com").digest())
    assert not any(good[:8] in row.why or "short" in row.why for row in rows if isinstance(row, RefusedLine))
    with pytest.raises(NoHeader):
        read(b"AAAAAAAAAAA1," + good.encode())


def test_what_is_taken_back_says_of_which_list_it_is():
    good = hashed(PHONE, "+14155550150")
    rows = read(
        f"Id,Hash,ListType\nAAAAAAAAAAA1,{good},Phone\nAAAAAAAAAAA2,{good},Fax\n".encode(), "20260915_1_Removed.csv"
    )
    assert rows[0].kind is PHONE
    assert isinstance(rows[1], RefusedLine)


def test_an_answer_is_written_as_the_state_reads_it():
    assert (
        "".join(answer_lines([("AAAAAAAAAAA1", 5), ("AAAAAAAAAAA2", 2)]))
        == "Id,Status\nAAAAAAAAAAA1,5\nAAAAAAAAAAA2,2\n"
    )


def test_periods_are_the_states_own_and_dated():
    assert {each.place for each in mechanisms()} == {"US-CA", "US-CT"}
    assert mechanism_of("US-CA", date(2026, 7, 31)) is None
    assert mechanism_of("US-CA", date(2026, 8, 1)).answer_days == 45
    assert mechanism_of("US-CT", date(2026, 11, 29)) is None


def test_what_is_due_is_said_before_its_day_passes_and_after():
    received = date(2026, 9, 1)
    fetched = [Fetched("US-CA", received, 3), Fetched("US-CA", date(2026, 8, 1), 0)]
    for day, soon in ((29, False), (30, True), (46, True)):
        answers, fetch = due(fetched, received + timedelta(days=day))
        assert answers == ("US-CA", "answer", date(2026, 10, 16), 3, soon)
        assert fetch == ("US-CA", "fetch", date(2026, 10, 16), 0, soon)
