"""Rows with a credential, sent to a real local receiver that looks at it."""

import asyncio
import base64
import contextlib
import datetime as dt
import json
import os
import ssl
import threading
from dataclasses import replace
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from typing import ClassVar

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from standardwebhooks import Webhook, WebhookVerificationError
from support import inside
from support.listening import LOOKS, Quiet, listening

from gateway.app import composition
from gateway.app.composition import open_house
from gateway.app.from_settings import credentials_of
from gateway.app.in_force import in_force
from gateway.delivery import forwarding
from gateway.delivery.credentials import Credential, CredentialUnreadable
from gateway.delivery.forwarding import Forwarder, ForwardOutcome
from gateway.delivery.guard import LOOPBACK
from gateway.disk import boot_seconds
from gateway.settings.load import SettingsRefused

pytestmark = pytest.mark.anyio
ROWS = [{"row": "r1", "ad_id": "one"}]
TOKEN = "tok-3f9c2a"
SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()
LATER = "whsec_" + base64.b64encode(b"y" * 32).decode()


@pytest.fixture
def file(tmp_path):
    def made(text, name="secret"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return made


def handler(takes):
    """One that answers 401 to whatever `takes` does not take, and keeps what came."""

    class Receiver(Quiet):
        came: ClassVar = []

        def posted(self):
            body = self.body()
            peer = getattr(self.connection, "getpeercert", lambda: None)()
            right = takes(self.headers, body, peer)
            self.came.append((dict(self.headers.items()), body))
            self.send_response(200 if right else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return type("Own", (Receiver,), {"came": []})


async def send(url, credential, *, times=1, before=lambda number: None):
    """The outcomes of some sends by one forwarder."""
    forwarder = Forwarder(LOOPBACK, {"teemo": credential} if credential else {})
    found = []
    try:
        for number in range(times):
            before(number)
            found.append(await forwarder.send(f"{url}/rows", f"key-{number}", ROWS, boot_seconds() + 20, to="teemo"))
    finally:
        await forwarder.close()
    return found


SENT, REFUSED = ForwardOutcome.SENT, ForwardOutcome.REFUSED


async def test_a_bearer_token_is_shown_and_one_that_was_changed_from_then_on(file):
    path = file(f"{TOKEN}\n")
    wanted = [f"Bearer {TOKEN}", "Bearer another"]
    took = handler(lambda headers, *_: headers["Authorization"] == wanted[0])
    with listening(took) as url:
        assert await send(url, None) == [REFUSED]
        assert await send(url, Credential(bearer=path)) == [SENT]

        def changed(number):
            if number:
                path.write_text("another")
                wanted.pop(0)

        assert await send(url, Credential(bearer=path), times=2, before=changed) == [SENT, SENT]
    assert [json.loads(body) for _, body in took.came] == ROWS * 4


async def test_a_header_of_the_recipients_own_is_shown(file):
    took = handler(lambda headers, *_: headers["X-Api-Key"] == TOKEN and headers["Idempotency-Key"] == "key-0")
    with listening(took) as url:
        assert await send(url, Credential(header="X-Api-Key", value=file(TOKEN))) == [SENT]
        assert await send(url, Credential(header="X-Api-Key", value=file("wrong"))) == [REFUSED]


async def test_another_recipient_is_shown_nothing_of_it(file):
    took = handler(lambda *_: True)
    with listening(took) as url:
        forwarder = Forwarder(LOOPBACK, {"teemo": Credential(bearer=file(TOKEN))})
        await forwarder.send(f"{url}/rows", "key", ROWS, boot_seconds() + 20, to="flurry")
        await forwarder.close()
    assert TOKEN not in repr(took.came)


def verified(*secrets):
    """Whether a message verifies under each of these, by the specification's own library."""

    def takes(headers, body, _):
        try:
            for secret in secrets:
                Webhook(secret).verify(body, dict(headers.items()))
        except WebhookVerificationError:
            return False
        return headers["webhook-id"] == headers["Idempotency-Key"]

    return takes


async def test_rows_are_signed_as_a_standard_webhook_and_by_both_secrets_while_one_is_replaced(file):
    took = handler(verified(SECRET))
    with listening(took) as url:
        assert await send(url, Credential(signature=file(SECRET))) == [SENT]
        assert await send(url, Credential(signature=file(LATER))) == [REFUSED]
        assert await send(url, None) == [REFUSED]
    with listening(handler(verified(SECRET, LATER))) as url:
        assert await send(url, Credential(signature=file(f"{LATER}\n{SECRET}\n"))) == [SENT]


# --- a client certificate, by a made-up authority ---


def key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Authority:
    """A made-up certificate authority."""

    def __init__(self, name):
        self.key, self.name = (
            ec.generate_private_key(ec.SECP256R1()),
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
        )
        self.pem = self._signed(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))

    def _signed(self, subject, key, *extensions):
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )  # fmt: skip
        for extension in extensions:
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def made(self, name):
        """A certificate for this machine, or for a client, with its key behind it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        return self._signed(subject, key, here, x509.BasicConstraints(ca=False, path_length=None)) + key_pem(key)


@contextlib.contextmanager
def listening_with_tls(receiver, certificate, authority):
    """A receiver that takes connections of clients alone that the authority knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    server = ThreadingHTTPServer(("127.0.0.1", 0), receiver)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, args=(LOOKS,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def authorities():
    return Authority("theirs"), Authority("a stranger's")


async def test_a_client_certificate_is_shown_to_a_receiver_that_takes_no_other(file, authorities):
    theirs, strangers = authorities
    authority = file(theirs.pem, "authority.pem")

    def is_ours(headers, body, peer):
        return (("commonName", "the gateway"),) in peer["subject"]

    took = handler(is_ours)
    ours = Credential(certificate=file(theirs.made("the gateway"), "ours.pem"), authority=authority)
    with listening_with_tls(took, file(theirs.made("receiver"), "server.pem"), authority) as url:
        assert await send(url, ours) == [SENT]
        assert await send(url, replace(ours, certificate=file(theirs.made("another"), "another.pem"))) == [REFUSED]
        for nobody in (
            replace(ours, certificate=None),
            replace(ours, certificate=file(strangers.made("the gateway"), "x.pem")),
        ):
            assert await send(url, nobody) != [SENT]
        assert await send(url, replace(ours, authority=None)) == [REFUSED], "nobody we believe vouches for it"
        assert await send(url, replace(ours, authority=file(strangers.pem, "y.pem"))) == [REFUSED]
    assert len(took.came) == 2
    assert [json.loads(body) for _, body in took.came[:1]] == ROWS


async def test_a_certificate_that_was_renewed_is_shown_from_then_on(file, authorities):
    theirs, _ = authorities
    authority, seen = file(theirs.pem, "authority.pem"), []
    path = file(theirs.made("first"), "ours.pem")
    took = handler(lambda headers, body, peer: seen.append(peer["serialNumber"]) or True)

    def renewed(number):
        if number == 2:
            path.write_bytes(theirs.made("second"))
            os.utime(path, ns=(1, 1))

    with listening_with_tls(took, file(theirs.made("receiver"), "server.pem"), authority) as url:
        assert await send(url, Credential(certificate=path, authority=authority), times=3, before=renewed) == [SENT] * 3
    assert seen[0] == seen[1] != seen[2]


# --- what is refused ---


@pytest.mark.parametrize(
    ("option", "text", "why"),
    [
        ("bearer", "", "not one line"), ("bearer", "a\nb", "not one line"), ("bearer", "a\r\nX: y", "not one line"),
        ("bearer", "a\x00b", "not one line"), ("bearer", "tök", "more than ASCII"), ("bearer", "x" * 70_000, "larger"),
        ("value", "a\nb", "not one line"), ("signature", "", "is empty"), ("signature", "hunter2", "another thing than whsec_"),
        ("signature", "whsec_c2hvcnQ=", "24 bytes or more"), ("signature", f"{SECRET}\nx", "another thing"),
        ("certificate", "x", "no certificate with its key"), ("authority", "x", "no certificate"),
    ],
)  # fmt: skip
async def test_a_file_that_holds_no_such_thing_is_told_by_its_option_and_nothing_leaves(file, option, text, why):
    broken = Credential(**{option: file(text)}, header="X-Api-Key" if option == "value" else "")
    with pytest.raises(CredentialUnreadable, match=why) as refused:
        await asyncio.to_thread(broken.prove)
    assert "hunter2" not in str(refused.value)
    took = handler(lambda *_: True)
    with listening(took) as url, structlog.testing.capture_logs() as lines:
        assert await send(url, broken) == [REFUSED]
    assert took.came == []
    assert [line["recipient"] for line in lines] == ["teemo"]


async def test_a_file_that_went_away_sends_nothing(file):
    path = file(TOKEN)
    took = handler(lambda *_: True)
    with listening(took) as url, structlog.testing.capture_logs() as lines:
        assert await send(url, Credential(bearer=path), times=2, before=lambda n: n and path.unlink()) == [
            SENT,
            REFUSED,
        ]
    assert len(took.came) == 1
    assert "bearer_file: there is no such file" in lines[0]["why"]


def test_a_certificate_whose_key_has_a_password_is_refused_and_nobody_is_asked_for_it(file, authorities):
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    certificate = authorities[0].made("x").partition(b"-----BEGIN PRIVATE")[0]
    with pytest.raises(CredentialUnreadable, match="without a password"):
        Credential(certificate=file(certificate + locked)).prove()


@pytest.mark.parametrize("endpoint", ["http://feed.example.com/rows", "http://10.0.0.5/rows", "http://[2001:db8::1]/"])
def test_no_credential_goes_in_the_clear_but_to_this_machine(file, endpoint):
    now = dt.datetime.now(dt.UTC)
    for shown in (Credential(bearer=file(TOKEN)), Credential(signature=file(SECRET, "other"))):
        with pytest.raises(CredentialUnreadable, match="in the clear"):
            shown.headers(endpoint, "key", now, b"{}")
        assert shown.headers("http://127.0.0.1:9/rows", "key", now, b"{}")
        assert shown.headers("https://feed.example.com/rows", "key", now, b"{}")
    with pytest.raises(SettingsRefused, match="neither https nor http on loopback"):
        inside.settings(recipients__teemo__endpoint=endpoint)


def configured(tmp_path, credential, more='endpoint = "https://feed.example.com/rows"'):
    path = tmp_path / "config.toml"
    path.write_text(f'[recipients.teemo]\nmode = "forward"\n{more}\ncredential = {{ {credential} }}\n')
    return inside.settings(path)


@pytest.mark.parametrize(
    ("credential", "more", "why"),
    [
        ('header = "X-Api-Key"', "", "header_file: is empty"),
        ('header_file = "/x"', "", "header: is empty"),
        ('bearer = "hunter2"', "", "there is no such option"),
        (
            'header = "Authorization", header_file = "/x", bearer_file = "/x"',
            "",
            "where the token of bearer_file stands",
        ),
        ('header = "Content-Length", header_file = "/x"', "", "says something else"),
        ('certificate_file = "/x"', 'endpoint = "http://127.0.0.1:9/x"', "is for https"),
    ],
)
def test_a_credential_that_cannot_be_meant_refuses_the_start(tmp_path, credential, more, why):
    with pytest.raises(SettingsRefused, match=why) as refused:
        configured(tmp_path, credential, *([more] if more else []))
    assert "hunter2" not in str(refused.value)


def test_a_credential_beside_rows_that_are_handed_back_refuses_the_start(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('[recipients.matching]\nmode = "return"\ncredential = { bearer_file = "/x" }\n')
    with pytest.raises(SettingsRefused, match=r"bearer_file: is for rows that the gateway sends"):
        inside.settings(path)


def test_the_start_reads_each_file_once_and_no_document_has_what_is_in_it(tmp_path, file):
    settings = configured(tmp_path, f'bearer_file = "{file(TOKEN)}", signature_file = "{file(SECRET, "signing")}"')
    assert set(credentials_of(settings)) == {"teemo"}
    said = repr([item.body for item in in_force(settings)]) + repr(credentials_of(settings))
    assert not any(secret in said for secret in (TOKEN, SECRET))
    assert str(tmp_path) not in repr([item.body for item in in_force(settings)])
    (tmp_path / "signing").unlink()
    with pytest.raises(
        SettingsRefused, match=r"config\.toml:4: \[recipients\.teemo\] credential\.signature_file: there is no"
    ):
        credentials_of(settings)


async def test_a_share_goes_with_the_credential_of_its_recipient(tmp_path, file):
    took = handler(lambda headers, *_: headers["Authorization"] == f"Bearer {TOKEN}")
    body = {"id": "r1", "identifiers": [{"type": "gaid", "value": "38400000-8cf0-11bd-b23e-10b96e40000d"}]}
    body |= {"place": "US-NY", "data": {"ad_id": "38400000-8cf0-11bd-b23e-10b96e40000d"}}
    with listening(took) as url:
        settings = configured(
            tmp_path, f'bearer_file = "{file(TOKEN)}"', f'endpoint = "{url}/rows"\nunlinked = "allow"'
        )
        async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
            answer = await client.post(
                "/v1/shares/teemo", content=json.dumps(body) + "\n", headers={"Content-Type": "application/x-ndjson"}
            )
    assert [json.loads(line)["outcome"] for line in answer.text.splitlines() if "outcome" in line] == ["sent"]
    assert len(took.came) == 1


@pytest.mark.parametrize("environment", ["production", "staging"])
async def test_a_sandbox_never_gets_the_credential_of_production(tmp_path, file, environment):
    """Whoever runs a sandbox could speak for the operator with it."""
    took = handler(lambda headers, *_: headers["Authorization"] == f"Bearer {environment}")
    with listening(took) as url:
        (tmp_path / "config.toml").write_text(
            f'[environment]\nname = "{environment}"\n[recipients.teemo]\nmode = "forward"\nendpoint = "{url}/rows"\n'
            f'sandbox_endpoint = "{url}/rows"\ncredential = {{ bearer_file = "{file("production", "p")}" }}\n'
            f'sandbox_credential = {{ bearer_file = "{file("staging", "s")}" }}\n'
        )
        settings = inside.settings(tmp_path / "config.toml")
        assert await send(url, (await asyncio.to_thread(credentials_of, settings))["teemo"]) == [SENT]
    assert len(took.came) == 1


def test_outside_production_a_recipient_without_a_credential_for_its_sandbox_is_shown_none(tmp_path):
    (tmp_path / "config.toml").write_text(
        '[environment]\nname = "staging"\n[recipients.teemo]\nmode = "forward"\nendpoint = "https://feed.example.com/x"\n'
        'credential = { bearer_file = "/etc/gateway/real.token" }\n'
    )
    assert credentials_of(inside.settings(tmp_path / "config.toml")) == {}, "nor has staging the file"


def test_a_credentials_file_that_is_not_there_refuses_before_anything_is_opened(tmp_path, monkeypatch):
    settings = configured(tmp_path, 'bearer_file = "/nowhere/token"')
    folder = inside.install(tmp_path / "data")
    monkeypatch.setattr(composition, "_opened", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(SettingsRefused, match="bearer_file: there is no such file"), open_house(folder, settings):
        pass


async def test_sends_that_begin_together_share_connections_and_replaced_ones_are_closed(file, authorities, monkeypatch):
    theirs, _ = authorities
    authority, path = file(theirs.pem, "authority.pem"), file(theirs.made("first"), "ours.pem")
    made, closed = [], []

    class Counted(forwarding.Outgoing):
        def __init__(self, *given):
            super().__init__(*given)
            if len(given) > 2:
                made.append(self)

        async def close(self):
            closed.append(self)
            await super().close()

    monkeypatch.setattr(forwarding, "Outgoing", Counted)
    took, credential = handler(lambda *_: True), Credential(certificate=path, authority=authority)
    with listening_with_tls(took, file(theirs.made("receiver"), "server.pem"), authority) as url:
        forwarder = Forwarder(LOOPBACK, {"teemo": credential})

        async def five():
            sends = (forwarder.send(url, f"key-{n}", ROWS, boot_seconds() + 20, to="teemo") for n in range(5))
            return {*await asyncio.gather(*sends)}

        assert await five() == {SENT}
        assert (len(made), closed) == (1, [])
        path.write_bytes(theirs.made("second"))
        os.utime(path, ns=(1, 1))
        first, second = asyncio.create_task(five()), asyncio.create_task(five())
        assert (await first, await second) == ({SENT}, {SENT})
        assert (len(made), closed) == (2, made[:1])
        connections = forwarder._certified["teemo"].in_use()
        async with connections:  # a send whose answer is still to come
            path.write_bytes(theirs.made("third"))
            os.utime(path, ns=(2, 2))
            assert await five() == {SENT}
            assert closed == made[:1]
        assert (len(made), closed) == (3, made[:2])
        await forwarder.close()
        assert closed.count(made[2]) == 1
