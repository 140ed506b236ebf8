"""What a replica is given once: the peppers that keys are made with, its API key, and what it seals the ids of its
answers with (`gateway.decisions`), sealed in a file.

No call of the gateway gives it: it is a file, made where the installation's secrets lie, and opens with a secret of 256
random bits that is shown once and travels another way. It never holds seals of cookies, so a replica cannot tell
browsers apart or make one.
"""

import hmac
import json
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field

from gateway import seals
from gateway.terms import Unusable

LABEL = b"replica/1"


class EnrolmentRefused(Unusable):
    """The text says what is wrong and what helps."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """`key`: an API key with scope replica, `<id>.<secret>`."""

    name: str
    key: str = field(repr=False)
    peppers: tuple[bytes, ...] = field(repr=False)
    decisions: bytes = field(repr=False)

    @property
    def maker(self) -> str:
        """Whose answers they are: the id of the API key."""
        return self.key.partition(".")[0]


def seal(enrolment: Enrolment) -> tuple[str, str]:
    """The file's text, and the secret that opens it."""
    secret = secrets.token_urlsafe(32)
    content = {
        "key": enrolment.key, "peppers": [pepper.hex() for pepper in enrolment.peppers],
        "decisions": enrolment.decisions.hex(),
    }  # fmt: skip
    box = seals.seal(_key(secret), LABEL, json.dumps(content).encode())
    return json.dumps({"replica": enrolment.name, "box": b64encode(box).decode()}, indent=1) + "\n", secret


def open_(text: str, secret: str) -> Enrolment:
    """Raises `EnrolmentRefused`."""
    try:
        stated = json.loads(text)
        content = json.loads(seals.open_seal([_key(secret.strip())], LABEL, b64decode(stated["box"])))
        peppers = tuple(bytes.fromhex(each) for each in content["peppers"])
        return Enrolment(str(stated["replica"]), content["key"], peppers, bytes.fromhex(content["decisions"]))
    except seals.Opening:
        raise EnrolmentRefused(
            "this secret does not open that enrolment; make a new one: gateway replica enrol"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise EnrolmentRefused("the enrolment cannot be read; make a new one: gateway replica enrol") from error


def _key(secret: str) -> bytes:
    """The secret is 256 random bits already: no slow hash is needed."""
    return hmac.digest(secret.encode(), LABEL, "sha256")
