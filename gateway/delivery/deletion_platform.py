"""The doors of a state's deletion mechanism, California's DROP (technical specifications 1.2.0): a download is fetched,
answers are sent. `gateway drop fetch` and `send` call it; by the portal the same files go by hand.

    GET  ADDRESS/data/download    200 the ZIP; 202 it is being made; 409 the last one is not answered in full
    POST ADDRESS/data/upload      answers (multipart, `files`); POST ADDRESS/data/amend, what is another answer now

A key stands in `X-API-KEY`. Of what the other side says its status alone is told: the rest may name requests. Made by
what is published; never tried with the state's own service, for which one has to be registered.
"""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.delivery.outgoing import HttpAnswer, NoHttpAnswer, ask_blocking

ADDRESS = "https://api.drop.privacy.ca.gov"  # its sandbox is below it: /sandbox
SECONDS = 600.0  # of one request
MOST = 2**29  # bytes of a ZIP: some ten million requests
PATIENCE = 3600.0  # seconds until a download is made
EVERY, LONGEST = 1.0, 300.0  # seconds between two questions, whatever the other side says
ZIP = b"PK"
KEY = re.compile(rb"[\x21-\x7e]+")
FILE_NAME = re.compile(r"[A-Za-z0-9._-]+")
MADE, BEING_MADE, CONFLICT, TOO_MANY = 200, 202, 409, 429
WHY: Mapping[int, str] = {
    401: "the key is not taken",
    403: "the key is not taken",
    CONFLICT: "the last download is not answered in full: gateway drop answer, then gateway drop send",
    TOO_MANY: "too many requests: later again",
    503: "closed (each day from 01:00 to 03:00 Pacific), or out of order: later again",
}


class PlatformRefused(Exception):
    """Nothing was fetched, or nobody said that anything was taken. The text says why, in words of ours."""


@dataclass(frozen=True, slots=True)
class DeletionPlatform:
    """One state's, with a broker's key. Raises `ValueError`, which quotes no key."""

    address: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme != "https" or not parts.hostname or {*"?#"} & {*self.address}:
            raise ValueError("an address begins with https:// and has no ? or #")
        if not KEY.fullmatch(self.key):
            raise ValueError("a key is one word of ASCII")

    def download(self) -> bytes:
        """The ZIP, once it is made. Raises `PlatformRefused`."""
        until = time.monotonic() + PATIENCE
        while (answer := self._ask("GET", "data/download", {}, b"")).status in {BEING_MADE, TOO_MANY}:
            pause = _pause(answer)
            if time.monotonic() + pause > until:
                raise PlatformRefused("the download is not made yet: later again")
            time.sleep(pause)
        if answer.status != MADE:
            raise _refused(answer)
        if not answer.whole:
            raise PlatformRefused(f"the download is larger than {MOST} bytes: fetch it by the portal")
        if not answer.body.startswith(ZIP):
            raise PlatformRefused("what came is no ZIP")
        return answer.body

    def send(self, files: Mapping[str, bytes], *, amend: bool) -> None:
        """All of them at once, by name. Raises `PlatformRefused`."""
        boundary = os.urandom(16).hex()
        parts = []
        for name, content in files.items():
            if not FILE_NAME.fullmatch(name):
                raise PlatformRefused("the name of a file has other letters than a list's: send it by the portal")
            head = f'Content-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: text/csv'
            parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = self._ask("POST", "data/amend" if amend else "data/upload", headers, body)
        if not answer.is_success:
            raise _refused(answer)

    def _ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        url, with_key = f"{self.address.rstrip('/')}/{path}", {**headers, "X-API-KEY": self.key.decode()}
        try:
            return ask_blocking(method, url, headers=with_key, body=body, seconds=SECONDS, most=MOST)
        except NoHttpAnswer as none:
            raise PlatformRefused(f"no answer ({none.why})") from None


def _pause(answer: HttpAnswer) -> float:
    """`Retry-After` in seconds, within bounds; a date of it is not read."""
    stated = answer.headers.get("retry-after", "").strip()
    return min(max(float(stated), EVERY), LONGEST) if re.fullmatch(r"[0-9]{1,6}", stated) else LONGEST / 10


def _refused(answer: HttpAnswer) -> PlatformRefused:
    return PlatformRefused(WHY.get(answer.status, f"answered with HTTP {answer.status}"))
