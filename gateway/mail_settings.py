"""Settings of what brings people their codes: mail server, sender of text messages, how many go out. Part of
`gateway.settings`, which reads them. Never sends anything.
"""

from typing import Annotated, Literal

import msgspec

from gateway.addresses import is_loopback

MAILBOX = r"^([^@\s<>]+@[^@\s<>]+)?\Z"


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Mail(Strict, frozen=True):
    server: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)]
    security: Literal["starttls", "tls", "none"]
    username: str
    password_file: str
    from_address: Annotated[str, msgspec.Meta(pattern=MAILBOX, description="an e-mail address")]

    def wrong(self) -> str:
        """What the shapes cannot say is wrong with it, or nothing."""
        if self.server and not self.from_address:
            return "mail.from_address: from whom mail comes"
        if self.server and self.security == "none" and not is_loopback(self.server):
            return "mail.security: none is for a server on loopback; codes do not go in the clear"
        return ""


class Texts(Strict, frozen=True):
    endpoint: str
    prices: dict[Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")], Annotated[int, msgspec.Meta(ge=0)]]
    cost_a_day: Annotated[int, msgspec.Meta(ge=0)]


class Codes(Strict, frozen=True):
    an_hour: Annotated[int, msgspec.Meta(ge=1)]
