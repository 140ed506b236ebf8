"""Asking the running service itself, without a trace: whether it runs on this configuration, and whether each signal
beside a question ends what it has to. Every question is a dry run about an id that nobody has (api.md, I23).
"""

import uuid
from collections.abc import Mapping
from typing import Any

import httpx2

from gateway.choice.recipient import Recipient
from gateway.delivery.outgoing import authorities
from gateway.rehearsal import samples
from gateway.rehearsal import stage as stages
from gateway.rehearsal.asking import CHECK, MOST, Got, of
from gateway.rehearsal.people import NotTaken, patiently, taken
from gateway.rehearsal.ways import said_by
from gateway.settings import Settings
from gateway.terms import Answer

SECONDS = 20.0
Failure = list[str]


async def ask(address: str, key: str, settings: Settings, *, dev: bool = False) -> dict[str, Any]:
    """What was found, shaped as a rehearsal's content. `address`: the internal one, or where a replica listens."""
    headers = {"Authorization": f"Bearer {key}"}
    known, failed, proved = settings.registry(dev=dev), list[Failure](), set[str]()
    async with httpx2.AsyncClient(
        base_url=address, headers=headers, timeout=SECONDS, trust_env=False, verify=authorities()
    ) as client:  # fmt: skip
        try:
            failed += await _runs_on(client, known)
            before = await _asked(client, known, {})
            for name, (signals, _) in samples.CALLS.items():
                after = await _asked(client, known, signals)
                for recipient in known.values():
                    proved |= _judged(recipient, name, settings, (before, after), failed)
        except (httpx2.HTTPError, NotTaken) as error:
            why = str(error) if isinstance(error, NotTaken) else f"cannot be reached: {type(error).__name__}"
            failed.append(["the running service", "", "", "", why])
    return {"passed": not failed, "failed": failed, "failures": len(failed), "live": sorted(proved)}


async def _runs_on(client: httpx2.AsyncClient, known: Mapping[str, Recipient]) -> list[Failure]:
    """Recipients that the service knows otherwise than the configuration: it was not restarted, or reads another."""
    told = taken(await patiently(lambda: client.get("/v1/self")), 200).json()["recipients"]
    ours = {
        name: {"role": item.role, "purposes": list(item.purposes), "data": list(item.data), "mode": item.mode}
        for name, item in known.items()
    }
    other = sorted(name for name in {*told, *ours} if told.get(name) != ours.get(name))
    return [["the running service", name, "", "/v1/self", "runs on another configuration of it"] for name in other]


async def _asked(
    client: httpx2.AsyncClient, known: Mapping[str, Recipient], signals: Mapping[str, object]
) -> dict[str, Got]:
    """What each recipient gets of somebody who said nothing else."""
    names, found = [name for name, item in known.items() if item.purposes and item.data], dict[str, Got]()
    for start in range(0, len(names), MOST):
        listed = [{"type": "gaid", "value": str(uuid.uuid4())}]
        body = {"identifiers": listed, "recipients": names[start : start + MOST], **of(signals)}
        verdicts = taken(await patiently(lambda body=body: client.post("/v1/check", json=body)), 200).json()["verdicts"]  # type: ignore[misc]
        found |= {name: Got(one["data"], one["reason"]) for name, one in verdicts.items()}
    return found


def _judged(
    recipient: Recipient, signal: str, settings: Settings, answers: tuple[dict[str, Got], dict[str, Got]],
    failed: list[Failure],
) -> set[str]:  # fmt: skip
    """The recipient's name where something could go and now does not."""
    said, (before, after) = frozenset(said_by(signal, settings)), answers
    stopped = frozenset().union(*(stages.ends(recipient, p, said, recorded=False) for p in recipient.purposes))
    if not stopped or recipient.name not in after:
        return set()
    going = after[recipient.name].goes(stopped)
    if going:
        why = f"{', '.join(sorted(going))} allowed, {after[recipient.name].reason}"
        failed.append([f"{signal} beside a question", recipient.name, "", CHECK, why])
    went = any(before[recipient.name].data.get(one, Answer.DENY) != Answer.DENY for one in stopped)
    return {recipient.name} if went and not going else set()
