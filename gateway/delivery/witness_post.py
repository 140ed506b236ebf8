"""Asking a witness over HTTP: one request, a short answer, and never longer than it may take.

No redirects are followed and no proxy of the environment is used. What is asked and what an answer means is
gateway.ledger.cosigning's; nothing personal ever leaves here: a submission is hashes and a signed checkpoint.
"""

import time

import httpx2

CONNECT, ANSWER = 2.0, 10.0  # seconds
MAX_ANSWER = 64 * 1024  # bytes; a signature line has a hundred, with ML-DSA-44 three thousand
PLAIN = {"Content-Type": "text/plain; charset=utf-8", "Accept-Encoding": "identity"}  # nothing is unpacked here


def post(url: str, body: bytes) -> tuple[int, str, bytes]:
    """(status, media type, body). Raises OSError for whatever the network or the witness does. Blocks."""
    deadline = time.monotonic() + CONNECT + ANSWER
    timeout = httpx2.Timeout(ANSWER, connect=CONNECT)
    try:
        with (
            httpx2.Client(timeout=timeout, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=PLAIN) as answer,
        ):
            return answer.status_code, answer.headers.get("content-type", ""), _read(answer, deadline)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise OSError(type(error).__name__) from error


def _read(answer: httpx2.Response, deadline: float) -> bytes:
    body = b""
    for part in answer.iter_raw():
        body += part
        if len(body) > MAX_ANSWER:
            raise OSError("the answer is too long")
        if time.monotonic() > deadline:
            raise OSError("the answer takes too long")
    return body
