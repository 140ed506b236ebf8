"""The receiver of `gateway help delivery`, given messages that are signed as the gateway signs them."""

import re
from datetime import UTC, datetime, timedelta
from importlib import resources

import orjson
import pytest

from gateway.delivery import webhook

SECRET, OTHER = b"s" * 32, b"o" * 32
PERSON = {"type": "gaid", "value": "38400000-8cf0-11bd-b23e-10b96e40000d"}


@pytest.fixture
def there():
    [code] = re.findall(
        r"```python\n(.*?)```", (resources.files("gateway") / "manual" / "delivery.md").read_text(), re.DOTALL
    )
    done = []
    names = {"SECRET": webhook.printed(SECRET), "done": done}
    names |= {word: lambda *each, word=word: done.append((word, *each)) for word in ("stop", "forget")}
    exec(code, names)
    return names


def message(kind: str) -> bytes:
    return orjson.dumps({"type": kind, "identifiers": [PERSON], "date": "2026-11-24", "duty": "…"})


@pytest.mark.parametrize(("kind", "does"), [("opt_out", "stop"), ("delete", "forget")])
def test_it_does_what_it_is_told(there, kind, does):
    headers = webhook.signed([SECRET], "msg_1", datetime.now(UTC), message(kind))
    assert there["receive"](headers, message(kind)) == 204
    assert there["done"] == [(does, PERSON["type"], PERSON["value"])]


def test_it_does_it_too_while_both_secrets_sign(there):
    headers = webhook.signed([OTHER, SECRET], "msg_1", datetime.now(UTC), message("opt_out"))
    assert there["receive"](headers, message("opt_out")) == 204


@pytest.mark.parametrize(
    ("keys", "age", "body"),
    [([OTHER], 0, message("opt_out")), ([SECRET], 600, message("opt_out")), ([SECRET], 0, message("delete"))],
    ids=["another secret", "old", "another body"],
)
def test_it_does_nothing_for_anybody_else(there, keys, age, body):
    headers = webhook.signed(keys, "msg_1", datetime.now(UTC) - timedelta(seconds=age), message("opt_out"))
    assert there["receive"](headers, body) == 400
    assert there["done"] == []
