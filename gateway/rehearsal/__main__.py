"""The process that rehearses, from the first way to the last: `python -m gateway.rehearsal FOLDER`, started by
`gateway.app.rehearsal_process`.

Reads a `RehearsalOrder` from its input and leaves what it found in FOLDER; all people in it are made up. In a process
of its own, at the lowest priority, so that no answer of the service waits for it.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway.app.rehearsal_process import FOUND, NICE, RehearsalOrder
from gateway.desk.evidence import Rehearsal
from gateway.rehearsal import outside, ways
from gateway.rehearsal import stage as stages
from gateway.rehearsal.judging import RehearsalOutcome, judge, matrix_of_rehearsal
from gateway.rehearsal.stage import Cast
from gateway.rehearsal.ways import Way
from gateway.settings.load import Settings

LISTED = 200  # failures that are named; more are counted


def rehearse(settings: Settings, folder: Path, *, only: str = "", dev: bool = False) -> Rehearsal:
    """Every way that is open in these settings, or those whose name has `only` in it, on a stage in `folder`, which is
    not there yet. `dev` as in `stage.quiet`.
    """
    start, wanted = datetime.now(UTC), [way for way in ways.every(settings) if only in way.name]
    closed = {way.name: way.closed for way in wanted if way.closed}
    is_open = [way for way in wanted if not way.closed]
    outcomes, seen = asyncio.run(_played(folder, stages.quiet(settings, dev=dev), is_open, settings))
    return Rehearsal(
        secrets.token_bytes(16), start, datetime.now(UTC), told_to_recipients(settings, outcomes, closed, seen)
    )


async def _played(
    folder: Path, quiet: Settings, wanted: Sequence[Way], settings: Settings
) -> tuple[dict[str, RehearsalOutcome], list[outside.Trouble]]:
    async with stages.opened(folder, quiet) as stage:
        cast = Cast(stage)
        outcomes = {way.name: await judge(way, stage, cast) for way in wanted}
    return outcomes, await outside.look(settings.rehearsal.pages, linked=settings.site.mode != "no_link")


def told_to_recipients(
    settings: Settings,
    outcomes: Mapping[str, RehearsalOutcome],
    closed: Mapping[str, str],
    seen: Sequence[outside.Trouble],
) -> dict[str, Any]:
    """The content of the entry: of each way how many pairs were proved, could not be allowed here, and failed; every
    failure by name; which pairs could never be allowed, and why; and the matrix of ways and recipients.
    """
    made_up = stages.made_up(settings).keys()
    failed = [[name, *map(str, item)] for name, outcome in outcomes.items() for item in dict.fromkeys(outcome.failed)]
    failed += [[one.what, "", "", one.page, one.why] for one in seen]
    proved = {pair for outcome in outcomes.values() for pair in outcome.proved}
    never = {
        pair: why for outcome in outcomes.values() for pair, why in outcome.not_allowed.items() if pair not in proved
    }
    return {
        "passed": not failed and bool(outcomes),
        "failed": failed[:LISTED],
        "failures": len(failed),
        "ways": {
            name: [
                len(outcome.proved),
                len([pair for pair in outcome.proved if pair[0] not in made_up]),
                len(outcome.not_allowed),
                len(outcome.failed),
                outcome.milliseconds,
            ]
            for name, outcome in outcomes.items()
        },
        "proved": sorted(f"{name or 'page'} {purpose}" for name, purpose in proved),
        "not_allowed": sorted([name or "page", str(purpose), str(why)] for (name, purpose), why in never.items()),
        "closed": dict(closed),
        **matrix_of_rehearsal(outcomes),
        "pages": len({*settings.rehearsal.pages}),
        "slowest_ms": max((outcome.milliseconds for outcome in outcomes.values()), default=0),
    }


def main() -> None:
    os.nice(NICE)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # what the stage logs is of nobody's interest
    folder = Path(sys.argv[1])
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=RehearsalOrder, strict=False)
    found = rehearse(order.settings, folder / "data", only=order.only, dev=order.dev)
    (folder / FOUND).write_bytes(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
