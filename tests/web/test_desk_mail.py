"""The privacy mailbox: each mail one case with its day, sealed, read by an officer before anything is done."""

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime

import pytest
from click.testing import CliRunner
from support import inside
from support.at_the_desk import FORM, OURS, comes_in, desk, form_of, lines

from gateway.cli.root import group
from gateway.desk.office.cases import Cases
from gateway.desk.office.desk_file import DESK_FILE, desk_file
from gateway.desk.office.desk_log import KEPT, DeskLog
from gateway.desk.office.mailbox import Mailbox, came_on, parsed, read_mail
from gateway.desk.office.officers import DeskRole
from gateway.desk.office.request_law import RequestKind

pytestmark = pytest.mark.anyio
NOW = datetime.now(UTC)


def written(text="Please do not sell my data.", *, came=None, sender="Jo Doe <jo@example.com>", **more) -> EmailMessage:
    """A mail to the privacy mailbox."""
    mail = EmailMessage()
    if came:
        mail["Received"] = f"from mx.example.com by our.example.com; {format_datetime(came)}"
    mail["From"], mail["To"], mail["Subject"] = sender, "privacy@example.com", "My data"
    mail["Date"], mail["Message-ID"] = "Mon, 02 Nov 2026 09:00:00 +0000", more.get("id", "<1@example.com>")
    mail.set_content(text)
    return mail


def box(folder, clock=lambda: NOW) -> Mailbox:
    return Mailbox(Cases(folder, inside.secrets().desk, clock))


async def taken(folder, mail):
    """Beside the loop, the secrets too, which are read once a process."""
    return await asyncio.to_thread(lambda: box(folder).take(mail))


@pytest.fixture
def run(folder):
    return lambda *words, mail=b"": CliRunner().invoke(group, ["desk", "mail", *words, "--data", str(folder)], mail)


def test_a_piped_mail_is_one_case_with_the_day_it_came_and_nothing_is_entered(run, folder):
    came = NOW - timedelta(days=9)
    said = run(mail=written(came=came).as_bytes())
    assert (said.exit_code, said.output) == (0, "case 1\n")
    case = box(folder).cases.read_case(1)
    assert case.received == came.replace(microsecond=0)
    assert (case.manner, case.event, case.said["lines"]) == ("email", "", "")
    assert case.said["offered"] == "jo@example.com"  # and taken by nobody
    assert "sell my data" in case.said["text"]
    assert b"jo@example.com" not in (folder / DESK_FILE).read_bytes()


def test_the_same_mail_is_one_case_whatever_was_put_above_it_and_another_with_its_id_is_another(run):
    mail = written(came=NOW).as_bytes()
    assert run(mail=mail).output == "case 1\n"
    again = b"Received: from a.example.com by b.example.com; Mon, 02 Nov 2026 09:00:00 +0000\r\nX-Spam: no\r\n"
    assert run(mail=again + mail.replace(b"\n", b"\r\n")).output == "case 1, as before\n"
    assert run(mail=written("Delete my data.").as_bytes()).output == "case 2\n"
    assert run(mail=written(id="<2@example.com>").as_bytes()).output == "case 3\n"


KILLED = """
import os, sys
from pathlib import Path
from gateway.app.composition import now
from gateway.desk.office import mailbox
from gateway.desk.office.cases import Cases
from gateway.keys import secret_files
mailbox.seal_case = lambda *_: os._exit(9)  # the case is written, and nothing says yet whose mail it is
folder = Path(sys.argv[1])
mailbox.Mailbox(Cases(folder, secret_files.load_secrets(folder).desk, now)).take(sys.stdin.buffer.read())
"""


def test_a_mail_whose_taking_was_killed_in_the_middle_is_one_case_when_it_comes_again(run, folder):
    mail = written().as_bytes()
    run(mail=written("another", id="<2@example.com>").as_bytes())
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], input=mail, check=False, timeout=60)
    assert killed.returncode == 9
    assert [each.number for each in box(folder).cases.open_cases()] == [1]
    assert run(mail=mail).output == "case 2\n"
    assert run(mail=mail).output == "case 2, as before\n"
    assert [each.number for each in box(folder).cases.open_cases()] == [1, 2]


def test_a_mail_that_is_handed_in_by_several_at_once_is_one_case(folder):
    mail = written().as_bytes()
    with ThreadPoolExecutor(8) as several:
        taken = list(several.map(lambda _: box(folder).take(mail), range(8)))
    assert sorted(taken) == [(1, False)] * 7 + [(1, True)]


def test_a_maildir_is_taken_in_whole_and_once(run, tmp_path):
    for name in ("new", "cur", "tmp"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    (tmp_path / "Maildir" / "new" / "1.a").write_bytes(written("one").as_bytes())
    (tmp_path / "Maildir" / "cur" / "0.b:2,S").write_bytes(written("two").as_bytes())
    (tmp_path / "Maildir" / "tmp" / "2.c").write_bytes(written("not yet delivered").as_bytes())
    assert run("--maildir", str(tmp_path / "Maildir")).output == "case 1\ncase 2\n"
    assert (tmp_path / "Maildir" / "cur" / "1.a:2,S").exists()
    assert set(run("--maildir", str(tmp_path / "Maildir")).output.splitlines()) == {
        "case 1, as before",
        "case 2, as before",
    }


def test_a_mail_that_cannot_be_kept_now_is_left_to_the_mail_server(run, monkeypatch, folder):
    (folder / DESK_FILE).unlink(missing_ok=True)
    (folder / DESK_FILE).mkdir()
    assert run(mail=written().as_bytes()).exit_code == 75
    monkeypatch.setattr("gateway.cli.desk.MOST_BYTES", 10)
    assert run(mail=written().as_bytes()).exit_code == 1


def test_what_cannot_be_read_is_named_and_the_original_is_kept(folder):
    mail = written()
    mail.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="signed.pdf")
    found = read_mail(parsed(mail.as_bytes()))
    assert found.text == "Please do not sell my data."
    assert found.parts == ("signed.pdf (application/pdf, 8 bytes)",)
    number, fresh = box(folder).take(mail.as_bytes())
    assert fresh
    assert box(folder).original(number) == mail.as_bytes()


def test_of_a_page_the_words_are_read(folder):
    page = written()
    page.set_content("<style>p{}</style><p>Opt me&nbsp;out</p><script>no()</script><p>Jo</p>", subtype="html")
    assert read_mail(parsed(page.as_bytes())).text == "Opt me out\nJo"


@pytest.mark.parametrize(
    "raw",
    [
        b"x", b"\x00\xff\xfe", b"From: \xff\xfe <\r\n\r\nno", b"Content-Type: text/plain; charset=nope\n\nopt out",
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Transfer-Encoding: base64\n\n!!!",
        b"From: =?utf-8?q?=ff?= <a@b@c>\nReceived: ; 99\nSubject: =?x?y?z?=\n\nno", b"Content-Type: message/rfc822\n\n",
        b"From: a@example.com\nContent-Disposition: attachment; filename*=utf-8''%ff%fe\n\nno",
    ],
)  # fmt: skip
def test_whatever_comes_is_a_case(run, raw):
    said = run(mail=raw)
    assert (said.exit_code, said.output) == (0, "case 1\n")
    assert run(mail=raw).output == "case 1, as before\n"


HEAD = b"From: jo@example.com\nSubject: My data\nMessage-ID: <7@example.com>\n"
NO = b"Please do not sell my data."
NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(1000))
FEWER = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(49))
HOSTILE = {
    "a parameter without a value": HEAD + b"Content-Type: text/plain; charset*\n\n" + NO,
    "a number of thousands of digits": HEAD + b"Content-Type: text/plain; charset*" + b"9" * 5000 + b"=a\n\n" + NO,
    "a charset that nobody knows": HEAD + b"Content-Type: text/plain; charset=nope\n\n" + NO,
    "an id that begins and does not end": b"Message-ID: <\n" + HEAD + b"\n" + NO,
    "100 kB of names": b"From: " + b"a " * 50_000 + b"\n" + HEAD + b"\n" + NO,
    "1 MB of parameters": HEAD + b"Content-Type: text/plain" + b";" * 1_000_000 + b"\n\n" + NO,
    "brackets within brackets": b"From: " + b"(" * 2000 + b"\n" + HEAD + b"\n" + NO,
    "groups within groups": b"From: " + b":" * 2000 + b"\n" + HEAD + b"\n" + NO,
}
BOTTOMLESS = {
    "parts within parts": HEAD + NESTED + NO,
    "mails within mails": HEAD + b"Content-Type: message/rfc822\n\n" * 1000 + NO,
    "many lines in parts within parts": HEAD + NESTED[:15_000] + b"\n" * 2_000_000,
    "many lines in fewer parts": HEAD + FEWER + b"\n" * 800_000,
    "the same, ended otherwise": HEAD + FEWER + b"\r" * 800_000,
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_a_head_that_no_parser_bears_costs_nobody_their_no(run, folder, raw):
    begun = time.process_time()
    assert run(mail=raw).output == "case 1\n"
    assert run(mail=raw).output == "case 1, as before\n"
    assert time.process_time() - begun < 2
    case = box(folder).cases.read_case(1)
    assert (case.said["text"], case.said["subject"]) == (NO.decode(), "My data")
    assert box(folder).original(1) == raw


@pytest.mark.parametrize("raw", BOTTOMLESS.values(), ids=BOTTOMLESS)
def test_of_a_mail_without_bottom_the_sender_is_read_and_the_rest_is_named(run, folder, raw):
    begun = time.process_time()
    assert run(mail=raw).output == "case 1\n"
    assert time.process_time() - begun < 2
    case = box(folder).cases.read_case(1)
    assert (case.said["offered"], len(case.said["parts"])) == ("jo@example.com", 1)
    assert box(folder).original(1) == raw


def test_a_mail_that_cannot_be_parsed_at_all_is_a_case_with_its_original(run, folder, monkeypatch):
    def stumbles(*_, **__):
        raise RecursionError

    monkeypatch.setattr("email.parser.BytesParser.parsebytes", stumbles)
    one, another = written(came=NOW).as_bytes(), written(came=NOW, sender="ann@example.com").as_bytes()
    assert [run(mail=raw).output for raw in (one, another, one)] == ["case 1\n", "case 2\n", "case 1, as before\n"]
    assert box(folder).cases.read_case(1).said["parts"] == ["a part that nobody can read: in the original"]
    assert box(folder).original(1) == one


def test_two_people_whose_mails_have_no_head_are_two_cases(run):
    assert [run(mail=raw).output for raw in (b"jo@example.com: no", b"ann@example.com: no")] == ["case 1\n", "case 2\n"]


def test_one_mail_that_cannot_be_taken_holds_up_no_other_one_and_is_tried_again(run, tmp_path, monkeypatch):
    for name in ("new", "cur"):
        (tmp_path / "Maildir" / name).mkdir(parents=True)
    (tmp_path / "Maildir" / "new" / "1.a").write_bytes(b"broken")
    (tmp_path / "Maildir" / "new" / "2.b").write_bytes(written().as_bytes())
    take = Mailbox.take

    def stumbles(self, raw):
        if raw == b"broken":
            raise IndexError
        return take(self, raw)

    monkeypatch.setattr(Mailbox, "take", stumbles)
    said = run("--maildir", str(tmp_path / "Maildir"))
    assert (said.exit_code, said.stdout) == (75, "case 1\n")
    assert said.stderr == "1.a was not taken, try again: IndexError\n"
    assert [path.name for path in (tmp_path / "Maildir" / "new").iterdir()] == ["1.a"]
    assert run(mail=b"broken").exit_code == 75


@pytest.mark.parametrize("stated", [NOW + timedelta(days=2), NOW - timedelta(days=500)])
def test_a_day_that_cannot_be_is_not_believed_nor_what_the_writer_says(stated):
    assert came_on(parsed(written(came=stated).as_bytes()), NOW) == NOW
    assert came_on(parsed(written().as_bytes()), NOW) == NOW


def test_the_original_is_forgotten_with_what_was_written(folder):
    later = datetime.now(UTC) + KEPT + timedelta(days=2)
    number, _ = box(folder).take(written().as_bytes())
    box(folder).cases.answer_case(number, "complied")
    for text in ("another", "one more"):
        box(folder, lambda: later).take(written(text).as_bytes())
    assert box(folder).original(number), "nobody was at the desk then: a clock that is ahead forgets nothing"
    DeskLog(folder, inside.secrets().desk).note(later - timedelta(days=1), {"who": "ada"})
    for text in ("a third", "a fourth"):
        box(folder, lambda: later).take(written(text).as_bytes())
    assert box(folder).original(number) == b""
    with desk_file(folder) as db:
        assert db.execute("SELECT count(*) FROM mail WHERE original IS NULL").fetchone() == (1,)


def test_the_original_is_forgotten_where_no_further_mail_comes(folder):
    later = datetime.now(UTC) + KEPT + timedelta(days=2)
    number, _ = box(folder).take(written().as_bytes())
    box(folder).cases.answer_case(number, "complied")
    DeskLog(folder, inside.secrets().desk).note(later - timedelta(days=1), {"who": "ada"})
    box(folder, lambda: later).cases.open_cases()
    assert box(folder).original(number) == b""


async def posted(client, cookie, path, **said):
    page = await client.get(path, headers=cookie)
    return await client.post(path, headers={**cookie, **OURS, **FORM}, data={"form": form_of(page), **said})


async def test_an_officer_reads_a_mail_says_what_it_asks_for_and_enters_the_no(folder):
    cookie = await comes_in(folder)
    await taken(folder, written("<b>Do not sell</b>", came=NOW).as_bytes())
    async with desk(folder) as client:
        today = await client.get("/desk", headers=cookie)
        assert 'href="/desk/mail/1">Read the mail of case 1</a>' in today.text
        page = await client.get("/desk/mail/1", headers=cookie)
        assert "&lt;b&gt;Do not sell&lt;/b&gt;" in page.text
        assert (await posted(client, cookie, "/desk/mail/1", kind="nonsense")).status_code == 400
        sorted_ = await posted(client, cookie, "/desk/mail/1", kind="opt_out", place="us-ca")
        assert sorted_.headers["location"] == "/desk/requests/1"
        case = await client.get("/desk/requests/1", headers=cookie)
        assert ">jo@example.com</textarea>" in case.text  # offered, and not entered
        assert "No entry was made yet" in case.text
        await posted(client, cookie, "/desk/requests/1", action="again", identifiers="jo@example.com")
        assert "The no is kept and holds" in (await client.get("/desk/requests/1", headers=cookie)).text
        assert (await posted(client, cookie, "/desk/requests/1", action="comply")).status_code == 303
        noted = [line["what"] for line in await lines(folder)]
    assert "read a mail" in noted
    assert "sorted a mail" in noted


async def test_a_no_that_came_by_mail_is_denied_only_once_it_was_entered_and_goes_on_holding(folder):
    cookie, path = await comes_in(folder), "/desk/requests/1"
    await asyncio.to_thread(
        lambda: box(folder).take(written("As the agent of jo@example.com: do not sell.").as_bytes())
    )
    denial = {"action": "deny", "reason": "no_permission"}
    async with desk(folder) as client:
        assert (await posted(client, cookie, path, **denial)).status_code == 400  # unread
        await posted(client, cookie, "/desk/mail/1", kind="opt_out", place="US-CA")
        await posted(client, cookie, path, action="acknowledge")
        refused = await posted(client, cookie, path, **denial)
        assert (refused.status_code, "enter it from the letter or mail" in refused.text) == (400, True)
        assert 'value="deny"' not in (await client.get(path, headers=cookie)).text
        assert (await asyncio.to_thread(box(folder).cases.read_case, 1)).answered is None
        await posted(client, cookie, path, action="again", identifiers="jo@example.com")
        assert (await posted(client, cookie, path, **denial)).status_code == 303
        assert "The no is kept and holds" in (await client.get(path, headers=cookie)).text


async def test_a_mail_that_names_nobody_is_ended_as_no_request_also_once_it_was_read(folder):
    cookie, page = await comes_in(folder), "/desk/mail/1"
    await taken(folder, written("Stop it!", sender="nobody").as_bytes())
    async with desk(folder) as client:
        await posted(client, cookie, page, kind="opt_out", place="US-CA")
        for stale in ("unread", "delete"):
            assert (await posted(client, cookie, page, kind="no request", seen=stale)).status_code == 400
        assert 'name="seen" value="opt_out"' in (await client.get(page, headers=cookie)).text
        assert (await posted(client, cookie, page, kind="no request", seen="opt_out")).status_code == 303
        assert "<strong>no request</strong>" in (await client.get("/desk/requests/1", headers=cookie)).text


async def test_the_log_says_whose_mail_was_read_and_saved(folder):
    cookie = await comes_in(folder)
    await taken(folder, written().as_bytes())
    async with desk(folder) as client:
        for path in ("/desk/mail/1", "/desk/mail/1/original", "/desk/mail/2"):
            await client.get(path, headers=cookie)
    told = [(line["what"], line.get("case")) for line in await lines(folder) if "mail" in line["what"]]
    assert told == [("read a mail", "1"), ("saved a mail", "1")]


@pytest.mark.parametrize("does", ["enters", "sorts"])
async def test_a_mail_that_a_colleague_sorted_or_entered_is_not_ended_as_no_request(folder, monkeypatch, does):
    cookie = await comes_in(folder)
    for text in ("Do not sell.", "Do not share."):
        await taken(folder, written(text).as_bytes())
    async with desk(folder) as client:
        await posted(client, cookie, "/desk/mail/1", kind="opt_out", place="us-ca")
        assert (await posted(client, cookie, "/desk/mail/1", kind="no request")).status_code == 400
        note = DeskLog.note

        def slow(log, at, said):
            """Meanwhile a colleague is quicker."""
            note(log, at, said)
            cases = box(folder).cases
            if said["what"] == "sorted a mail" and does == "enters":
                cases.entered(2, "an-entry")
            elif said["what"] == "sorted a mail":
                cases.reread(2, {**cases.read_case(2).said, "mail": "read"})
                box(folder).sort(2, RequestKind.OPT_OUT, "US-CA")

        monkeypatch.setattr(DeskLog, "note", slow)
        assert (await posted(client, cookie, "/desk/mail/2", kind="no request")).status_code == 400
    for number in (1, 2):
        assert (await asyncio.to_thread(box(folder).cases.read_case, number)).answered is None


async def test_a_mail_of_halves_of_characters_is_shown_all_the_same(folder):
    cookie = await comes_in(folder)
    raw = (
        b"From: \xed\xa0\x80 <\xed\xa0\x80@example.com>\nSubject: =?unicode_escape?q?=5Cud800?=\n"
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/plain; charset=unicode_escape\n\n\\ud800 no"
        b"\n--a\nContent-Type: image/png\nContent-Disposition: attachment; filename*=unicode_escape''%5Cud800\n\nx\n--a--\n"
    )
    await taken(folder, raw)
    async with desk(folder) as client:
        page = await client.get("/desk/mail/1", headers=cookie)
        assert "? no" in page.text
        assert (await client.get("/desk/requests/1", headers=cookie)).status_code == 200
        assert (await client.get("/desk", headers=cookie)).status_code == 200


async def test_a_mail_that_asks_for_deletion_gets_that_clock_and_one_that_asks_for_nothing_ends(folder):
    cookie, reader = await comes_in(folder), await comes_in(folder, "ron", DeskRole.READER)
    for text in ("Delete me.", "Buy our pills."):
        await taken(folder, written(text).as_bytes())
    async with desk(folder) as client:
        await posted(client, cookie, "/desk/mail/1", kind="delete", place="DE")
        assert "Case 1: delete" in (await client.get("/desk/requests/1", headers=cookie)).text
        await posted(client, cookie, "/desk/mail/2", kind="no request")
        assert "<strong>no request</strong>" in (await client.get("/desk/requests/2", headers=cookie)).text
        assert "No request was answered" in (await client.get("/desk/numbers", headers=cookie)).text
        original = await client.get("/desk/mail/1/original", headers=cookie)
        assert original.headers["content-disposition"] == 'attachment; filename="case-1.eml"'
        assert original.content == written("Delete me.").as_bytes()
        assert (await client.get("/desk/mail/1/original", headers=reader)).status_code == 403
        for none in ("9", "x", "99999999999999999999", "%00"):
            assert (await client.get(f"/desk/mail/{none}", headers=cookie)).status_code == 404


async def test_a_no_whose_words_do_not_open_is_not_denied_unread_and_its_mail_is_still_there(folder):
    await taken(folder, written().as_bytes())
    await asyncio.to_thread(_shut, folder)
    cookie, path = await comes_in(folder), "/desk/requests/1"
    async with desk(folder) as client:
        page = (await client.get(path, headers=cookie)).text
        assert 'href="/desk/mail/1/original"' in page
        assert (await client.get("/desk/mail/1/original", headers=cookie)).content == written().as_bytes()
        denied = {"action": "deny", "reason": "fraud"}
        assert (await posted(client, cookie, path, **denied)).status_code == 400
        assert (await posted(client, cookie, path, action="again", identifiers="jo@example.com")).status_code == 303
        assert (await posted(client, cookie, path, **denied)).status_code == 303


async def test_a_no_that_is_entered_from_its_mail_keeps_the_mail_and_is_complied_with_once_all_of_it_was(folder):
    await taken(folder, written("Also ann@example.com, please.").as_bytes())
    cookie, path = await comes_in(folder), "/desk/requests/1"
    async with desk(folder) as client:
        await posted(client, cookie, "/desk/mail/1", kind="opt_out", place="US-CA")
        await asyncio.to_thread(_shut, folder)
        for sender in ("jo@example.com", "ann@example.com"):
            page = (await client.get(path, headers=cookie)).text
            assert ('name="identifiers"' in page, 'href="/desk/mail/1/original"' in page) == (True, True)
            assert (await posted(client, cookie, path, action="again", identifiers=sender)).status_code == 303
            saved = await client.get("/desk/mail/1/original", headers=cookie)
            assert (saved.status_code, "ann@example.com" in saved.text) == (200, True)
            assert (await posted(client, cookie, path, action="comply")).status_code == 400
        assert "Read what was not readable of case 1" in (await client.get("/desk", headers=cookie)).text
        assert (await posted(client, cookie, path, action="comply", told_unread="yes")).status_code == 303
    assert [line.get("told_unread") for line in await lines(folder) if line["what"] == "case: comply"] == ["yes"]


async def test_a_mail_whose_words_do_not_open_is_ended_as_no_request_by_who_looked_at_it_and_no_letter_is(folder):
    await taken(folder, written("Buy our pills.").as_bytes())
    await asyncio.to_thread(lambda: box(folder).cases.open_case(NOW, RequestKind.OPT_OUT, "", "letter", {"lines": "x"}))
    cookie, path = await comes_in(folder), "/desk/requests/1"
    await asyncio.to_thread(_shut, folder)
    async with desk(folder) as client:
        assert "Nobody is named in it" in (await client.get(path, headers=cookie)).text
        assert "Nobody is named in it" not in (await client.get("/desk/requests/2", headers=cookie)).text
        said = {"form": form_of(await client.get(path, headers=cookie)), "kind": "no request", "looked": "yes"}
        for mail, told, status in (
            (2, said, 404),
            (1, {**said, "kind": "delete"}, 400),
            (1, {**said, "looked": ""}, 400),
            (1, said, 303),
            (1, said, 400),
        ):
            answered = await client.post(f"/desk/mail/{mail}", headers={**cookie, **OURS, **FORM}, data=told)
            assert answered.status_code == status
        assert "<strong>no request</strong>" in (await client.get(path, headers=cookie)).text
        assert (await client.get("/desk/mail/1/original", headers=cookie)).content == written(
            "Buy our pills."
        ).as_bytes()


def _shut(folder):
    with desk_file(folder) as db:
        db.execute("UPDATE request SET sealed = x'00'")
