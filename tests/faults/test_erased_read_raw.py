"""Of fifty people thirty-one are erased. Another process reads every file as bytes: the data folder, the secrets, a
backup of everything from before. Until the stated date nothing opens but by the key of an epoch; after it nothing does.
"""

import asyncio
from datetime import timedelta

import pytest
from support import inside
from support.erased import AT, ERASED, SETTINGS, chosen, opened, people, read_raw, receipts_verify, wanted

from gateway.app import maintenance
from gateway.desk.forgetting.erasure import ErasureOrder
from gateway.keys.epochs import Epochs
from gateway.terms import Erasing

pytestmark = pytest.mark.slow


@pytest.fixture
def tmp_path(tmp_path_factory):
    """In memory where there is some: what lies in the files is asked here, and not whether it lasts."""
    return tmp_path_factory.mktemp("raw")


@pytest.fixture(autouse=True)
def steps(monkeypatch):
    inside.steps_at_once(monkeypatch)


@pytest.mark.parametrize("mode", ["erase_details", "unlink", "child_found"])
def test_nothing_of_the_erased_opens_without_the_epochs_key_and_after_the_stated_date_nothing_does(
    folder, tmp_path, mode, figure
):
    events, copies = chosen(folder), tmp_path / "copies"
    maintenance.back_up_keys(folder, copies / "keys", lambda: AT)
    maintenance.back_up(folder, copies / "ledger")
    secrets = maintenance.back_up_secrets(folder, copies / "secrets").parent
    asked = wanted(folder, mode)
    with opened(folder, AT + timedelta(days=2)) as house:
        for one in people(house, *range(ERASED)):
            asyncio.run(house.consent.erase(ErasureOrder(Erasing(mode), [one], house.consent.clock())))
        stated = asyncio.run(house.consent.forgotten_by())
    receipts_verify(folder, AT + timedelta(days=2), events)
    before = read_raw(asked, folder, copies)
    assert (before["markers"], before["opened"]) == (0, 0)
    assert before["opened by an epoch"] == len(asked["boxes"]), "the control: the backup of before still has it all"

    for at in (AT + timedelta(days=7), stated - timedelta(seconds=1)):
        receipts_verify(folder, at, events)
    maintenance.back_up_secrets(folder, secrets)  # daily, as the manual says
    at_last = read_raw(asked, folder, copies)
    assert at_last["opened by an epoch"] == len(asked["boxes"]), "the control: the date is not stated too late"

    receipts_verify(folder, stated, events)
    maintenance.back_up_secrets(folder, secrets, lambda: stated)
    after = read_raw(asked, folder, copies)
    figure(f"read raw, 31 of 50, {mode}", f"before {before}; from {stated:%Y-%m-%d} on {after}")
    assert (after["markers"], after["opened"], after["opened by an epoch"]) == (0, 0, 0)
    assert after["wrapped"] == len(asked["boxes"]), "the backup of before is there as it was"
    maintenance.put_back(tmp_path / "again", SETTINGS, copies / "ledger", None, secrets, lambda: stated)
    assert not any(each.begun and each.dies <= stated.timestamp() * 1000 for each in Epochs(tmp_path / "again", ()).all)
