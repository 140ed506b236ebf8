"""Looks at the site and the running service from outside, without a trace, for `gateway rehearse` and each rehearsal.

The site, as a stranger sees it: the link is on its pages, the choices page has its form, and a browser's signal is
honored (11 CCR 7004(a)(5); Todd Snyder's banner was away for 40 days). Asks without a cookie, and a client without one
is never written down. Posts nothing.

The service: whether it runs on this configuration, and whether each signal beside a question ends what it has to. Every
question is a dry run about an id that nobody has (I23).
"""

import asyncio
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx2

from gateway.choice.recipient import Recipient
from gateway.delivery.outgoing import authorities
from gateway.rehearsal import acts
from gateway.rehearsal import stage as stages
from gateway.rehearsal.asking import CHECK, MOST, RehearsalGot, asking_of
from gateway.rehearsal.stage import NotTaken, patiently, taken
from gateway.rehearsal.ways import said_by
from gateway.settings.load import Settings
from gateway.terms import Answer

SECONDS = 20.0
CHOICES = "/privacy-choices"
MARK = {"User-Agent": "gateway-rehearsal", "Accept": "text/html"}
SIGNAL = {"Sec-GPC": "1"}
LINK = re.compile(r"""<a\b[^>]*\bhref\s*=\s*["']?([^"'\s>]*/privacy-choices)(?=[?#"'\s>])""", re.IGNORECASE)
FORM = re.compile(r"""<form\b[^>]*\bmethod="post"[^>]*>""", re.IGNORECASE)
OPTS_OUT = re.compile(r"""<button\b[^>]*\bvalue="opt_out\"""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a page."""

    page: str
    what: str
    why: str


async def look(pages: Sequence[str], *, linked: bool = True) -> list[Trouble]:
    """What is wrong with these pages and the choices page that each of them links; nothing where all is well. Not
    `linked`: the site is in the mode without a link (11 CCR 7025(g)), and its choices page is where it always is.
    """
    found: list[Trouble] = []
    choices: dict[str, None] = {}
    believed = await asyncio.to_thread(authorities)  # read from the disk, once a process
    async with httpx2.AsyncClient(
        timeout=SECONDS, headers=MARK, follow_redirects=True, trust_env=False, verify=believed
    ) as client:
        for page in pages:
            answer = await _get(client, page, "a page of the site", found)
            link = LINK.search(answer.text) if answer else None
            if answer and (link or not linked):
                choices[urljoin(str(answer.url), link[1] if link else CHOICES)] = None
            elif answer:
                found.append(Trouble(page, "a page of the site", "has no link to /privacy-choices"))
        for page in choices:
            await _choices(client, page, found)
    return found


async def _choices(client: httpx2.AsyncClient, page: str, found: list[Trouble]) -> None:
    answer = await _get(client, page, "the choices page", found)
    if answer and not (FORM.search(answer.text) and OPTS_OUT.search(answer.text)):
        found.append(Trouble(page, "the choices page", "has no form with a button that opts out"))
    signal = await _get(client, page, "the signal on the choices page", found, SIGNAL)
    if signal and "Opt-Out Request Honored" not in signal.text:
        found.append(Trouble(page, "the signal on the choices page", "is not shown as honored"))
    status = await _get(client, f"{page}/status", "the signal in the page's status", found, SIGNAL)
    if status and _said(status).get("status") != "opted_out":
        found.append(Trouble(page, "the signal in the page's status", "is not honored"))
    statement = await _get(client, urljoin(page, "/.well-known/gpc.json"), "the statement of support", found)
    if statement and _said(statement).get("gpc") is not True:
        found.append(Trouble(page, "the statement of support", "does not say gpc: true"))


async def _get(
    client: httpx2.AsyncClient, page: str, what: str, found: list[Trouble], headers: dict[str, str] | None = None
) -> httpx2.Response | None:
    client.cookies.clear()  # a stranger at each request
    try:
        answer = await client.get(page, headers=headers)
    except httpx2.HTTPError as error:
        found.append(Trouble(page, what, f"cannot be reached: {type(error).__name__}"))
        return None
    if answer.status_code != 200:  # noqa: PLR2004
        found.append(Trouble(page, what, f"answered {answer.status_code}"))
        return None
    return answer


def _said(answer: httpx2.Response) -> dict[str, object]:
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


Failure = list[str]


async def ask(address: str, key: str, settings: Settings, *, dev: bool = False) -> dict[str, Any]:
    """What was found, shaped as a rehearsal's content. `address`: the internal one, or where a replica listens."""
    headers = {"Authorization": f"Bearer {key}"}
    known, failed, proved = settings.registry(dev=dev), list[Failure](), set[str]()
    async with httpx2.AsyncClient(
        base_url=address, headers=headers, timeout=SECONDS, trust_env=False, verify=authorities()
    ) as client:
        try:
            failed += await _runs_on(client, known)
            before = await _asked(client, known, {})
            for name, (signals, _) in acts.CALLS.items():
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
) -> dict[str, RehearsalGot]:
    """What each recipient gets of somebody who said nothing else."""
    names, found = [name for name, item in known.items() if item.purposes and item.data], dict[str, RehearsalGot]()
    for start in range(0, len(names), MOST):
        listed = [{"type": "gaid", "value": str(uuid.uuid4())}]
        body = {"identifiers": listed, "recipients": names[start : start + MOST], **asking_of(signals)}
        verdicts = taken(await patiently(lambda body=body: client.post("/v1/check", json=body)), 200).json()["verdicts"]  # type: ignore[misc]
        found |= {name: RehearsalGot(one["data"], one["reason"]) for name, one in verdicts.items()}
    return found


def _judged(
    recipient: Recipient,
    signal: str,
    settings: Settings,
    answers: tuple[dict[str, RehearsalGot], dict[str, RehearsalGot]],
    failed: list[Failure],
) -> set[str]:
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
