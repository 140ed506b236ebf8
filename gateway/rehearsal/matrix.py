"""The ways by the recipients of a rehearsal, each cell with what it rests on: which purposes were proved, which could
not be allowed before, which failed at which door. What is entered of a rehearsal has it; the desk shows it.

Most cells are the same as others, so the distinct ones are listed once and a way names them by number.
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.rehearsal.judging import RehearsalOutcome

PAGE = "page"
NAMED = 5  # failures that a cell names; more are counted


def matrix_of_rehearsal(outcomes: Mapping[str, RehearsalOutcome]) -> dict[str, Any]:
    """`cells`: each with `proved` (purposes), `not_allowed` (purpose: why), `failed` ([purpose, door, why]) and
    `failures`, their number; empty ones are left out. `matrix`: by way and recipient, which cell. The recipient `page`
    is the site's own page, an empty one the way itself, which was not taken.
    """
    numbers: dict[str, int] = {}
    matrix = {
        name: {recipient: _number(cell, numbers) for recipient, cell in sorted(_cells(outcome).items())}
        for name, outcome in outcomes.items()
    }
    return {"cells": [json.loads(cell) for cell in numbers], "matrix": matrix}


def _number(cell: Mapping[str, Any], numbers: dict[str, int]) -> int:
    return numbers.setdefault(json.dumps(cell, sort_keys=True), len(numbers))


def _cells(outcome: RehearsalOutcome) -> dict[str, dict[str, Any]]:
    cells: dict[str, dict[str, Any]] = {}
    for recipient, purpose in sorted(outcome.proved):
        cells.setdefault(recipient or PAGE, {}).setdefault("proved", []).append(str(purpose))
    for (recipient, purpose), why in sorted(outcome.not_allowed.items()):
        cells.setdefault(recipient or PAGE, {}).setdefault("not_allowed", {})[str(purpose)] = str(why)
    for recipient, purpose, door, why in dict.fromkeys(outcome.failed):
        cell = cells.setdefault(recipient or (PAGE if purpose else ""), {})
        cell["failures"] = cell.get("failures", 0) + 1
        if cell["failures"] <= NAMED:
            cell.setdefault("failed", []).append([str(purpose), door, why])
    return cells
