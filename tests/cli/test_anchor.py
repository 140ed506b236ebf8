"""A checkpoint is dated by a time-stamp authority: openssl plays one, behind HTTP on loopback."""

import asyncio
import subprocess

import pytest
from click.testing import CliRunner
from support import inside
from support.listening import Quiet, listening
from support.people import email, named

from gateway.cli.root import group
from gateway.consent.verbs import Choice
from gateway.terms import ChoiceKind, Purpose

CONFIG = """
oid_section = oids
[oids]
policy = 1.2.3.4.1
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_digest = sha256
default_policy = policy
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[signer]
basicConstraints = CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Authority:
    """A time-stamp authority with a root and a signer of its own."""

    def __init__(self, folder, openssl):
        self.folder, self.openssl, self.broken = folder, openssl, False
        (folder / "conf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        self.run(
            "req -x509 -newkey rsa:2048 -nodes -keyout root.key -out root.pem -days 9 -subj /CN=root"
            " -config conf -extensions root"
        )
        self.run("req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa -config conf")
        self.run(
            "x509 -req -in tsa.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -out tsa.pem"
            " -extfile conf -extensions signer"
        )

    def run(self, words):
        subprocess.run([self.openssl, *words.split()], cwd=self.folder, check=True, capture_output=True)

    def answer(self, query):
        (self.folder / "query").write_bytes(query)
        self.run("ts -reply -queryfile query -signer tsa.pem -inkey tsa.key -config conf -section one -out reply")
        reply = (self.folder / "reply").read_bytes()
        return reply[:-1] + bytes([reply[-1] ^ 1]) if self.broken else reply


@pytest.fixture
def authority(tmp_path, tool):
    folder = tmp_path / "authority"
    folder.mkdir()
    made = Authority(folder, tool("openssl"))

    class Door(Quiet):
        def posted(self):
            body = made.answer(self.body())
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with listening(Door) as made.url:
        yield made


@pytest.fixture
def signed(house, folder):
    subjects = house.consent.people.name([named("email", email(1))]).subjects
    choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", house.consent.clock())
    asyncio.run(house.consent.choose(subjects, choice))
    return folder


def anchor(folder, authority, out, root=None):
    arguments = ["ledger", "anchor", "--data", folder, "--tsa", authority.url, "--out", out]
    return CliRunner().invoke(group, [*map(str, arguments), "--root", str(root or authority.folder / "root.pem")])


@pytest.mark.slow
def test_an_auditor_checks_with_openssl_on_which_day_the_log_stood_so(signed, authority, tmp_path):
    done = anchor(signed, authority, tmp_path / "out")
    assert done.exit_code == 0, done.output
    dated, token = tmp_path / "out" / "1.checkpoint", tmp_path / "out" / "1.tsr"
    check = [authority.openssl, "ts", "-verify", "-data", dated, "-in", token, "-CAfile", authority.folder / "root.pem"]
    assert subprocess.run(check, capture_output=True, text=True).returncode == 0
    dated.write_text(dated.read_text().replace("\n1\n", "\n2\n"))
    assert subprocess.run(check, capture_output=True, text=True).returncode != 0, "the control: another log"


def test_a_token_that_does_not_hold_is_not_kept(signed, authority, tmp_path):
    authority.broken = True
    refused = anchor(signed, authority, tmp_path / "out")
    assert refused.exit_code == 1
    assert "does not hold" in refused.output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_authority_that_is_away_or_not_one_leaves_nothing_behind(signed, authority, tmp_path):
    gone = Authority.__new__(Authority)
    gone.url, gone.folder = "http://127.0.0.1:1/", authority.folder
    refused = anchor(signed, gone, tmp_path / "out")
    assert (refused.exit_code, "did not answer" in refused.output) == (1, True)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_log_in_which_nothing_happened_is_not_dated(tmp_path, authority):
    folder = inside.install(tmp_path / "empty")
    refused = anchor(folder, authority, tmp_path / "out")
    assert (refused.exit_code, "nothing was signed yet" in refused.output) == (2, True)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://example.com/tsa", "https, or http on this machine"),  # the nonce and the token in the clear
        ("http://[::1", "https, or http on this machine"),
        ("https://example..com:x/", "https, or http on this machine"),
        ("https://a\x7fb.example.com/", "is asked for"),
    ],
)
def test_an_address_that_is_none_is_told_in_words(signed, authority, tmp_path, url, says):
    authority.url = url
    refused = anchor(signed, authority, tmp_path / "out")
    assert says in refused.output
    assert isinstance(refused.exception, SystemExit), "no traceback"
    assert not (tmp_path / "out").exists()


def test_a_root_that_is_no_certificate_is_told_before_the_authority_is_asked(signed, authority, tmp_path):
    refused = anchor(signed, authority, tmp_path / "out", root=authority.folder / "conf")
    assert (refused.exit_code, "holds no certificate in PEM" in refused.output) == (2, True)
    assert not (authority.folder / "query").exists()
