"""A dry run of a share is the real answer, marked: no row comes back, nothing is sent, nothing is on record (I23)."""

import asyncio

import pytest
from web.test_share import PATH, acknowledge, disclosed, linked, opt_out, row, share  # noqa: F401 - a fixture

pytestmark = pytest.mark.anyio


async def test_a_dry_run_answers_as_the_share_would_and_leaves_nothing(linked, tmp_path):  # noqa: F811
    await opt_out(linked, row(2)["identifiers"][0])
    rows = [row(1), row(2), row(1), b"not json", row(3, data={"speed": 3})]
    _, dry, last = await share(linked, *rows, path=f"{PATH}?dry_run=1")
    assert await asyncio.to_thread(disclosed, tmp_path / "data") == []
    _, real, summary = await share(linked, *rows)
    assert [each.pop("dry_run") for each in dry] == [True] * 5
    handed = {"row", "valid_until", "mark"}
    assert [{name: value for name, value in each.items() if name not in handed} for each in real] == dry
    assert last["summary"].pop("dry_run")
    assert last["summary"] == {name: value for name, value in summary["summary"].items() if name != "valid_until"}
    assert len(await asyncio.to_thread(disclosed, tmp_path / "data")) == 1


async def test_a_row_that_left_is_a_duplicate_in_a_dry_run_too(linked):  # noqa: F811
    await share(linked, row(1))
    await acknowledge(linked, {"id": "r1"}, recipient="teemo")
    _, [dry], _ = await share(linked, row(1), path=f"{PATH}?dry_run=1")
    assert dry["outcome"] == "duplicate"


@pytest.mark.parametrize("query", ["dry_run=yes", "dryrun=1", "dry_run=1&x=1"])
async def test_a_misspelt_dry_run_sends_nothing(linked, tmp_path, query):  # noqa: F811
    answer, _, _ = await share(linked, row(1), path=f"{PATH}?{query}")
    assert answer.status_code == 400
    assert await asyncio.to_thread(disclosed, tmp_path / "data") == []


async def test_dry_runs_are_counted_apart(linked):  # noqa: F811
    await share(linked, row(1), path=f"{PATH}?dry_run=1")
    text = (await linked.get("/metrics")).text
    assert 'gateway_share_rows_total{mode="dry_run",outcome="returned",recipient="teemo"} 1.0' in text
