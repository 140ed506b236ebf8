"""The door of a witness: `POST /add-checkpoint` with the answers of C2SP tlog-witness.

An application of its own, apart from the gateway: it is run by an auditor, and knows nothing of people. Answers are the
specification's, plain text and not problem documents; no answer and no log line holds a part of what was sent.
"""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.ledger.checkpoint_store import StoreBroken
from gateway.ledger.cosigning import SIZE_TYPE
from gateway.ledger.proofs import Unproved
from gateway.ledger.witness import NotSigned, Seen, UnknownLog, Witness

MAX_BODY = 512 * 1024  # bytes: a note may have 256 kB, the proof 3 kB
TEXT = "text/plain; charset=utf-8"


def application(witness: Witness) -> Starlette:
    door = WitnessDoor(witness)
    return Starlette(routes=[Route("/add-checkpoint", door.add_checkpoint, methods=["POST"])])


class WitnessDoor:
    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def add_checkpoint(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return _said(413, "the body is too large")
        try:
            return _said(200, await asyncio.to_thread(self._witness.add_checkpoint, body))
        except UnknownLog as unknown:
            return _said(404, str(unknown))
        except NotSigned:
            return _said(403, "no key of this log signed the checkpoint")
        except Seen as seen:
            # As a header: Starlette adds a charset to a text type, and other logs compare the whole value.
            return Response(f"{seen.size}\n", 409, {"Content-Type": SIZE_TYPE})
        except Unproved:
            return _said(422, "the checkpoint did not grow out of the last one")
        except StoreBroken:
            return _said(503, "nothing can be kept, so nothing is signed")
        except ValueError:
            return _said(400, "not a submission of a checkpoint")


async def _body(request: Request) -> bytes | None:
    """None: too large; not read to its end."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            return None
    return body


def _said(status: int, text: str) -> Response:
    return Response(text.removesuffix("\n") + "\n", status, media_type=TEXT)
