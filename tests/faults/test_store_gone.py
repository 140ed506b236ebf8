"""The database is lost under the running service: within two seconds nothing goes any more, and nothing that a person
was told is kept is lost: it waits beside the last checkpoint, and is entered once the database is back."""

import contextlib
import time
from pathlib import Path

import pytest
from support import disk_errors
from support.people import gaid, named, phone
from support.service import service
from support.wire import call, check, post_form

pytestmark = pytest.mark.slow
WITHIN = 2.0


def rename_away(data):
    (data / "ledger.sqlite3").rename(data / "elsewhere")


def overwrite_first_page(data):
    with (data / "ledger.sqlite3").open("r+b") as file:
        file.write(b"\x00" * 4096)


WAYS = {"renamed away": rename_away, "first page overwritten": overwrite_first_page}


def settle(running) -> None:
    """A checkpoint has run: the first page is read from the file and not from the log beside it."""
    call(f"{running.url}/v1/choices", {"identifiers": [named("gaid", gaid(1))], "choice": "opt_out"})
    until(running.checkpointed)


def until(true, seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it does not come"
        time.sleep(0.05)


def allows(running, person: int = 2) -> bool:
    return check(running.url, named("gaid", gaid(person)), "advertisers", place="US-NY")["allowed"]


def test_the_control_a_sound_store_lets_an_ad_call_through(tmp_path):
    with service(tmp_path) as running:
        settle(running)
        assert allows(running)


@pytest.mark.parametrize("way", WAYS)
def test_within_two_seconds_every_check_denies_and_a_form_is_kept_and_not_called_honored(tmp_path, way, figure):
    with service(tmp_path) as running:
        settle(running)
        WAYS[way](running.data)
        figure(f"store {way}", f"every check denies after {_everything_denies(running.url):.2f} s")


def test_reads_that_fail_deny_within_two_seconds(tmp_path, tool, figure):
    """strace makes every read of the database fail as a dying disk does."""
    with service(tmp_path) as running:
        settle(running)
        pid, files = running.process.pid, [running.data / name for name in ("ledger.sqlite3", "ledger.sqlite3-wal")]
        with disk_errors.failing(tool("strace"), pid, "pread64", "error=EIO", Path("/dev/null"), only=files):
            figure("store cannot be read", f"every check denies after {_everything_denies(running.url):.2f} s")
        until(lambda: allows(running))


def test_opt_outs_on_a_full_disk_are_kept_beside_it_and_entered_when_there_is_room(tmp_path, tool, figure):
    """strace makes every write of the database fail as a full disk does; the emergency file's are of another disk."""
    with service(tmp_path) as running:
        settle(running)
        pid, wal = running.process.pid, running.data / "ledger.sqlite3-wal"
        with disk_errors.failing(tool("strace"), pid, "pwrite64", "error=ENOSPC", Path("/dev/null"), only=(wal,)):
            kept = [opt_out(running.url, 100 + n) for n in range(5)]
            ready = call(f"{running.url}/readyz", key="")
        assert set(kept) == {202}
        assert (ready[0], ready[1]["ledger"]["keeps"]) == (503, False)
        until(lambda: call(f"{running.url}/readyz", key="")[0] == 200)
        assert opt_out(running.url, 200) == 201
        figure("disk full", f"{len(kept)} of 5 kept beside the ledger, readyz 503, entered once there is room")
        for person in (1, 100, 104, 200):
            assert check(running.url, named("gaid", gaid(person)), "teemo", place="US-NY")["reason"] == "opted_out"


def opt_out(url: str, person: int) -> int:
    return call(f"{url}/v1/choices", {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"})[0]


def test_a_store_that_comes_back_is_used_again_and_has_kept_everything(tmp_path):
    with service(tmp_path) as running:
        settle(running)
        rename_away(running.data)
        _everything_denies(running.url)
        (running.data / "elsewhere").rename(running.data / "ledger.sqlite3")
        until(lambda: allows(running))
        assert not allows(running, 1)
        assert post_form(running.url, action="opt_out", phone=phone(3))[0] == 303
        assert not check(running.url, named("phone", phone(3)), "advertisers", place="US-NY")["allowed"]


def test_opt_outs_under_way_while_the_store_goes_are_kept_in_it_or_beside_it(tmp_path, figure):
    """Each one that was acknowledged denies once the store is back."""
    import threading

    acknowledged, kept, refused = [], [], []
    with service(tmp_path) as running:
        settle(running)
        stop = threading.Event()

        def people() -> None:
            person = 1000
            while not stop.is_set():
                person += 1
                body = {"identifiers": [named("gaid", gaid(person))], "choice": "opt_out"}
                status, _ = call(f"{running.url}/v1/choices", body)
                {201: acknowledged, 202: kept}.get(status, refused).append((person, status))

        thread = threading.Thread(target=people)
        thread.start()
        until(lambda: len(acknowledged) > 2)
        rename_away(running.data)
        until(lambda: len(kept) > 2)
        stop.set()
        thread.join()
        (running.data / "elsewhere").rename(running.data / "ledger.sqlite3")
        until(lambda: call(f"{running.url}/readyz", key="")[0] == 200)
        assert refused == []
        figure("store lost under opt-outs", f"{len(acknowledged)} entered, {len(kept)} kept beside it, 0 lost")
        for person, _ in acknowledged + kept:
            assert check(running.url, named("gaid", gaid(person)), "teemo", place="US-NY")["reason"] == "opted_out"


def _everything_denies(url: str) -> float:
    began = asked = time.monotonic()
    while True:
        answer = check(url, named("gaid", gaid(2)), "advertisers", place="US-NY")
        if not answer["allowed"]:
            break
        assert asked - began < WITHIN, "a check that was asked after that allows"
        time.sleep(0.02)
        asked = time.monotonic()
    took = time.monotonic() - began
    assert answer["reason"] in {"stale", "store_unavailable"}
    status, page = call(f"{url}/demo", key="")
    assert status == 200
    assert "sale=?0, sharing=?0, targeted_ads=?0, status=unknown" in page
    with contextlib.suppress(OSError):
        status, place = post_form(url, action="opt_out", phone=phone(9))
        assert (status, place) == (202, None)
    status, page = call(
        f"{url}/privacy-choices", b"action=opt_out&phone=4155550109", key="", kind="application/x-www-form-urlencoded"
    )
    assert status == 202
    assert "It is kept" in page
    assert "Honored" not in page
    return took
