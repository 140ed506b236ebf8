"""Every line of an old list is counted once: kept, kept in doubt, refused or empty; and nobody's no is lost to a fault
that stands beside it.
"""

import asyncio
import contextlib
import hashlib
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import inside, typed
from support.examples import SOAK, examples
from support.people import GAID, ZERO, email

from gateway.app.composition import open_house
from gateway.cli.root import group
from gateway.consent.verbs import Consent
from gateway.ledger.acts import office_acts
from gateway.ledger.acts.office_acts import Belief
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.schema import FILE
from gateway.ledger.subjects import Choice
from gateway.terms import ALL_PURPOSES, CHOOSABLE, ChoiceKind, Purpose, Source

HEADER = b"type,value,purposes,made_at,place,country\n"
SUM = re.compile(r"(\d+) lines: (\d+) kept, (\d+) kept in doubt, (\d+) refused, (\d+) empty")
KEPT, DOUBT, REFUSED, EMPTY = range(4)
OUT = "opted out of everything"
A = b"email,amy@example.com"  # whose line has the fault
FAULTS = {
    "none": (A + b",sale,2024-05-01,US-CA,US", KEPT, ""),
    "a comma too many": (A + b",,,,,,", KEPT, ""),
    "a byte order mark": (b"\xef\xbb\xbf" + A + b",,,,", KEPT, ""),
    "blanks": (b" email , amy@example.com , sale , 2024-05-01 , us-ca , us ", KEPT, ""),
    "quotes that belong": (b'"email","amy@example.com","sale sharing",,"US-CA",', KEPT, ""),
    "a quote before": (b'email,"amy@example.com,,,,', REFUSED, "quote"),
    "a quote before the line": (b'"' + A + b",,,,", REFUSED, "quote"),
    "a quote within": (b'email,amy"amy@example.com,,,,', REFUSED, "quote"),
    "a quote behind": (A + b'",,,,', REFUSED, "quote"),
    "a quote at the end": (A + b',,,,"', REFUSED, "quote"),
    "text behind a quote": (b'email,"amy"@example.com,,,,', REFUSED, "quote"),
    "more cells": (A + b",sale,sharing,2024-05-01,US-CA,US", DOUBT, "more cells"),
    "fewer cells": (A + b",sale", DOUBT, "fewer cells"),
    "one cell": (b"amy@example.com", REFUSED, "empty"),
    "commas alone": (b",,,,,", REFUSED, "empty"),
    "semicolons": (b"email;amy@example.com;;;;", REFUSED, "empty"),
    "nothing": (b"", EMPTY, ""),
    "blanks alone": (b" \t ", EMPTY, ""),
    "a remark": (b"# amy@example.com is from the old system", REFUSED, "empty"),
    "the header": (HEADER.strip().upper(), REFUSED, "the header again"),
    "a megabyte": (A + b"," + b"x" * 2**20, REFUSED, "longer than any row"),
    "a megabyte of quotes": (A + b',"' + b'"' * 2**20, REFUSED, "longer than any row"),
    "a NUL": (b"email,amy@exa\x00mple.com,,,,", REFUSED, "control character"),
    "Latin-1": ("email,amy@example.com,,,Québec,".encode("latin-1"), REFUSED, "not UTF-8"),
    "UTF-16": ("email,amy@example.com,,,,".encode("utf-16-be"), REFUSED, "control character"),
    "U+2028": ("email,amy@example.com,,,,\u2028email,x@example.com".encode(), REFUSED, "one row a line"),
    "U+0085": ("email,amy@example.com,,,,\u0085email,x@example.com".encode(), REFUSED, "one row a line"),
    "a vertical tab": (A + b",,,,\x0bemail,x@example.com", REFUSED, "one row a line"),
    "a form feed": (A + b",,,,\x0cemail,x@example.com", REFUSED, "one row a line"),
    "a kind that there is not": (b"postal,amy@example.com,,,,", REFUSED, "undeclared"),
    "a number and half a one": (b"phone,4155550123;555-0124,,,,", REFUSED, "malformed"),
    "no value of its kind": (b"email,amy at example.com,,,,", REFUSED, "malformed"),
    "a withheld id": (b"gaid," + ZERO.encode() + b",,,,", REFUSED, "limited"),
    "a number of a spreadsheet": (b"phone,1.41556E+10,,,,", REFUSED, "as text"),
    "a shorter number of a spreadsheet": (b"phone,4.1555601E+9,,,,", REFUSED, "as text"),
    "an account of a spreadsheet": (b"account,1.41556E+10,,,,", REFUSED, "as text"),
    "an error of a spreadsheet": (b"account,#N/A,,,,", REFUSED, "as text"),
    "a purpose misspelt": (A + b",sale sharng,,,", DOUBT, "word 2 of purposes is none of sale, sharing"),
    "purposes with commas": (A + b',"sale,sharing",,,', DOUBT, "word 1 of purposes"),
    "a time to come": (A + b",,2999-01-01,,", DOUBT, "made_at"),
    "another time": (A + b",,20/11/2024,,", DOUBT, "made_at"),
    "a place in words": (A + b",,,California,", DOUBT, "place is an ISO 3166 code"),
    "a country in words": (A + b",,,,Mexico", DOUBT, "country is an ISO 3166-1 code"),
}


@pytest.fixture
def run(folder):
    def command(*words, **more):
        return CliRunner().invoke(group, [*map(str, words), "--data", str(folder)], catch_exceptions=False, **more)

    return command


@pytest.fixture
def take(run, tmp_path):
    """Imports a file of these bytes: its result, and [lines, kept, in doubt, refused, empty]."""

    def command(content: bytes, *words):
        table = tmp_path / "old.csv"
        table.write_bytes(content)
        told = run("import", table, *words)
        found = SUM.search(told.stdout)
        return told, [int(number) for number in found.groups()] if found else []

    return command


def off(folder, kind: str, value: str) -> set[str]:
    """What somebody was opted out of, by their entries."""
    shown = CliRunner().invoke(group, ["history", "--json", f"--{kind}", value, "--data", str(folder)])
    return {name for line in shown.stdout.splitlines() for name in json.loads(line)["entry"]["p"]}


@pytest.mark.parametrize("sign", [";", ",", " | "])
def test_a_value_of_an_owners_form_that_may_be_several_is_in_doubt_and_opts_out_each_part(take, folder, sign):
    """Nobody would ever ask for the two as one."""
    told, sums = take(HEADER + f'account,"a1{sign}a2",,,,\naccount,a3,,,,\n'.encode())
    assert (told.exit_code, sums) == (1, [2, 1, 1, 0, 0])
    assert "line 2: value may be several" in told.stderr + told.stdout
    assert "a1" not in told.stderr + told.stdout
    for value in (f"a1{sign}a2", "a1", "a2", "a3"):
        assert off(folder, "account", value) == {*ALL_PURPOSES}, value


def entries(folder) -> int:
    with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
        return db.execute("SELECT size FROM head").fetchone()[0]


def good(number: int) -> bytes:
    return f"email,{email(number)},,,,\n".encode()


@pytest.mark.parametrize("name", FAULTS)
def test_a_line_with_a_fault_is_counted_once_and_named_and_costs_nobody_else_their_no(take, folder, name):
    line, outcome, why = FAULTS[name]
    told, counts = take(HEADER + good(1) + line + b"\n" + good(2))
    expected = [2, 0, 0, 0]
    expected[outcome] += 1
    assert counts == [3, *expected]
    assert told.exit_code == (1 if outcome in {DOUBT, REFUSED} else 0)
    named = [each for each in told.stderr.splitlines() if each.startswith("  line ")]
    assert all(each.startswith("  line 3: ") for each in named)
    assert why in "".join(named) and bool(named) == bool(why)  # noqa: PT018 - a sentence
    assert "amy" not in told.output
    assert off(folder, "email", email(1)) == off(folder, "email", email(2)) == {*ALL_PURPOSES}
    if outcome == DOUBT:
        assert off(folder, "email", "amy@example.com") == {*(CHOOSABLE if OUT in told.stderr else ALL_PURPOSES)}


def test_a_stray_quote_swallows_nobody_behind_it(run, folder, tmp_path):
    table = tmp_path / "old.csv"
    people = [f"email,{email(number)}" for number in range(1, 5)]
    people[1] = people[1].replace("email,", 'email,"')
    table.write_text("\n".join(["type,value", *people, ""]))
    run("import", table)
    assert [bool(off(folder, "email", email(number))) for number in range(1, 5)] == [True, False, True, True]


def test_a_row_that_spans_lines_is_refused_line_by_line_and_who_stands_behind_it_is_out(take, folder):
    told, counts = take(HEADER + b'email,"amy@\nexample.com",,,,\n' + good(1))
    assert counts == [3, 1, 0, 2, 0]
    assert re.findall(r"line (\d): a quote", told.stderr) == ["2", "3"]
    assert off(folder, "email", email(1)) == {*ALL_PURPOSES}


@pytest.mark.parametrize(
    ("purposes", "out"),
    [
        ("", {*ALL_PURPOSES}), ("all", {*ALL_PURPOSES}), ("sale", {"sale"}), ("sale sharing", {"sale", "sharing"}),
        ("all marketing_email", {*ALL_PURPOSES, "marketing_email"}), ("sale sharng", {*CHOOSABLE}),
        ("sharng", {*CHOOSABLE}), ("marketing_emial marketing_text", {*CHOOSABLE}), ("service", {*CHOOSABLE}),
    ],
)  # fmt: skip
def test_a_person_whose_purposes_cannot_all_be_read_is_out_of_everything(take, folder, purposes, out):
    take(HEADER + f"email,amy@example.com,{purposes},,,\n".encode())
    assert off(folder, "email", "amy@example.com") == out


@pytest.mark.parametrize(
    ("purposes", "then"),
    [("sale sharng", "sale"), ("all marketing_email", "marketing_email"), ("sale", "sale")],
)
def test_a_list_that_an_earlier_version_took_in_part_is_taken_whole(take, folder, purposes, then):
    """What that version knew a row by does not stand for what the row says, nor for whom it is read as now."""
    cells = {
        "type": "email",
        "value": "amy@example.com",
        "purposes": purposes,
        "made_at": "",
        "place": "",
        "country": "",
    }
    content = repr(sorted(cells.items())).encode()
    with open_house(folder, inside.settings(), dev=True) as house:
        subjects = house.consent.people.name([cells]).subjects
        said = Choice(ChoiceKind.OPT_OUT, (Purpose(then),), Source.IMPORT, datetime.now(UTC))
        key = "import:" + hashlib.sha256(content).hexdigest()
        asyncio.run(house.consent.choose(subjects, said, key=key, body=content))
    told, _ = take(HEADER + ",".join(cells.values()).encode() + b"\n")
    assert "there before" not in told.stdout
    whole = {"sale"} if purposes == then else {*ALL_PURPOSES, "marketing_email"}
    assert off(folder, "email", "amy@example.com") >= whole


def test_who_was_unlinked_is_out_again_once_their_row_comes_again(take, run, folder):
    """The row's key led to an entry that stood no more, and "there before" was said of somebody who was allowed."""
    for _ in range(2):
        told, _ = take(HEADER + good(1) + good(2))
    assert "2 were there before" in told.stdout, "the control"
    assert run("erase", "unlink", "--email", email(1)).exit_code == 0
    assert off(folder, "email", email(1)) == set()
    told, counts = take(HEADER + good(1) + good(2))
    assert (counts, "1 were there before" in told.stdout) == ([2, 2, 0, 0, 0], True)
    assert off(folder, "email", email(1)) == {*ALL_PURPOSES}


def test_whose_no_was_voided_is_out_again_once_their_row_comes_again(take, folder):
    take(HEADER + good(1) + good(2))
    with open_house(folder, inside.settings(), dev=True) as house:
        key = house.consent.people.name([{"type": "email", "value": email(1)}]).keys[0]
        with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
            (seq,) = db.execute("SELECT seq FROM detail WHERE key = ?", (key,)).fetchone()
        for job in office_acts.void_jobs([seq], Belief(b"b" * 32, ("Ana", "Bo")), datetime.now(UTC)):
            house.writer.submit(job).result()
    before = entries(folder)
    told, _ = take(HEADER + good(1) + good(2))
    assert (entries(folder) - before, "1 were there before" in told.stdout) == (1, True)


def test_a_number_that_is_read_in_another_country_now_is_another_persons(take, folder, tmp_path):
    """The configuration said the wrong country; once it says the right one, the whole list is imported again."""
    row, config = HEADER + b"phone,2079460123,,,,\n", tmp_path / "gateway.toml"
    for country, there in (("US", False), ("GB", False), ("GB", True)):
        config.write_text(f'[phone]\ncountry = "{country}"\n')
        told, counts = take(row, "--config", config)
        assert (counts, "there before" in told.stdout) == ([1, 1, 0, 0, 0], there)
    assert off(folder, "phone", "+442079460123") == {*ALL_PURPOSES}


def test_what_a_row_is_known_by_is_no_guess_and_goes_when_its_person_is_unlinked(take, run, folder):
    take(HEADER + good(1))

    def answers():
        with contextlib.closing(sqlite3.connect(folder / FILE)) as db:
            return {row[0] for row in db.execute("SELECT id FROM idempotency")}

    cells = dict(zip(HEADER.decode().strip().split(","), good(1).decode().strip().split(","), strict=True))
    content = repr(sorted(cells.items()))
    whom = [("email", email(1))]
    bare = {hashlib.sha256(said.encode()).hexdigest() for said in (content, f"{content}{('', whom)!r}")}
    assert len(answers()) == 1
    assert answers().isdisjoint(hashlib.sha256(f"import:{each}".encode()).digest() for each in bare)
    assert run("erase", "unlink", "--email", email(1)).exit_code == 0
    assert answers() == set()


def test_a_file_that_was_cut_off_is_said_to_be_and_the_whole_one_opts_the_last_person_out(take, folder):
    told, counts = take(HEADER + good(1) + b"email,amy@example.co")
    assert counts == [2, 1, 1, 0, 0]
    assert "line 3: the file stops within this line" in told.stderr
    told, counts = take(HEADER + good(1) + b"email,amy@example.com,,,,\n")
    assert counts == [2, 2, 0, 0, 0]
    assert "1 were there before" in told.stdout
    assert off(folder, "email", "amy@example.com") == {*ALL_PURPOSES}


def test_a_last_line_without_its_end_may_have_lost_a_purpose(take, folder):
    told, _ = take(b"type,value,purposes\nemail,amy@example.com,sale")
    assert (told.exit_code, off(folder, "email", "amy@example.com")) == (1, {*CHOOSABLE})
    told, counts = take(b"type,value\nemail,ben@example.com")
    assert (counts, off(folder, "email", "ben@example.com")) == ([1, 0, 1, 0, 0], {*ALL_PURPOSES})


@pytest.mark.parametrize(
    "content",
    [b"", b"email,amy@example.com\n", HEADER.replace(b",", b";") + good(1), b"type,value,nation\nemail,a@example.com,US\n",
     b"type,value,value\nemail,a@example.com,b@example.com\n", b"type,value,amy@example.com\nemail,a@example.com,\n",
     "type,value\nemail,amy@example.com\n".encode("utf-16")],
)  # fmt: skip
def test_a_file_without_its_header_is_not_begun_and_nobody_is_quoted(take, folder, content):
    before = entries(folder)
    told, counts = take(content)
    assert (told.exit_code, counts, entries(folder)) == (2, [], before)
    assert "the first line is no header" in told.stderr
    assert "example.com" not in told.output


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_a_list_from_another_system_is_read_whatever_ends_its_lines(take, end):
    _, counts = take((HEADER + good(1) + good(2)).replace(b"\n", end))
    assert counts == [2, 2, 0, 0, 0]


def test_the_same_row_twice_in_a_file_and_the_same_file_twice_are_one_entry(take, folder):
    before = entries(folder)
    for _ in range(2):
        told, counts = take(HEADER + good(1) + good(1))
        assert (told.exit_code, counts) == (0, [2, 2, 0, 0, 0])
    assert entries(folder) == before + 1


def test_a_list_may_come_by_a_pipe(run, folder):
    told = run("import", "-", input=HEADER + good(1) + b'email,"\n')
    assert SUM.search(told.stdout).groups() == ("2", "1", "0", "1", "0")
    assert off(folder, "email", email(1)) == {*ALL_PURPOSES}


def test_a_folder_or_a_file_that_is_not_there_is_no_list(run, tmp_path):
    assert run("import", tmp_path).exit_code == run("import", tmp_path / "none.csv").exit_code == 2


def test_a_file_that_becomes_shorter_while_it_is_read_is_said_to_have(take, tmp_path, monkeypatch):
    from gateway.signals import lines

    read = lines.of_text

    def shrinking(opened):
        (tmp_path / "old.csv").write_bytes(HEADER + good(1))
        return read(opened)

    monkeypatch.setattr(lines, "of_text", shrinking)
    told, counts = take(HEADER + good(1) + good(2))
    assert (told.exit_code, counts) == (1, [1, 1, 0, 0, 0])
    assert "changed while it was read" in told.stderr


def test_a_busy_minute_of_the_ledger_stops_no_list_and_a_longer_one_says_where_it_stopped(take, folder, monkeypatch):
    choose, busy = Consent.choose, iter([True] * 3)

    async def slow(self, *subjects, **more):
        done = await choose(self, *subjects, **more)
        if next(busy, False):
            raise StoreUnavailable("not written yet; ask again with the same Idempotency-Key")
        return done

    from gateway.cli import opt_out_list

    monkeypatch.setattr(opt_out_list, "PAUSE", 0)
    monkeypatch.setattr(Consent, "choose", slow)
    before = entries(folder)
    told, counts = take(HEADER + good(1) + good(2))
    assert (counts, entries(folder)) == ([2, 2, 0, 0, 0], before + 2)
    assert "there before" not in told.stdout
    busy = iter([True] * 1_000)
    with pytest.raises(StoreUnavailable):
        take(HEADER + good(3))


BYTES = st.lists(
    st.one_of(st.sampled_from([b'"', b",", b"\n", b"\r\n", b"sale", A]), st.binary(max_size=20)), max_size=12
)


@settings(examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BYTES.map(b"".join))
def test_the_parts_are_the_whole_whatever_a_file_holds(take, folder, body):
    told, (total, *parts) = take(HEADER + good(1) + body + b"\n" + good(2))
    assert total == sum(parts) == len(re.split(rb"\r\n?|\n", body + b"\n")) + 1
    named = {int(number) for number in re.findall(r"line (\d+): ", told.stderr)}
    assert len(named) >= parts[DOUBT] + parts[REFUSED]
    assert off(folder, "email", email(2)) == {*ALL_PURPOSES}


def real(*words, **more):
    command = [typed.program(), *map(str, words)]
    return subprocess.run(command, capture_output=True, check=False, timeout=900, **more)


@pytest.mark.slow
def test_a_run_that_is_killed_in_the_middle_and_done_again_loses_nobody_and_doubles_nobody(folder, tmp_path):
    table, count = tmp_path / "old.csv", 3_000
    table.write_bytes(HEADER + b"".join(f"email,p{number}@example.com,,,,\n".encode() for number in range(count)))
    before = entries(folder)
    command = [sys.executable, "-m", "gateway", "import", str(table), "--data", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        until = time.monotonic() + 60
        while entries(folder) == before:  # some are entered, others on their way
            assert time.monotonic() < until
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    done = entries(folder) - before
    assert 0 < done < count
    again = real("import", table, "--data", folder)
    assert again.stdout.decode().startswith(
        f"{count} lines: {count} kept, 0 kept in doubt, 0 refused, 0 empty; {done} were"
    )
    assert entries(folder) - before == count


@pytest.mark.slow
def test_a_real_run_by_a_pipe_names_its_lines_and_answers_by_its_exit_code(folder):
    told = real("import", "-", "--data", folder, input=HEADER + good(1) + FAULTS["a quote before"][0] + b"\n" + good(2))
    assert (told.returncode, told.stdout) == (1, b"3 lines: 2 kept, 0 kept in doubt, 1 refused, 0 empty\n")
    assert b"line 3: a quote" in told.stderr


@pytest.mark.slow
def test_ten_thousand_rows_with_faults_among_them_are_all_there(take, folder):
    """One in four has no fault; what it is in is what it is out. In `make soak` they are twenty thousand."""
    count, before = 20_000 if SOAK else 10_000, entries(folder)
    faults = [(line, outcome) for name, (line, outcome, _) in FAULTS.items() if "megabyte" not in name]
    planted = {number: faults[number * 3 // 4 % len(faults)] for number in range(2, count + 2) if number % 4}
    people = (f"gaid,{GAID[:-12]}{number:012x},,,,".encode() for number in range(2, count + 2))
    rows = (planted[number][0] if number in planted else line for number, line in enumerate(people, 2))
    told, (total, *parts) = take(HEADER + b"\n".join(rows) + b"\n")
    expected = [sum(outcome == each for _, outcome in planted.values()) for each in range(4)]
    expected[KEPT] += count - len(planted)
    assert (total, parts) == (count, expected)
    named = {int(number) for number in re.findall(r"line (\d+): ", told.stderr)}
    assert named == {number for number, (_, outcome) in planted.items() if outcome in {DOUBT, REFUSED}}
    marked = (
        line.removeprefix(b"\xef\xbb\xbf").rstrip(b",")
        for line, outcome in planted.values()
        if outcome in {KEPT, DOUBT}
    )
    different = set(marked)  # the same row twice is one entry
    assert entries(folder) - before == count - len(planted) + len(different)
    last = f"{GAID[:-12]}{count:012x}"
    assert off(folder, "gaid", last) == {*ALL_PURPOSES}
