"""A real SMTP server on loopback, and what it was brought: the mailbox of everybody."""

import contextlib
import email
import email.policy
import re
import ssl

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Mailbox:
    """`letters`: (envelope's recipients, parsed message), in order."""

    def __init__(self, answer="250 OK"):
        self.answer, self.letters = answer, []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        if self.answer.startswith("250"):
            message = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.letters.append((envelope.rcpt_tos, message))
        return self.answer

    def code(self) -> str:
        """The digits of the last letter, as a person would type them."""
        return code_in(self.letters[-1][1].get_content())


def code_in(text: str) -> str:
    return re.search(r"\b\d{4} \d{4}\b", text)[0]


class Loopback(Controller):
    """On a free port."""

    def _trigger_server(self):
        """Asks for the first connection at the port that the system gave."""
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextlib.contextmanager
def mailbox(answer="250 OK", *, tls: ssl.SSLContext | None = None, password: str = ""):
    """(mailbox, port)."""
    kept = Mailbox(answer)
    more = {}
    if tls:
        more |= {"tls_context": tls, "require_starttls": True}
    if password:

        def check(_server, _session, _envelope, _mechanism, data):
            return AuthResult(success=data.password == password.encode(), handled=False)

        more |= {"authenticator": check, "auth_required": True, "auth_require_tls": bool(tls)}
    control = Loopback(kept, hostname="127.0.0.1", port=0, **more)
    control.start()
    try:
        yield kept, control.port
    finally:
        control.stop()
