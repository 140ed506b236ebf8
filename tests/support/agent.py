"""An authorized agent as the Data Rights Protocol has it (its text of 0.9.4), written from that text alone: it signs
with its own key, gets a token, and sends requests.
"""

import base64
import json
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support import described

NAME, BUSINESS = "PERMISSIONS", "EXAMPLE_CO"
SITE = "https://www.example.com"
REQUESTS = "/v1/data-rights-request"
ERRORS = {"code", "message", "fatal"}
STATUSES = {"open", "in_progress", "fulfilled", "revoked", "denied", "expired"}
REASONS = {
    "need_user_verification", "suspected_fraud", "insuf_verification", "no_match", "claim_not_covered",
    "outside_jurisdiction", "too_many_requests", "other",
}  # fmt: skip
MEMBERS = {
    "request_id", "received_at", "expected_by", "agent_request_id", "processing_details", "status", "reason",
    "user_verification_url", "expires_at", "results_url",
}  # fmt: skip


def listed(tmp_path, *keys, callback=""):
    """A file of settings with the agents of these keys, the first by its name."""
    text = f'[site]\nurl = "{SITE}"\n'
    for number, key in enumerate(keys):
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        text += (
            f'[agents.{NAME if not number else f"AGENT_{number}"}]\nname = "Permissions"\nbusiness_id = "{BUSINESS}"\n'
            f'verify_key = "{public}"\ncontact = "it@agent.example.com"\ncallback = "{callback}"\n'
        )
    file = tmp_path / "agents.toml"
    file.write_text(text)
    return file


def signed(key: Ed25519PrivateKey, content: object) -> bytes:
    """libsodium's combined form, in base64."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.b64encode(key.sign(text) + text)


class DataRightsAgent:
    """`calling`: a client of the gateway; `clock`: the agent's own."""

    def __init__(self, calling, key, clock, name=NAME):
        self.calling, self.key, self.clock, self.name = calling, key, clock, name
        self.headers = {"Content-Type": "text/plain"}

    def envelope(self, **more):
        now = self.clock()
        return {
            "agent-id": self.name, "business-id": BUSINESS, "issued-at": now.isoformat(),
            "expires-at": (now + timedelta(minutes=10)).isoformat(), "drp.version": "1.0", **more,
        }  # fmt: skip

    def asks(self, exercise, **claims):
        return self.envelope(**{"exercise": exercise, "regime": "ccpa", "relationships": ["customer"], **claims})

    async def set_up(self, **more):
        body = signed(self.key, self.envelope(**more))
        answer = await self.calling.post(f"/v1/agent/{self.name}", content=body, headers=self.headers)
        if answer.status_code == 200:
            self.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        return answer

    async def send(self, content, key=None):
        return await self.post(signed(key or self.key, content))

    async def post(self, body):
        return await self.calling.post(REQUESTS, content=body, headers=self.headers)

    async def status(self, request):
        return await self.calling.get(f"{REQUESTS}/{request}", headers=self.headers)

    async def revoke(self, request, key=None):
        body = signed(key or self.key, {"reason": "I do not want my account deleted"})
        return await self.calling.request("DELETE", f"{REQUESTS}/{request}", content=body, headers=self.headers)


def judged(answer, status=200):
    """The status object of an answer, held against the protocol's schema."""
    assert answer.status_code == status, answer.text
    found = answer.json()
    assert {"request_id", "received_at", "status"} <= set(found) <= MEMBERS
    assert found["status"] in STATUSES
    assert found.get("reason", "other") in REASONS
    described.validator(REQUESTS, "post", "responses", "200", "content", described.JSON, "schema", only=True).validate(
        found
    )
    assert found["status"] != "in_progress" or "expected_by" in found
    assert found.get("reason") != "need_user_verification" or found["user_verification_url"].startswith("https://")
    return found


def refused(answer):
    """Status and message of an error, held against the protocol's form."""
    found = answer.json()
    assert {"code", "message"} <= set(found) <= ERRORS
    assert found["code"] == str(answer.status_code)
    return answer.status_code, found["message"]


async def with_token(site, key, *name):
    """An agent that its gateway knows."""
    made = DataRightsAgent(site.calling, key, site.clock, *name)
    assert (await made.set_up()).status_code == 200
    return made


async def goes_by(site, later):
    """So much time, that entries of somebody else confirm."""
    for site.clock.later in (later - timedelta(hours=1), later):
        stranger = {"type": "email", "value": "stranger@example.com"}
        assert "event" in await site.call("/v1/choices", choice="opt_out", identifiers=[stranger])
