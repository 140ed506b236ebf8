import hashlib
import json
from datetime import UTC, datetime

import pytest

from gateway.desk import documents
from gateway.desk.documents import Document
from gateway.ledger.entry import b64

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SHOWN = Document("choices", "1", "en", b"You may opt out.\n")


@pytest.fixture
def log(do):
    return lambda document: do(lambda tx: documents.log(tx, document, AT))


def entries(do):
    return [json.loads(body) for (body,) in do(lambda tx: tx.db.execute("SELECT body FROM entry").fetchall())]


def test_what_people_were_shown_is_logged_by_its_hash(do, log):
    log(SHOWN)
    [leaf] = entries(do)
    sha256 = hashlib.sha256(SHOWN.body).digest()
    assert (leaf["e"], leaf["k"], leaf["n"], leaf["nv"], leaf["nl"]) == ("doc", "choices", b64(sha256), "1", "en")
    assert do(lambda tx: tx.db.execute("SELECT body, seq FROM document").fetchall()) == [(SHOWN.body, 0)]


def test_the_same_text_is_logged_once_whatever_it_is_called_the_next_time(do, log):
    for document in (SHOWN, SHOWN, Document("choices", "2", "en", SHOWN.body)):
        log(document)
    assert len(entries(do)) == 1
    assert do(lambda tx: documents.find_notice(tx, SHOWN.sha256)).version == "1"


def test_a_changed_word_is_another_document(do, log):
    log(SHOWN)
    log(Document("choices", "1", "en", SHOWN.body.replace(b"may", b"can")))
    assert len(entries(do)) == 2


def test_a_notice_is_found_by_its_hash_and_no_other_way(do, log):
    log(SHOWN)
    assert do(lambda tx: documents.find_notice(tx, SHOWN.sha256)) == SHOWN.notice
    for other in (b"", b"\0" * 32, SHOWN.sha256[:-1], SHOWN.body):
        assert do(lambda tx, other=other: documents.find_notice(tx, other)) is None
