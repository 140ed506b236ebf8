"""A text message to one person, by the operator's own sender: it is told by a POST, signed as a Standard Webhook.

    {"type": "code", "to": "+14155550100", "text": "...", "language": "en"}

The gateway itself sends no text messages. Signed with the secret that `gateway deliveries --secret texts` prints.
"""

import secrets as random
from collections.abc import Callable
from datetime import datetime

import orjson

from gateway.delivery import post
from gateway.delivery.guard import EVERYWHERE
from gateway.delivery.letter import Letter
from gateway.delivery.post import Courier
from gateway.keys import Secrets

NAME = "texts"  # whose secret signs it


class Texts:
    """`endpoint`: https, or http on loopback."""

    def __init__(self, endpoint: str, secrets: Secrets, clock: Callable[[], datetime]) -> None:
        self._endpoint = endpoint
        self._secret = post.secret_of(secrets, NAME)
        self._clock = clock
        self._courier = Courier(EVERYWHERE)  # the operator's own, wherever it is

    async def send(self, to: str, letter: Letter) -> bool:
        """Whether the sender took it (2xx)."""
        body = orjson.dumps({"type": "code", "to": to, "text": letter.text, "language": letter.language})
        name = "msg_" + random.token_urlsafe(16)
        return (await self._courier.post(self._endpoint, [self._secret], name, self._clock(), body)).taken

    async def close(self) -> None:
        await self._courier.close()
