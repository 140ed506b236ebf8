"""GET /dsrdelete.json: the key of our deletion requests; and a deletion that goes by the framework, from end to end."""

from datetime import UTC, datetime

import anyio
import jwt
import pytest
from delivery.test_ddrf import Recipient, opened
from support import inside
from support.listening import listening
from support.people import GAID, named

from gateway.settings.load import SettingsRefused

pytestmark = pytest.mark.anyio


async def test_who_asks_nobody_by_the_framework_has_no_such_file(client):
    assert (await client.get("/dsrdelete.json")).status_code == 404


async def test_a_deletion_is_asked_for_with_the_key_that_the_site_shows(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.consent.telling.PERIOD", 0.05)
    recipient, file = Recipient(), tmp_path / "config.toml"
    recipient.claims = {"iat": int(datetime.now(UTC).timestamp())}
    with listening(recipient.handler()) as url:
        file.write_text(f'[recipients.teemo]\nddrf = "{url}"\n[delivery]\nddrf_domain = "operator.example"\n')
        async with (
            inside.application(tmp_path / "data", inside.settings(file)) as app,
            inside.client(app, **inside.DEV) as keyed,
        ):
            shown = (await keyed.get("/dsrdelete.json")).json()
            await keyed.post("/v1/links", json={"account": "jane", "identifiers": [named("gaid", GAID)]})
            row = {
                "id": "r1",
                "identifiers": [named("gaid", GAID)],
                "data": {"ad_id": GAID},
                "place": "US-CA",
            }
            await keyed.post("/v1/shares/teemo", json=row)
            body = {"identifiers": [named("gaid", GAID)], "mode": "erase_details"}
            assert (await keyed.post("/v1/erasures", json=body)).status_code == 200
            with anyio.fail_after(60):
                while not recipient.requests:
                    await anyio.sleep(0.05)
    [(request, _)] = recipient.requests
    claims = opened(request, jwt.PyJWK(shown["publicKey"][0]).key)
    assert claims["sub"]["identifierValue"] == GAID
    assert "d" not in shown["publicKey"][0], "the private part"


@pytest.mark.parametrize(
    "text",
    ['[recipients.teemo]\nddrf = "vendor.example"\n', '[delivery]\nddrf_domain = "https://operator.example"\n',
     '[recipients.teemo]\nddrf = "http://vendor.example"\n[delivery]\nddrf_domain = "operator.example"\n',
     '[delivery]\nnetworks = ["inside"]\n'],
)  # fmt: skip
def test_a_configuration_that_would_ask_nobody_is_refused(tmp_path, text):
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(SettingsRefused):
        inside.settings(file)
