"""The desk's matrix: each way by each recipient as the last rehearsal on record found it, with what each cell rests on."""

import asyncio
from datetime import UTC, datetime

import pytest
from support import inside
from support.at_the_desk import comes_in, desk

from gateway.app.composition import open_house
from gateway.desk.evidence import Rehearsal, note_rehearsal
from gateway.rehearsal.judging import NAMED, RehearsalOutcome, matrix_of_rehearsal

pytestmark = pytest.mark.anyio
PAGE = "/desk/rehearsal"
NOW = datetime.now(UTC)
FORM = RehearsalOutcome({("teemo", "sale")}, {("criteo", "sharing"): "no_contract"}, [], 12)
TEXT = RehearsalOutcome({("", "sale")}, {}, [("teemo", "sale", "check", "said: ip allowed, <ok>")] * 2, 900)


def rehearsed(folder, outcomes, **more):
    """Enters what a rehearsal found."""
    ways = {name: [1, 1, 1, 0, each.milliseconds] for name, each in outcomes.items()}
    told = {"passed": False, "failures": 1, "failed": [], "ways": ways, "closed": {"drop": "[drop] broker"}, **more}
    with open_house(folder, inside.settings(), dev=True) as house:
        found = Rehearsal(b"r" * 16, NOW, NOW, told)
        house.writer.submit(lambda tx: note_rehearsal(tx, found, [], NOW)).result(60)


async def matrix(folder, query=""):
    cookie = await comes_in(folder)
    async with desk(folder) as client:
        return await client.get(PAGE + query, headers=cookie)


async def test_each_way_and_recipient_has_a_cell_that_says_what_was_found(folder):
    outcomes = {"form": FORM, "text": TEXT}
    await asyncio.to_thread(rehearsed, folder, outcomes, **matrix_of_rehearsal(outcomes))
    page = (await matrix(folder)).text
    assert '<th scope="col">criteo</th><th scope="col">page</th><th scope="col">teemo</th>' in page
    assert "form</a></th><td>not allowed here</td><td>–</td><td>held</td></tr>" in page
    assert (
        'text</a> <span class="past">FAILED</span></th><td>–</td><td>held</td><td><span class="past">FAILED</span></td></tr>'
        in page
    )
    assert "2 cells held, 1 failed, 1 could not be allowed here" in page
    assert "drop: [drop] broker" in page


async def test_what_a_cell_rests_on_is_told_of_each_way_with_the_entry_that_holds_it(folder):
    outcomes = {"form": FORM, "text": TEXT}
    await asyncio.to_thread(rehearsed, folder, outcomes, **matrix_of_rehearsal(outcomes))
    form, text = (await matrix(folder, "?way=1")).text, (await matrix(folder, "?way=2")).text
    assert "the no held after 12 ms" in form
    assert "gateway receipt show cnJycnJycnJycnJycnJycg" in form
    assert "criteo: not allowed here" in form
    assert "at <code>check</code>: said: ip allowed, &lt;ok&gt;" in text
    for none in ("0", "3", "x", "99999999999999999999", "%D9%A1"):
        assert (await matrix(folder, f"?way={none}")).text.count("<table") == 1


async def test_a_rehearsal_of_before_and_none_at_all_are_said_to_be_so(folder):
    assert "No rehearsal is on record" in (await matrix(folder)).text
    await asyncio.to_thread(rehearsed, folder, {"form": FORM})
    assert "entered without its cells" in (await matrix(folder, "?way=1")).text


async def test_cells_that_are_the_same_are_entered_once_and_many_failures_are_counted():
    failing = RehearsalOutcome(failed=[("teemo", "sale", f"door {at}", "allowed") for at in range(NAMED + 2)])
    told = matrix_of_rehearsal({"a": FORM, "b": FORM, "c": failing})
    assert told["matrix"]["a"] == told["matrix"]["b"]
    assert len(told["cells"]) == 3
    cell = told["cells"][told["matrix"]["c"]["teemo"]]
    assert (len(cell["failed"]), cell["failures"]) == (NAMED, NAMED + 2)
