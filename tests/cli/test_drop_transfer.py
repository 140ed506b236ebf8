"""Lists and answers go by the state's own doors: what was downloaded is what is taken, what was answered is what is sent,
and of a key or a request no word of a command tells. The state's service is a stand-in, made by what is published.
"""

import email
import http.server
import io
import threading
import zipfile
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner
from support.certificates import certificate

from gateway.choice.deletion_list import DeletionKind, hashed
from gateway.cli.root import group
from gateway.delivery import deletion_platform, outgoing

KEY, ANA, ID = "k3y-of-broker-4821", "ana@example.com", "A" * 12
NAME = f"{datetime.now(UTC):%Y%m%d}_4821_Email.csv"
LOOKS = 0.02  # seconds between two looks whether to end


def archive():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        opened.writestr(NAME, f"Id,Hash\n{ID},{hashed(DeletionKind.EMAIL, ANA)}\n")
    return made.getvalue()


class DropService:
    """What the state says, in order, and what it was asked: (method, path, key, headers, body)."""

    def __init__(self):
        self.says, self.asked, self.address = [], [], ""


@pytest.fixture
def service(tmp_path, monkeypatch):
    here = DropService()

    class Door(http.server.BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            here.asked.append((self.command, self.path, self.headers["x-api-key"], self.headers, body))
            status, headers, content = here.says.pop(0)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_):
            """Quiet."""

    theirs, ours = certificate("localhost", tmp_path)
    monkeypatch.setattr(outgoing, "authorities", lambda: ours)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.socket = theirs.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    here.address = f"https://localhost:{server.server_port}/sandbox"
    threading.Thread(target=server.serve_forever, args=(LOOKS,), daemon=True).start()
    yield here
    server.shutdown()
    server.server_close()


@pytest.fixture
def run(tmp_path, service):
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "key").chmod(0o600)

    def command(*words, address=None):
        where = ["--key", str(tmp_path / "key"), "--address", address or service.address]
        return CliRunner().invoke(group, ["drop", *map(str, words), *where], catch_exceptions=False)

    return command


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr(deletion_platform.time, "sleep", found.append)
    return found


@pytest.fixture
def answers(tmp_path):
    folder = tmp_path / "answers"
    folder.mkdir()
    (folder / NAME).write_text(f"Id,Status\n{ID},5\n")
    (folder / "open.csv").write_text(f"Id,Status,Why,File,Day\n{'B' * 12},,x,y,3\n")
    return folder


def test_a_download_is_waited_for_until_it_is_made_and_is_then_taken_as_it_came(run, service, folder, tmp_path, pauses):
    sent = archive()
    service.says = [(202, {"Retry-After": "7"}, b""), (429, {}, b""), (200, {}, sent)]
    told = run("fetch", tmp_path / "download.zip")
    assert (told.exit_code, pauses) == (0, [7.0, 30.0])
    assert (tmp_path / "download.zip").read_bytes() == sent
    assert [asked[:3] for asked in service.asked] == [("GET", "/sandbox/data/download", KEY)] * 3
    taken = CliRunner().invoke(group, ["drop", "take", str(tmp_path / "download.zip"), "--data", str(folder)])
    assert "1 new, 0 before, 0 refused" in taken.output


@pytest.mark.parametrize(("more", "path"), [((), "/sandbox/data/upload"), (("--amend",), "/sandbox/data/amend")])
def test_what_was_answered_is_sent_whole_and_what_is_open_stays_here(run, service, answers, more, path):
    service.says = [(200, {}, b"{}")]
    told = run("send", answers, *more)
    assert (told.exit_code, told.stdout) == (0, "1 files sent\n")
    ((method, asked, key, headers, body),) = service.asked
    assert (method, asked, key) == ("POST", path, KEY)
    form = email.message_from_bytes(f"Content-Type: {headers['content-type']}\n\n".encode() + body)
    (part,) = form.get_payload()
    assert (part.get_param("name", header="content-disposition"), part.get_filename()) == ("files", NAME)
    assert part.get_payload(decode=True) == (answers / NAME).read_bytes()


@pytest.mark.parametrize(
    ("status", "word"),
    [(409, "not answered in full"), (401, "the key is not taken"), (503, "01:00 to 03:00"), (302, "HTTP 302"),
     (500, "HTTP 500"), (200, "no ZIP")],
)  # fmt: skip
def test_what_the_state_refuses_is_told_without_its_words_and_nothing_is_written(
    run, service, answers, tmp_path, status, word
):
    said = f"{ID} {ANA} {KEY}".encode()
    service.says = [(status, {"Location": f"{service.address}/elsewhere"}, said)] * 2
    told = [run("fetch", tmp_path / "download.zip"), *([] if status == 200 else [run("send", answers)])]
    for each in told:
        assert (each.exit_code, word in each.output) == (1, True)
        assert not any(text in each.output for text in (ID, ANA, KEY))
    assert not (tmp_path / "download.zip").exists()
    assert len(service.asked) == len(told), "no redirect is followed"


def test_nobody_is_told_that_nothing_was_taken_where_the_state_hung_up_after_it_had_everything(run, service, answers):
    (answers / NAME.replace("Email", "Phone")).mkdir()  # none of ours
    told = run("send", answers)
    assert (told.exit_code, len(service.asked), "nothing" in told.output) == (1, 1, False)
    assert "did not say that it took them" in told.output


def test_a_download_that_is_never_made_ends_the_waiting(run, service, tmp_path, pauses, monkeypatch):
    monkeypatch.setattr(deletion_platform, "PATIENCE", 0.0)
    service.says = [(202, {"Retry-After": "1"}, b"")]
    told = run("fetch", tmp_path / "download.zip")
    assert (told.exit_code, "not made yet" in told.output, pauses) == (1, True, [])


def test_a_server_that_cannot_show_the_states_name_gets_no_key(run, service, answers):
    told = run("send", answers, address=service.address.replace("localhost", "127.0.0.1"))
    assert (told.exit_code, "no answer" in told.output, KEY in told.output) == (1, True, False)
    assert service.asked == []


def test_a_key_that_others_may_read_is_refused_and_so_is_an_address_without_tls(run, service, answers, tmp_path):
    for address in ("http://localhost/", f"{service.address}/a#", f"{service.address}/?"):
        assert run("send", answers, address=address).exit_code == 2
    assert run("fetch", answers / NAME).exit_code == 2, "nothing is overwritten"
    (tmp_path / "key").chmod(0o644)
    told = run("send", answers)
    assert (told.exit_code, "chmod 600" in told.output, KEY in told.output) == (2, True, False)
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "key").write_text(f"{KEY}\r\nX-Other: 1")
    told = run("send", answers)
    assert (told.exit_code, "X-Other" in told.output) == (2, False)
    assert service.asked == []
