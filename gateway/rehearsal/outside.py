"""Looking at the site from outside, as a stranger who leaves no trace: the link is on its pages, the choices page has
its form, and a browser's signal is honored (11 CCR 7004(a)(5); Todd Snyder's banner was away for 40 days).

Asks without a cookie, and a client without one is never written down (design flow a). Posts nothing.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx2

from gateway.delivery.outgoing import authorities

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
    ) as client:  # fmt: skip
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
