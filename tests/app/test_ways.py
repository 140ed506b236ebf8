"""How each recipient is told, by what the configuration says."""

import pytest
from delivery.test_post import SECRETS
from support import inside

from gateway.app.from_settings import ways
from gateway.desk.outbox import OutboxKind

CONFIGURED = """
[recipients.teemo]
deliveries = "https://teemo.example/told"
ddrf = "teemo.example"
[recipients.matching]
deliveries = "http://127.0.0.1:9/told"
[erasure]
account_backend = "https://accounts.example/told"
[delivery]
ddrf_domain = "operator.example"
"""


@pytest.fixture
def told(tmp_path):
    """(recipient, endpoint, kind) of each way."""

    def read(more=""):
        file = tmp_path / "config.toml"
        file.write_text(CONFIGURED + more)
        return {(way.recipient, way.endpoint, way.kind) for way in ways(inside.settings(file), SECRETS)}

    return read


def test_deletions_go_by_the_framework_where_a_recipient_takes_it_and_the_rest_by_post(told):
    assert told() == {
        ("teemo", "https://teemo.example/told", OutboxKind.OTHERS),
        ("teemo", "teemo.example", OutboxKind.DELETES),
        ("matching", "http://127.0.0.1:9/told", OutboxKind.ANY),
        ("account_backend", "https://accounts.example/told", OutboxKind.ANY),
    }


def test_outside_production_nobody_is_told(told):
    assert told('[environment]\nname = "staging"\n') == set()
