"""One message to one recipient, signed in the form of the Standard Webhooks specification (version 1.0).

    webhook-signature: v1,base64(HMAC-SHA256(secret, id.timestamp.body))

The secret is the recipient's own, made from the installation's: `gateway deliveries --secret NAME` prints it. No
redirects are followed and no proxy of the environment is used. Never decides what is sent.
"""

import base64
import hmac
from datetime import datetime

import httpx2

from gateway.delivery.forward import authorities
from gateway.keys import Secrets

SECONDS = 10.0  # a message is small; whoever takes longer gets it again
LABEL = b"deliveries/1\x00"


def secret_of(secrets: Secrets, recipient: str) -> bytes:
    """32 bytes, the same for as long as the installation lives."""
    return hmac.digest(secrets.tokens[0], LABEL + recipient.encode(), "sha256")


def printed(secret: bytes) -> str:
    """As receivers' libraries take it."""
    return "whsec_" + base64.b64encode(secret).decode()


def signed(secret: bytes, name: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers. `name` is the same at every attempt: a receiver takes a message once by it."""
    stamp = str(int(at.timestamp()))
    digest = hmac.digest(secret, b".".join((name.encode(), stamp.encode(), body)), "sha256")
    return {
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


class Courier:
    """One pooled client, made with the first message."""

    def __init__(self) -> None:
        self._client: httpx2.AsyncClient | None = None

    async def post(self, endpoint: str, secret: bytes, name: str, at: datetime, body: bytes) -> bool:
        """Whether the receiver took it (2xx). Never raises for what the network or the receiver does."""
        if self._client is None:
            self._client = httpx2.AsyncClient(
                verify=authorities(), timeout=SECONDS, follow_redirects=False, trust_env=False
            )  # fmt: skip
        headers = {"Content-Type": "application/json", **signed(secret, name, at, body)}
        try:
            response = await self._client.post(endpoint, content=body, headers=headers)
        except httpx2.HTTPError:
            return False
        return response.is_success

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
