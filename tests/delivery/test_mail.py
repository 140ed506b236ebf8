"""Mail through a real SMTP server on this machine."""

import socket
import ssl
import threading
from ipaddress import ip_address

import anyio
import pytest
import structlog
from cryptography import x509
from support.certificates import self_signed
from support.mailbox import mailbox
from support.people import email
from support.ports import free_port

from gateway.delivery import letters
from gateway.delivery.letters import Letter, Mail, MailFolder, MailServer

pytestmark = pytest.mark.anyio
LETTER = Letter("Su código", "Su código: 1234 5678\n", "es")
TO, FROM = email(1), "privacy@site.example.com"


def to(port, security="none", **more):
    return Mail(MailServer("127.0.0.1", port, security, FROM, **more))


async def sent(mailer, address=TO):
    try:
        return await mailer.send(address, LETTER)
    finally:
        await mailer.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(context of a server called 127.0.0.1, the file that has whoever signed for it)."""
    key, made = self_signed("127.0.0.1", x509.IPAddress(ip_address("127.0.0.1")))
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made)
    (folder / "key.pem").write_bytes(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


async def test_a_letter_arrives_as_it_was_written():
    with mailbox() as (box, port):
        assert await sent(to(port))
    [(recipients, message)] = box.letters
    assert recipients == [email(1)]
    assert (message["To"], message["From"], message["Subject"]) == (email(1), FROM, "Su código")
    assert message.get_content().splitlines() == LETTER.text.splitlines()
    assert (message["Auto-Submitted"], message["Content-Language"]) == ("auto-generated", "es")
    assert message["Message-ID"].endswith("@site.example.com>")
    assert socket.gethostname() not in message["Message-ID"]


@pytest.mark.parametrize("answer", ["550 no such mailbox", "451 try later"])
async def test_a_server_that_does_not_take_it_is_told_as_not_sent(answer):
    with mailbox(answer) as (box, port):
        assert not await sent(to(port))
    assert box.letters == []


async def test_without_a_server_it_is_not_sent_and_no_address_is_logged():
    with structlog.testing.capture_logs() as lines:
        assert not await sent(to(free_port()))
    assert [line["event"] for line in lines] == ["mail"]
    assert email(1) not in repr(lines)


async def test_a_letter_goes_over_tls_to_a_server_that_is_who_it_says(certificate, monkeypatch, tmp_path):
    (context, signer), file = certificate, tmp_path / "password"
    file.write_text("secret\n")
    with mailbox(tls=context, password="secret") as (box, port):
        signing_in = {"username": "gateway", "password_file": file}
        assert not await sent(to(port, "starttls", **signing_in)), "nobody vouches for this server"
        monkeypatch.setenv("SSL_CERT_FILE", str(signer))
        assert not await sent(to(port, "starttls", username="gateway")), "no password"
        assert not await sent(to(port, "starttls", username="gateway", password_file=tmp_path / "none"))
        assert not await sent(to(port, "none", **signing_in)), "the server asks for TLS"
        assert box.letters == []
        assert await sent(to(port, "starttls", **signing_in))
    assert len(box.letters) == 1


async def test_a_server_that_never_answers_is_given_up_and_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(letters, "SECONDS", 0.2)
    monkeypatch.setattr(letters, "WAITING", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mailer = to(silent.getsockname()[1])
        answers = []

        async def send():
            answers.append(await mailer.send(email(1), LETTER))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await anyio.sleep(0.01)
            assert not await mailer.send(email(2), LETTER), "one is waiting already"
            assert await anyio.to_thread.run_sync(lambda: True), "the common threads are free"
        assert answers == [False]
        assert mailer._waiting == 0
        await mailer.close()
    assert "mail" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("address", ["a@exa mple.com", "a\nBcc: b@example.com", "jörg@example.com"])
async def test_an_address_that_no_header_can_hold_is_not_sent_to(address):
    """Letters outside ASCII before the @ (RFC 6531) are none that the standard library writes."""
    with mailbox() as (box, port):
        assert not await sent(to(port), address)
    assert box.letters == []


async def test_a_domain_in_other_letters_is_written_letter_by_letter():
    with mailbox() as (box, port):
        assert await sent(to(port), "a@straße.example.com")
    assert box.letters[0][0] == ["a@xn--strae-oqa.example.com"]  # IDNA 2008's form; IDNA 2003 would write to "strasse"


async def test_in_development_a_letter_is_a_file_that_nobody_else_reads(tmp_path):
    mailer = MailFolder(tmp_path / "outbox", "")
    assert await sent(mailer)
    assert await sent(mailer, email(2))
    first, second = sorted((tmp_path / "outbox").iterdir())
    assert (first.name, second.name) == ("0001.eml", "0002.eml")
    assert f"To: {email(2)}" in second.read_text()
    assert first.stat().st_mode & 0o777 == 0o600
    assert not await sent(MailFolder(tmp_path / "no" / "folder", ""))
