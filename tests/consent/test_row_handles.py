"""A caller's row id goes to nobody: a recipient has a row under a handle, which stays the same while its keys
change."""

import asyncio
import json
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support import inside
from support.people import gaid, named
from support.shares import share_all

from gateway.app.composition import migrate, open_house
from gateway.consent.files import Filing
from gateway.consent.share import ShareRow
from gateway.delivery.forwarding import ForwardOutcome
from gateway.desk.disclosures import Acknowledged
from gateway.keys import secret_files
from gateway.settings.load import SettingsRefused

pytestmark = pytest.mark.anyio
SECRET_ID = "jane.doe@example.com/2026-11-24"


class Clock:
    def __init__(self) -> None:
        self.at = datetime(2026, 6, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def row(row_id: str = SECRET_ID, person: int = 1) -> ShareRow:
    return ShareRow(row_id, [named("gaid", gaid(person))], {"ad_id": gaid(person)}, "US-NY")


@pytest.fixture
def opened(tmp_path):
    """Opens the installation; each time as a service that was started anew does."""
    migrate(tmp_path / "data")
    clock = Clock()

    def open_(**more: str):
        settings = inside.settings(recipients__teemo__unlinked="allow", recipients__flurry__unlinked="allow", **more)
        return open_house(tmp_path / "data", settings, dev=True, clock=clock)

    open_.clock, open_.folder = clock, tmp_path / "data"
    return open_


def change_key(folder) -> None:
    """The key that handles are made with is replaced, and the old one is gone."""
    old = secret_files.load_secrets(folder)
    secret_files.store(folder, replace(old, seals=(secrets.token_bytes(32),)))


async def handed_back(house, one: ShareRow, recipient: str = "teemo") -> str:
    to = replace(house.consent.recipients[recipient], mode="return")
    [shared] = await share_all(house.sharing, to, [one])
    assert SECRET_ID not in repr(shared.row)
    return shared.row["row"]


async def test_the_recipient_of_a_forwarded_row_does_not_get_the_id_and_the_caller_is_told_the_handle(opened):
    batches = []

    async def send(endpoint, key, rows, deadline, *, to):
        batches.append((endpoint, key, json.dumps(rows)))
        return ForwardOutcome.SENT

    with opened() as house:
        house.sharing._forwarder.send = send
        to = replace(house.consent.recipients["teemo"], mode="forward", endpoint="https://teemo.example/rows")
        [shared] = await share_all(house.sharing, to, [row()])
        [again] = await share_all(house.sharing, to, [row()])
    assert SECRET_ID not in repr(batches)
    assert (shared.outcome, set(shared.row)) == ("sent", {"row"})
    assert json.loads(batches[0][2]) == [{"ad_id": gaid(1)} | shared.row]
    assert (again.outcome, again.row) == ("duplicate", shared.row)


async def test_a_row_has_another_handle_at_each_recipient(opened):
    with opened() as house:
        assert await handed_back(house, row()) != await handed_back(house, row(), "flurry")


async def test_of_rows_that_were_never_posted_a_new_key_makes_new_handles(opened):
    with opened() as house:
        to = house.consent.recipients["teemo"]
        before = await house.sharing.handles(to, ["r1"])
    await asyncio.to_thread(change_key, opened.folder)
    with opened() as house:
        assert (await house.sharing.handles(to, ["r1"]))["r1"] != before["r1"]


@pytest.mark.parametrize("acknowledged", [True, False])
async def test_a_handle_stays_the_same_for_35_days_while_keys_change(opened, acknowledged):
    with opened() as house:
        first = await handed_back(house, row())
        if acknowledged:
            await house.sharing.acknowledge([Acknowledged("sent", row_id=SECRET_ID, recipient="teemo")])
    await asyncio.to_thread(change_key, opened.folder)
    opened.clock.at += timedelta(days=34)
    with opened() as house:
        assert await handed_back(house, row()) == first
    opened.clock.at += timedelta(days=36)
    with opened() as house:
        assert await handed_back(house, row()) != first


async def test_a_row_stands_in_a_file_under_the_handle_that_was_told_when_it_was_posted(opened):
    line = json.dumps({"id": SECRET_ID, "identifiers": [named("gaid", gaid(1))], "data": {}}).encode()
    with opened() as house:
        to = replace(house.consent.recipients["teemo"], mode="files")
        filing = Filing(house.sharing, opened.folder, house.secrets, opened.clock)
        [told] = await filing.keep(to, "night-1", [line], [row()])
    await asyncio.to_thread(change_key, opened.folder)
    with opened() as house:
        filing = Filing(house.sharing, opened.folder, house.secrets, opened.clock)
        filed = await filing.seal(to, "night-1", lambda _, posted: row(json.loads(posted)["id"]))
        part = await asyncio.to_thread(filed.sealed.files[0].read_text)
    assert SECRET_ID not in part
    assert json.loads(part) == {"ad_id": gaid(1)} | told.row


async def test_a_row_that_was_put_by_before_there_were_handles_has_one_in_its_file(opened):
    line = json.dumps({"id": SECRET_ID, "note": "a b"}).encode()
    with opened() as house:
        to = replace(house.consent.recipients["teemo"], mode="files")
        filing = Filing(house.sharing, opened.folder, house.secrets, opened.clock)
        await asyncio.to_thread(filing._job(to, "night-1").append, [line])
        filed = await filing.seal(to, "night-1", lambda _, posted: row(json.loads(posted)["id"]))
        part = await asyncio.to_thread(filed.sealed.files[0].read_text)
        assert json.loads(part)["row"] == (await handed_back(house, row()))


async def test_two_processes_that_seal_one_job_at_once_make_one_set_of_files(opened):
    line = json.dumps({"id": SECRET_ID, "identifiers": [named("gaid", gaid(1))], "data": {}}).encode()
    with opened() as house:
        to = replace(house.consent.recipients["teemo"], mode="files")
        both = [Filing(house.sharing, opened.folder, house.secrets, opened.clock) for _ in range(2)]
        await both[0].keep(to, "night-1", [line], [row()])
        read = lambda _, posted: row(json.loads(posted)["id"])  # noqa: E731
        filed = await asyncio.gather(*(each.seal(to, "night-1", read) for each in both))
    assert sorted(each.made for each in filed) == [False, True]
    assert filed[0].sealed.manifest == filed[1].sealed.manifest


async def test_an_id_that_the_recipient_must_see_is_a_field_and_the_handle_is_ours(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[recipients.teemo]\nfields = { id = { class = "ad_id", kind = "gaid" } }\n')
    assert inside.settings(file).registry(dev=True)["teemo"].fields["id"] == "ad_id"
    file.write_text('[recipients.teemo]\nfields = { row = { class = "ad_id", kind = "gaid" } }\n')
    with pytest.raises(SettingsRefused, match=r"fields\.row: is a member of every row"):
        inside.settings(file)
