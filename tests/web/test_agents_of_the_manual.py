"""An agent as the manual shows it: its code asks, its configuration lets it in, and its answer is what comes."""

import base64
import json
import re
from importlib import resources

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from support import inside

pytestmark = pytest.mark.anyio
KEY = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)


def blocks(kind):
    manual = (resources.files("gateway") / "manual" / "agents.md").read_text()
    return re.findall(rf"```{kind}\n(.*?)```", manual, re.DOTALL)


@pytest.fixture
def configured(tmp_path):
    """The manual's file, with the key of this agent."""
    [text], public = blocks("toml"), base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
    file = tmp_path / "agents.toml"
    file.write_text(re.sub('verify_key = "[^"]+"', f'verify_key = "{public}"', text))
    return inside.settings(file)


async def test_the_manuals_agent_gets_its_token_and_opts_a_person_out(tmp_path, configured):
    [code], [shown] = blocks("python"), map(json.loads, blocks("json"))
    said = {}
    exec(code, said)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app) as calling:
        answer = await calling.post("/v1/agent/PERMISSIONS", content=said["signed"](KEY, said["message"]()))
        bearer = {"Authorization": f"Bearer {answer.json()['token']}", "Content-Type": "text/plain"}
        body = said["signed"](KEY, said["opt_out"]("jane@example.com"))
        found = (await calling.post("/v1/data-rights-request", content=body, headers=bearer)).json()
        own = {"request_id", "received_at"}
        assert {name: value for name, value in found.items() if name not in own} == {
            name: value for name, value in shown.items() if name not in own
        }
        assert own <= found.keys() & shown.keys()
