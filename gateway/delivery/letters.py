"""Letters to one person, by mail or text: what a code or a link is sent in. `gateway.consent.codes` calls it.

Mail goes by the operator's own SMTP server (RFC 5321), or in development into a folder. `smtplib` in threads of its
own: a mail server that hangs must hold up nobody's opt-out, and the process's common threads write those. No address
and no text stands in a log.

A text message goes by the operator's own sender, which is told by a POST, signed as a Standard Webhook with the secret
that `gateway deliveries --secret texts` prints; the gateway itself sends none.

    {"type": "code", "to": "+14155550100", "text": "...", "language": "en"}

Each costs its sender money, and some numbers pay whoever has texts sent to them: texts go to the countries that have a
price, and no more of them than a day may cost.
"""

import asyncio
import os
import secrets as random
import smtplib
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from pathlib import Path
from typing import Protocol

import orjson
import phonenumbers
import structlog

from gateway.delivery import webhook
from gateway.delivery.guard import EVERYWHERE
from gateway.delivery.webhook import Courier, Parcel
from gateway.keys.secret_files import Secrets
from gateway.terms import TEXTS


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in plain text. `language` is a BCP 47 tag."""

    subject: str
    text: str = field(repr=False)
    language: str = "en"


SECONDS = 10.0  # for one answer of the server
IN_ALL = 25.0  # seconds for a whole message, which takes some six answers; a person is waiting
THREADS = 4
WAITING = 32  # messages at a time; whoever comes then is told to try again
PUNYCODE = "xn--"

log = structlog.get_logger("gateway")


@dataclass(frozen=True, slots=True)
class MailServer:
    """`security`: "tls" from the first byte (port 465), "starttls" (587), or "none", for a server on loopback."""

    host: str
    port: int
    security: str
    from_address: str
    username: str = ""
    password_file: Path | None = None  # read at each message: it may be replaced while we run


class Mail:
    """Sends mail by the operator's SMTP server."""

    def __init__(self, server: MailServer) -> None:
        self._server = server
        self._threads = ThreadPoolExecutor(THREADS, "mail")
        self._waiting = 0

    async def send(self, to: str, letter: Letter) -> bool:
        """Whether the server took it. Never raises for what the server or the network does."""
        if self._waiting >= WAITING:
            return False
        self._waiting += 1
        sent = asyncio.get_running_loop().run_in_executor(self._threads, self._send, to, letter)
        sent.add_done_callback(self._gone)
        try:
            await asyncio.wait_for(asyncio.shield(sent), IN_ALL)
        except (OSError, ValueError, smtplib.SMTPException, TimeoutError) as error:
            log.warning("mail", why=type(error).__name__)  # its text may hold the address
            return False
        return True

    def _gone(self, sent: "asyncio.Future[None]") -> None:
        self._waiting -= 1
        if not sent.cancelled():
            sent.exception()  # seen: whoever waited no longer may

    def _send(self, to: str, letter: Letter) -> None:
        message = written(self._server.from_address, to, letter)
        with self._connected() as smtp:
            smtp.send_message(message, self._server.from_address, [str(message["To"].addresses[0].addr_spec)])

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        name = server.from_address.rpartition("@")[2]  # else the machine's own name goes out, after a question to DNS
        if server.security == "tls":
            trusted = ssl.create_default_context()
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, name, timeout=SECONDS, context=trusted)
        else:
            smtp = smtplib.SMTP(server.host, server.port, name, timeout=SECONDS)
        try:
            if server.security == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            if server.username:
                password = server.password_file.read_text(encoding="utf-8").strip() if server.password_file else ""
                smtp.login(server.username, password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def alarms(self) -> list[str]:
        """None: a mail costs nothing."""
        return []

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class MailFolder:
    """Development: each message is a file, `<number>.eml`, and nothing goes out."""

    def __init__(self, folder: Path, from_address: str) -> None:
        self._folder = folder
        self._from = from_address or "gateway@localhost"

    async def send(self, to: str, letter: Letter) -> bool:
        try:
            await asyncio.to_thread(self._write, to, letter)
        except (OSError, ValueError) as error:
            log.warning("mail", why=type(error).__name__)
            return False
        return True

    def _write(self, to: str, letter: Letter) -> None:
        message = written(self._from, to, letter)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        number = len(list(self._folder.iterdir())) + 1
        descriptor = os.open(self._folder / f"{number:04d}.eml", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(message))

    def alarms(self) -> list[str]:
        """None."""
        return []

    async def close(self) -> None:
        """There is nothing to close."""


def written(from_address: str, to: str, letter: Letter) -> EmailMessage:
    """The message. Raises ValueError for an address that no header can hold."""
    local, _, domain = to.rpartition("@")
    message = EmailMessage()
    message["From"] = from_address
    message["To"] = Address(addr_spec=f"{local}@{_ascii(domain)}")
    message["Subject"] = letter.subject
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=from_address.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 5: no out-of-office note comes back
    message.set_content(letter.text)
    message["Content-Language"] = letter.language
    return message


def _ascii(domain: str) -> str:
    """Labels in Unicode as A-labels (RFC 5890), letter by letter, so that none is mapped to another domain."""
    return ".".join(
        label if label.isascii() else PUNYCODE + label.encode("punycode").decode() for label in domain.split(".")
    )


CHEAPER = "see who asks for them, or raise [texts] cost_a_day (gateway config show)"
ALARM = 0.8  # of what a day may cost


class Purse(Protocol):
    """What texts may cost on a day. `a_day`: all of it."""

    a_day: int

    async def spend(self, day: date, price: int) -> bool:
        """Whether one more may be sent; counted either way."""

    def spent(self, day: date) -> tuple[int, int]:
        """What they cost so far, and how many were not sent."""


class TextMessages:
    """`endpoint`: https, or http on loopback. `prices`: of one text, by country. `purse`: what they may cost."""

    def __init__(
        self, endpoint: str, secrets: Secrets, clock: Callable[[], datetime], prices: Mapping[str, int], purse: Purse
    ) -> None:
        self._endpoint = endpoint
        self._secrets = webhook.secrets_of(secrets, TEXTS)
        self._clock = clock
        self._courier = Courier(EVERYWHERE)  # the operator's own, wherever it is
        self._prices = {country.upper(): price for country, price in prices.items()}
        self._purse = purse

    async def send(self, to: str, letter: Letter) -> bool:
        """Whether the sender took it (2xx). Not tried for a country without a price, or beyond the day's cost."""
        price = self._prices.get(_country_of(to))
        if price is None or not await self._purse.spend(self._clock().date(), price):
            return False
        body = orjson.dumps({"type": "code", "to": to, "text": letter.text, "language": letter.language})
        name = "msg_" + random.token_urlsafe(16)
        parcel = Parcel(name, body, self._endpoint, self._secrets)
        return (await self._courier.carry(parcel, self._clock())).taken

    def alarms(self) -> list[str]:
        """That texts cost more than they should."""
        spent, refused = self._purse.spent(self._clock().date())
        if spent < ALARM * self._purse.a_day and not refused:
            return []
        return [f"texts with codes cost {spent} of the day's {self._purse.a_day}; {refused} were not sent: {CHEAPER}"]

    async def close(self) -> None:
        await self._courier.close()


def _country_of(number: str) -> str:
    """Of a number in full; +1 has two dozen countries, and some of them cost a hundred times what the others do."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""
    except phonenumbers.NumberParseException:
        return ""
