import asyncio
import hashlib

import pytest
from support import inside
from support.witnessed import Log

from gateway.consent.witnesses import SIZE_TYPE
from gateway.ledger.audit import witness
from gateway.ledger.audit.witness import Submission
from gateway.ledger.proof import note
from gateway.ledger.proof.ed25519 import CosignatureVerifier, Cosigner, Ed25519Signer, Ed25519Verifier
from gateway.ledger.proof.note import Checkpoint
from gateway.web.api import log as door

pytestmark = pytest.mark.anyio
LOG, FORK, OTHER = Log(), Log(fork=3), Log("other.example.com/log")
FAILED = LOG.signed(7).splitlines(keepends=True)[-1]  # a line of the right key, made for something else
OWN = Cosigner("witness.example.com/w1", b"w" * 32, lambda: 1_700_000_000)


@pytest.fixture
async def asked(tmp_path):
    """A log's client of a witness; answers (status, media type, text)."""
    app = door.application(witness.Witness(tmp_path, [OWN], [Ed25519Verifier.from_vkey(LOG.vkey)]))

    async def ask(body, method="POST", path="/add-checkpoint"):
        answer = await calling.request(method, path, content=body)
        return answer.status_code, answer.headers["content-type"], answer.text

    async with inside.client(app) as calling:
        yield ask


async def test_a_log_that_grew_is_answered_with_the_signature_and_nothing_else(asked):
    status, media_type, text = await asked(LOG.submission(0, 7))
    assert (status, media_type) == (200, "text/plain; charset=utf-8")
    assert text.startswith("— ")
    assert text.endswith("=\n")
    opened = note.open_note(LOG.signed(7) + text, [CosignatureVerifier(OWN.name, OWN.public)])
    assert len(opened.verified) == 1


async def test_a_log_that_begins_elsewhere_is_told_the_size_in_its_own_media_type(asked):
    await asked(LOG.submission(0, 7))
    assert await asked(LOG.submission(0, 20)) == (409, SIZE_TYPE, "7\n")
    assert (await asked(FORK.submission(7, 7)))[0] == 422  # no size would help it


async def test_a_monitor_fetches_what_was_signed_last(asked):
    path = f"/{hashlib.sha256(LOG.signer.name.encode()).hexdigest()}/checkpoint"
    assert (await asked(b"", "GET", path))[0] == 404
    lines = (await asked(LOG.submission(0, 7)))[2]
    assert await asked(b"", "GET", path) == (200, "text/plain; charset=utf-8", LOG.signed(7) + lines)
    for other in (
        "/checkpoint",
        "//checkpoint",
        "/%2e%2e/checkpoint",
        f"/{'0' * 64}/checkpoint",
        path.upper(),
        f"{path}/x",
    ):
        status, _, text = await asked(b"", "GET", other)
        assert (status, LOG.signer.name in text) == (404, False)


async def test_each_refusal_has_the_status_of_the_specification(asked):
    await asked(LOG.submission(0, 7))
    forged = Submission(7, LOG.proof(7, 20), LOG.signed(20, Ed25519Signer(LOG.signer.name, b"x" * 32))).body()
    for body, expected in (
        (FORK.submission(7, 20), 422),
        (Submission(7, (), LOG.signed(20)).body(), 422),
        (OTHER.submission(0, 7), 404),
        (forged, 403),
        (Submission(7, LOG.proof(7, 20), note.text_of(LOG.signed(20)) + "\n" + FAILED).body(), 403),
        (Submission(7, LOG.proof(7, 20), LOG.signed(20).replace("\n\n", f"\n\n{FAILED}")).body(), 403),
        (Submission(20, (), LOG.signed(7)).body(), 400),
        (b"", 400),
        (b"old 7\n\n", 400),
        (b"\xff" * 300, 400),
        (b"x" * (door.MAX_BODY + 1), 413),
    ):
        status, media_type, text = await asked(body)
        assert (status, media_type) == (expected, "text/plain; charset=utf-8")
        assert text.count("\n") == 1
    assert (await asked(LOG.submission(7, 20)))[0] == 200  # and the refusals changed nothing


async def test_an_empty_log_has_the_root_of_nothing_and_needs_no_proof(asked):
    other = Submission(0, (), note.sign(Checkpoint(LOG.signer.name, 0, bytes(32)).text(), [LOG.signer])).body()
    assert (await asked(other))[0] == 422
    assert (await asked(LOG.submission(0, 0)))[0] == 200
    assert (await asked(other))[0] == 422
    assert (await asked(Submission(0, (bytes(32),), LOG.signed(7)).body()))[0] == 422
    assert (await asked(LOG.submission(0, 7)))[0] == 200


async def test_an_answer_never_repeats_what_was_sent(asked):
    for body in (b"old me@example.com\n\n", Submission(0, (), note.sign("me@example.com\n", [OTHER.signer])).body()):
        assert "me@example.com" not in (await asked(body))[2]


async def test_nothing_else_is_served(asked):
    assert (await asked(b"", "GET"))[0] == 405
    assert (await asked(b"", "GET", "/"))[0] == 404
    assert (await asked(LOG.submission(0, 7), path="/checkpoint"))[0] == 404


async def test_a_witness_that_cannot_keep_its_state_says_so_and_signs_nothing(asked, tmp_path):
    await asked(LOG.submission(0, 7))
    next(tmp_path.glob("*.checkpoint")).write_text("torn")
    assert (await asked(LOG.submission(7, 20)))[0] == 503


async def test_of_two_pasts_that_are_sent_at_once_one_is_signed(asked):
    await asked(LOG.submission(0, 3))
    answers = await asyncio.gather(*(asked(log.submission(3, 20)) for log in [LOG, FORK] * 5))
    assert sorted(status for status, _, _ in answers) == [200] + [409] * 9
