"""By what a recipient knows that rows come from us: a bearer token, a header of its own, a client certificate or a
Standard Webhooks signature, or several of them. `forwarding` shows it with each chunk; the composition root reads it
once at the start, so that a file that cannot be read is told then.

Each secret is in a file of its own, read where it is used and never kept, logged or shown. Rows with a credential go
over TLS, or to this machine.
"""

import base64
import binascii
import contextlib
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from gateway.delivery.guard import is_loopback
from gateway.delivery.webhook import signed

LARGEST = 2**16  # bytes of a file; a chain of certificates has some thousand
VALUE = re.compile(r"[!-~]+( [!-~]+)*")  # what a header may hold here: visible ASCII, single blanks (RFC 9110 5.5)
SECRET = "whsec_"  # noqa: S105 - what Standard Webhooks begin a secret with
SHORTEST = 24  # bytes of a secret, by that specification
Stamp = tuple[tuple[int, int], ...]  # when files were changed, and how large they are


class CredentialUnreadable(Exception):
    """A file of it is not there or holds no such thing. The text names the option, never what is in it."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(f"{option}: {why}")
        self.option = option
        self.why = why


@dataclass(frozen=True, slots=True)
class Credential:
    """`bearer`, `value` (of the header `header`) and `signature` are files with secrets, the last with one a line, each
    of which signs; `certificate` holds a client certificate and its key, `authority` whose certificates are believed.
    """

    bearer: Path | None = None
    header: str = ""
    value: Path | None = None
    certificate: Path | None = None
    authority: Path | None = None
    signature: Path | None = None

    def prove(self) -> None:
        """That each file holds what it is for. Raises `CredentialUnreadable`."""
        self._said()
        self._keys()
        if self.has_certificates:
            self.certificates()

    def headers(self, endpoint: str, name: str, at: datetime, body: bytes) -> dict[str, str]:
        """What a request has beside its own. `name`: the message's, the same when it is repeated. Raises
        `CredentialUnreadable`.
        """
        parts = urlsplit(endpoint)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise CredentialUnreadable("endpoint", "a credential does not go in the clear")
        keys = self._keys()
        return self._said() | (signed(keys, name, at, body) if keys else {})

    @property
    def has_certificates(self) -> bool:
        return self.certificate is not None or self.authority is not None

    def certificates(self) -> ssl.SSLContext:
        """For a connection. Raises `CredentialUnreadable`."""
        context = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self.authority else httpx2.create_ssl_context(trust_env=False)
        )
        if self.authority:
            with _read_as(self.authority, "authority_file", "no certificate, as PEM"):
                context.load_verify_locations(self.authority)
        if self.certificate:
            what = "no certificate with its key behind it, as PEM and without a password"
            with _read_as(self.certificate, "certificate_file", what):
                context.load_cert_chain(self.certificate, password="")  # else one would be asked for on a terminal
        return context

    def stamp(self) -> Stamp:
        """Another one whenever the certificates' files were changed. Raises `CredentialUnreadable`."""
        try:
            found = [path.stat() for path in (self.certificate, self.authority) if path]
        except OSError as error:
            raise CredentialUnreadable("certificate_file", f"the file: {error.strerror}") from None
        return tuple((each.st_mtime_ns, each.st_size) for each in found)

    def _said(self) -> dict[str, str]:
        found = {"Authorization": f"Bearer {_one_value(self.bearer, 'bearer_file')}"} if self.bearer else {}
        return found | ({self.header: _one_value(self.value, "header_file")} if self.value else {})

    def _keys(self) -> Sequence[bytes]:
        """The secrets that sign, the newest first as they stand."""
        lines = _text(self.signature, "signature_file").split() if self.signature else []
        if self.signature and not lines:
            raise CredentialUnreadable("signature_file", "the file is empty")
        return [_key(line) for line in lines]


@contextlib.contextmanager
def _read_as(path: Path, option: str, otherwise: str) -> Iterator[None]:
    """OpenSSL's words tell nobody what is wrong. Raises `CredentialUnreadable`."""
    _bytes(path, option)
    try:
        yield
    except (ssl.SSLError, OSError, ValueError):
        raise CredentialUnreadable(option, f"the file holds {otherwise}") from None


def _one_value(path: Path, option: str) -> str:
    """The text of a file that is one line, without its end."""
    text = _text(path, option).strip()
    if not VALUE.fullmatch(text):
        raise CredentialUnreadable(option, "the file holds not one line of visible ASCII")
    return text


def _key(line: str) -> bytes:
    try:
        key = base64.b64decode(line.removeprefix(SECRET), validate=True)
    except binascii.Error:
        key = b""
    if not line.startswith(SECRET) or len(key) < SHORTEST:
        why = f"the file holds another thing than {SECRET}… of {SHORTEST} bytes or more, one a line"
        raise CredentialUnreadable("signature_file", why)
    return key


def _text(path: Path, option: str) -> str:
    try:
        return _bytes(path, option).decode("ascii")
    except UnicodeDecodeError:
        raise CredentialUnreadable(option, "the file holds more than ASCII") from None


def _bytes(path: Path, option: str) -> bytes:
    if not path.is_file():  # nor a device, which never ends
        raise CredentialUnreadable(option, "there is no such file")
    try:
        with path.open("rb") as opened:
            body = opened.read(LARGEST + 1)
    except OSError as error:
        raise CredentialUnreadable(option, f"the file: {error.strerror}") from None
    if len(body) > LARGEST:
        raise CredentialUnreadable(option, "the file is larger than 64 KiB")
    return body
