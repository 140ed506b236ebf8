"""A replica's side of what is handed over, without a replica: ids of answers, and batches of them."""

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gateway.choice import identity
from gateway.consent.decisions import Decision, Decisions, Stands, keys_of_replica
from gateway.keys import secret_files
from gateway.keys.seals import Enrolment
from gateway.ledger.subjects import subject_of

LINES = {"Content-Type": "application/x-ndjson"}


def made(decisions, decision):
    """The id of one answer."""
    return decisions.seal_all([decisions.draft(decision)], decision.key, decision.at)[0]


def enrolment_of(folder, maker="dev"):
    secrets_of = secret_files.load_secrets(folder)
    return Enrolment("beside", f"{maker}.secret", secrets_of.peppers, keys_of_replica(secrets_of, maker)[-1])


@dataclass
class Beside:
    """What a replica of an installation says, as of what it knew when it began: nothing of what came later."""

    folder: object
    client: object
    position: int = 2**40
    log: str = ""
    spool: str = field(default_factory=lambda: secrets.token_hex(16))
    number: int = 0

    def __post_init__(self):
        self.secrets = secret_files.load_secrets(self.folder)
        self.decisions = Decisions.of_replica(enrolment_of(self.folder), ("teemo", "advertisers", "matching"))

    async def look(self):
        """It is brought up to date: what the ledger holds now is what it answers from."""
        [*_, end] = (await self.client.get("/v1/changes")).text.splitlines()
        told = json.loads(end)
        self.position, self.log = told["position"], told["log"].partition(" ")[0]

    def key(self, person):
        return self.keys(person)[0]

    def keys(self, person):
        """Its own, and those of its other names."""
        kind = ":".join(filter(None, (person["type"], person.get("source"))))
        return subject_of(identity.read_kept(kind, person["value"]), self.secrets).keys

    def answer(
        self, person, recipient="advertisers", stands=Stands.POSSIBLE, *, at=None, denied=False, classes=("ad_id",)
    ):
        key = self.key(person)
        at = int((at or datetime.now(UTC)).timestamp())
        return made(
            self.decisions,
            Decision(key, recipient, ("sale", "sharing", "targeted_ads"), classes, at, stands, denied=denied),
        )

    def announced(self, person, recipient="advertisers", *, at=None, others=(), beside=(), classes=("ad_id",), **more):
        decision = self.answer(person, recipient, Stands.INTENDED, at=at, classes=classes)
        own = [key.hex() for each in (person, *others, *beside) for key in self.keys(each)]
        content = json.dumps({"own": own, "identifiers": [person, *beside], **more}).encode()
        return {"decision": decision, "names": self.decisions.box(decision, content)}

    def said(self, decision, outcome="sent", *, at=None):
        at = int((at or datetime.now(UTC)).timestamp() * 1000)
        return {"decision": decision, "outcome": outcome, "at": at, "said": at}

    async def hand_over(self, *lines, number=None, **head):
        """A batch, and what the gateway says of it."""
        self.number = number or self.number + 1
        stated = {"spool": self.spool, "number": self.number, "position": self.position, "log": self.log, **head}
        body = "\n".join(json.dumps(line) for line in (stated, *lines))
        answer = await self.client.post("/v1/disclosures/batches", content=body, headers=LINES)
        assert answer.status_code == 200, answer.text
        return answer.json()
