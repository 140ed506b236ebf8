"""Settings of what brings people their codes: mail server, sender of text messages, how many go out. Part of
`gateway.settings`, which reads them. Never sends anything.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec

from gateway.addresses import is_loopback
from gateway.shapes import Country, LocalFile, Mailbox, MailServerName, OptionalUrl, Stated, Wrong


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Mail(Strict, frozen=True):
    server: MailServerName
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    security: Literal["starttls", "tls", "none"]
    username: Stated
    password_file: LocalFile
    from_address: Mailbox

    def wrong(self) -> Iterator[Wrong]:
        """What the shapes cannot say is wrong with it."""
        if self.server and not self.from_address:
            yield Wrong(("mail", "from_address"), "is empty: from whom mail comes", '"privacy@example.com"')
        if self.server and self.security == "none" and not is_loopback(self.server):
            why = "none is for a server on loopback; codes do not go in the clear"
            yield Wrong(("mail", "security"), why, '"starttls" or "tls"')
        if bool(self.username) != bool(self.password_file):
            option = "password_file" if self.username else "username"
            yield Wrong(("mail", option), "is empty: username and password_file, both or neither", "both")


class Texts(Strict, frozen=True):
    endpoint: OptionalUrl
    prices: dict[Country, Annotated[int, msgspec.Meta(ge=0, le=100_000)]]
    cost_a_day: Annotated[int, msgspec.Meta(ge=0, le=10**9)]


class Codes(Strict, frozen=True):
    an_hour: Annotated[int, msgspec.Meta(ge=1, le=10**6)]
