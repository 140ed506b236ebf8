import asyncio
import base64
import os
import stat
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from support.people import email, named

from gateway import disk
from gateway.desk import emergency
from gateway.desk.emergency import LABEL, Emergency
from gateway.desk.kept_request import KeptRequest
from gateway.disk import locked, write_durably
from gateway.keys import seals, secret_files
from gateway.ledger.entry import Notice
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.subjects import Choice, Subject
from gateway.terms import ChoiceKind, Purpose

AT = datetime(2026, 11, 24, 12, 0, 0, 250_000, UTC)
MIB = 2**20


@pytest.fixture
def secrets(folder):
    return secret_files.load_secrets(folder)


@pytest.fixture
def file(tmp_path, secrets):
    return laid_out(tmp_path / "store", secrets)


def laid_out(folder, secrets, *given, **more):
    """As it is beside a checkpoint that was seen."""
    folder.mkdir()
    file = Emergency(folder, secrets, *(given or (MIB,)), **more)
    file.path.touch(0o600)
    return file


@pytest.fixture
def both(tmp_path, folder, secrets):
    """The file beside the checkpoint, which is not made yet, and the one in the data folder, which is."""
    instead = Emergency(folder, secrets, MIB)
    instead.lay_out(folder / secret_files.SECRETS)
    return Emergency(tmp_path / "store", secrets, MIB, instead=instead), instead


@pytest.fixture
def request_of(house):
    def made(person: int, kind=ChoiceKind.OPT_OUT) -> KeptRequest:
        subjects = house.consent.people.name([named("email", email(person))]).subjects
        notice = Notice(bytes(32), "3", "en")
        choice = Choice(
            kind, (Purpose.SALE,), "form", AT, "US-CA", notice, manner="web", details={"form_token": "valid"}
        )
        return KeptRequest(os.urandom(16), subjects, choice)

    return made


def requests(file):
    return [kept for _, kept in file.read().requests]


def test_a_process_that_was_stopped_over_the_file_holds_nobody_up_for_ever(file, request_of, monkeypatch):
    monkeypatch.setattr(disk, "LOCK_SECONDS", 0.01)
    file.keep(request_of(1))
    with locked(file.path):
        with pytest.raises(StoreUnavailable):
            file.keep(request_of(2))
        with pytest.raises(BlockingIOError):
            file.read()
    file.keep(request_of(3))
    assert len(requests(file)) == 2


def test_it_is_kept_while_all_threads_that_everybody_shares_wait_for_something_else(file, request_of):
    over, kept = threading.Event(), request_of(1)

    async def keep():
        loop = asyncio.get_running_loop()
        waiting = [loop.run_in_executor(None, over.wait) for _ in range(40)]
        try:
            async with asyncio.timeout(20):
                await file.keep_beside(kept)
        finally:
            over.set()
            await asyncio.gather(*waiting)

    asyncio.run(keep())
    assert requests(file) == [kept]


def test_what_was_kept_is_read_back_as_it_was(file, request_of):
    first, second = request_of(1), request_of(2, ChoiceKind.LIMIT)
    file.keep(first)
    file.keep(second)
    assert requests(file) == [first, second]
    assert file.waiting()


def test_of_which_mailbox_an_address_is_a_spelling_is_kept_with_it(file, house):
    """Else a no that waited for the disk would be a no in one spelling alone."""
    subjects = house.consent.people.name([named("email", "jane.doe@gmail.com")]).subjects
    choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "form", AT)
    file.keep(KeptRequest(os.urandom(16), subjects, choice))
    assert requests(file)[0].subjects[0].mailbox == subjects[0].mailbox is not None


def test_the_file_shows_nobody_who_is_in_it(file, request_of):
    file.keep(request_of(1))
    content = file.path.read_bytes()
    assert email(1).encode() not in content
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_another_installation_opens_no_line_and_loses_none(file, request_of, secrets):
    file.keep(request_of(1))
    line = file.path.read_bytes().rstrip(b"\n")
    other = Emergency(file.path.parent, replace(secrets, peppers=(bytes(32),)), MIB)
    assert other.path != file.path
    file.path.rename(other.path)
    read = other.read()
    assert (read.requests, read.unread) == ((), (line,))
    assert other.clear(read)
    assert other.unread()
    assert line in other.path.with_suffix(".unread").read_bytes()
    assert not other.waiting()


def test_a_torn_last_line_was_not_acknowledged_and_is_skipped_and_counted(file, request_of):
    first, second = request_of(1), request_of(2)
    file.keep(first)
    with file.path.open("ab") as torn:
        torn.write(b"half a li")
    assert requests(file) == [first]
    assert file.read().torn == 9
    file.keep(second)
    assert (requests(file), file.read().torn, file.torn) == ([first, second], 0, 1)


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_line_that_was_cut_anywhere_is_not_taken_for_a_request(file, request_of, cut):
    file.keep(request_of(1))
    content = file.path.read_bytes()
    file.path.write_bytes(content + content[:-cut])
    assert len(requests(file)) == 1


def test_nothing_is_kept_beyond_the_configured_size_and_what_was_stays(tmp_path, secrets, request_of):
    small = laid_out(tmp_path / "store", secrets, 2000)
    with pytest.raises(StoreUnavailable, match="full"):
        for person in range(10):
            small.keep(request_of(person))
    assert small.path.stat().st_size <= 2000
    assert requests(small)


def test_a_write_that_fails_midway_leaves_no_half_line_and_is_refused(file, request_of, monkeypatch):
    file.keep(request_of(1))
    before, whole = file.path.read_bytes(), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, line, at: whole(descriptor, line[:20], at))
    with pytest.raises(StoreUnavailable, match="nothing was kept"):
        file.keep(request_of(2))
    assert file.path.read_bytes() == before


def test_a_disk_that_does_not_sync_acknowledges_nothing(file, request_of, monkeypatch):
    synced = os.fsync

    def fails(descriptor):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StoreUnavailable):
        file.keep(request_of(1))
    assert file.path.read_bytes() == b""


@pytest.mark.parametrize("there", ["nothing", "a file", "an empty folder", "another installation's"])
def test_where_the_file_was_not_made_it_is_not_by_what_is_to_be_kept(tmp_path, secrets, request_of, there):
    """In a folder that is not mounted nobody would find it."""
    store = tmp_path / "store"
    if there == "a file":
        store.write_text("")
    elif there != "nothing":
        store.mkdir()
    if there == "another installation's":
        (store / f"{'0' * 32}.checkpoint").touch()
    before, file = sorted(tmp_path.rglob("*")), Emergency(store, secrets, MIB)
    file.lay_out(store / f"{'1' * 32}.checkpoint")
    with pytest.raises(StoreUnavailable):
        file.keep(request_of(1))
    assert sorted(tmp_path.rglob("*")) == before


def test_what_comes_while_the_store_is_away_is_kept_in_the_data_folder_and_read_with_the_rest(both, request_of):
    file, instead = both
    first, second, third = (request_of(person) for person in range(3))
    file.keep(first)
    assert (file.waiting(), requests(file), requests(instead)) == (True, [first], [first])
    file.path.parent.mkdir()
    known = file.path.with_name("of-the-ledger.checkpoint")
    known.touch()
    file.lay_out(known)
    file.keep(second)
    assert (requests(file), requests(instead)) == ([second, first], [first])
    read = file.read()
    file.keep(third)
    assert not file.clear(read, [read.requests[1][0]])
    assert (requests(file), instead.waiting(), file.unread()) == ([third], False, True)
    assert file.clear(file.read())
    assert not file.waiting()


def test_what_the_disk_of_the_store_refuses_is_kept_in_the_data_folder(both, request_of, monkeypatch):
    file, instead = both
    file.path.parent.mkdir()
    file.path.touch(0o600)
    wrote = emergency._write

    def fails_once(*given):
        monkeypatch.setattr(emergency, "_write", wrote)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(emergency, "_write", fails_once)
    file.keep(kept := request_of(1))
    assert (requests(file), requests(instead), file.path.read_bytes()) == ([kept], [kept], b"")


def test_what_came_while_the_rest_was_entered_is_not_thrown_away(file, request_of):
    file.keep(request_of(1))
    read = file.read()
    late = request_of(2)
    file.keep(late)
    assert not file.clear(read)
    assert late in requests(file)
    assert file.clear(file.read())
    assert requests(file) == []
    assert file.path.stat().st_size == 0


def test_what_came_in_the_place_of_what_another_process_took_out_is_not_thrown_away(file, request_of, secrets):
    """Each worker and each command that opens the house takes in by itself, and two noes may be equally long."""
    file.keep(request_of(1))
    other, slow = Emergency(file.path.parent, secrets, MIB), file.read()
    assert other.clear(other.read())
    late, size = request_of(2), len(slow.requests[0][0]) + 1
    file.keep(late)
    assert file.path.stat().st_size == size
    assert not file.clear(slow)
    assert requests(file) == [late]


@pytest.mark.parametrize("left", [0, 1], ids=["added", "retired"])
def test_what_was_kept_is_read_whatever_seals_came_and_went_meanwhile(file, request_of, secrets, left):
    """`gateway rekey cookie`, and machines that were cut off, or workers that are renewed one by one."""
    other = Emergency(file.path.parent, replace(secrets, seals=(*secrets.seals, os.urandom(32))[left:]), MIB)
    early, late = request_of(1), request_of(2)
    file.keep(early)
    other.keep(late)
    assert requests(file) == requests(other) == [early, late]


def test_what_an_older_release_kept_under_the_seal_of_then_is_read_while_that_is_there(file, request_of, secrets):
    kept, newer = request_of(1), os.urandom(32)
    line = base64.b64encode(seals.seal_box(secrets.seals[-1], LABEL, kept.text(secrets.peppers))) + b"\n"
    file.path.write_bytes(line)
    assert requests(file) == [kept]
    between = Emergency(file.path.parent, replace(secrets, seals=(*secrets.seals, newer)), MIB)
    assert requests(between) == [kept]
    assert len(Emergency(file.path.parent, replace(secrets, seals=(newer,)), MIB).read().unread) == 1


def test_what_is_entered_is_taken_out_and_what_came_meanwhile_stays(file, request_of):
    file.keep(request_of(1), request_of(2))
    read = file.read()
    late = request_of(3)
    file.keep(late)
    assert not file.clear(read)
    assert requests(file) == [late]
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in file.path.parent.iterdir()] == [file.path.name]


def test_what_is_kept_while_the_file_is_replaced_is_kept_in_the_one_that_is_there(file, request_of, monkeypatch):
    file.keep(request_of(1))
    late, waits, lock = request_of(2), threading.Event(), disk._lock

    def tells(*given):
        waits.set()
        lock(*given)

    with locked(file.path):
        monkeypatch.setattr(disk, "_lock", tells)
        keeping = threading.Thread(target=file.keep, args=(late,))
        keeping.start()
        assert waits.wait(20)
        write_durably(file.path, file.path.read_bytes())
    keeping.join(20)
    assert late in requests(file)


def test_a_rest_that_the_disk_does_not_take_leaves_the_file_as_it_was(file, request_of, monkeypatch):
    file.keep(request_of(1))
    read = file.read()
    file.keep(request_of(2))
    before, write = file.path.read_bytes(), os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:20]))
        with pytest.raises(OSError, match="No space"):
            file.clear(read)
    assert file.path.read_bytes() == before
    assert [found.name for found in file.path.parent.iterdir()] == [file.path.name]


def test_what_a_killed_process_left_of_a_rest_is_cleared_away_with_the_next(file, request_of):
    file.keep(request_of(1))
    left = file.path.with_name(f".{file.path.name}.0a1b2c3d")
    left.write_bytes(file.path.read_bytes())
    assert file.clear(file.read())
    assert not left.exists()


def test_lines_that_are_laid_aside_by_halves_stay_in_the_file(file, request_of, monkeypatch):
    file.keep(request_of(1), request_of(2))
    lines, write = file.path.read_bytes(), os.write
    read = file.read()
    refused = [line for line, _ in read.requests]
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda descriptor, content: write(descriptor, content[: len(content) // 2]))
        with pytest.raises(OSError, match="No space"):
            file.clear(read, refused)
    assert file.path.read_bytes() == lines
    assert file.clear(read, refused)
    assert file.path.with_suffix(".refused").read_bytes() == lines
    assert file.unread()


def test_lines_are_laid_aside_once_and_behind_those_that_lie_there(file, request_of):
    file.keep(request_of(1))
    first = file.path.read_bytes()
    aside = file.path.with_suffix(".refused")
    aside.write_bytes(b"half a li")
    for _ in range(2):
        file.path.write_bytes(first)
        read = file.read()
        assert file.clear(read, [line for line, _ in read.requests])
    assert aside.read_bytes() == b"half a li\n" + first


def test_a_folder_that_does_not_keep_what_is_laid_aside_keeps_the_file(file, request_of, monkeypatch):
    file.keep(request_of(1))
    read, synced = file.read(), os.fsync

    def fails(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="Input"):
        file.clear(read, [line for line, _ in read.requests])
    assert len(requests(file)) == 1


def laid_aside_by_an_older_release(file, secrets):
    """It knows the seals alone."""
    older = Emergency(file.path.parent, replace(secrets, seals=(bytes(32),)), MIB)
    older._opens = secrets.seals
    assert older.clear(older.read())
    assert not older.waiting()


def test_what_an_older_release_could_not_open_waits_until_it_is_entered_from_where_that_laid_it(
    file, request_of, secrets
):
    kept, others = request_of(1), b"of-another-installation"
    file.keep(kept)
    laid_aside_by_an_older_release(file, secrets)
    aside = file.path.with_suffix(".unread")
    aside.write_bytes(others + b"\n" + aside.read_bytes())
    assert (file.waiting(), file.path.read_bytes()) == (True, b"")
    file.keep(request_of(2))
    read = file.read()
    assert kept in [found for _, found in read.requests]
    assert len(read.requests) == 2
    assert file.clear(read)
    assert (file.waiting(), aside.read_bytes()) == (False, others + b"\n")


def test_what_lies_aside_alone_goes_with_its_last_line(file, request_of, secrets):
    file.keep(request_of(1))
    laid_aside_by_an_older_release(file, secrets)
    assert file.waiting()
    assert file.clear(file.read())
    assert (file.waiting(), file.unread()) == (False, False)


def test_what_was_laid_aside_and_cannot_be_looked_at_may_be_somebodys_no(file, request_of, secrets, monkeypatch):
    file.keep(request_of(1))
    laid_aside_by_an_older_release(file, secrets)

    def fails(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(type(file.path), "read_bytes", fails)
    assert file.waiting()


@pytest.mark.parametrize("again", [False, True], ids=["before-the-newer-pepper", "with-another-newer-pepper"])
def test_keys_under_a_pepper_that_is_gone_are_made_anew_of_what_they_name(file, request_of, folder, secrets, again):
    """A backup from before `gateway rekey pepper` was put back: nobody would ever ask for these keys."""
    before, kept = (folder / secret_files.SECRETS).read_bytes(), request_of(1)
    newer = secret_files.add_pepper(folder)
    keys = tuple(secret_files.wrap(key, newer.peppers[1:]) for key in kept.subjects[0].keys)
    Emergency(file.path.parent, newer, MIB).keep(replace(kept, subjects=(replace(kept.subjects[0], keys=keys),)))
    (folder / secret_files.SECRETS).write_bytes(before)
    now = secret_files.add_pepper(folder) if again else secrets
    [found] = requests(Emergency(file.path.parent, now, MIB))
    assert found.subjects[0].keys == tuple(secret_files.wrap(key, now.peppers[1:]) for key in kept.subjects[0].keys)


@pytest.mark.parametrize("subject", [Subject("device", "", (bytes(16),)), Subject("eid", "x", (bytes(16),))])
def test_keys_under_a_pepper_that_is_gone_and_of_nothing_that_is_known_are_laid_aside(
    file, request_of, folder, secrets, subject
):
    newer = secret_files.add_pepper(folder)
    Emergency(file.path.parent, newer, MIB).keep(replace(request_of(1), subjects=(subject,)))
    read = file.read()
    assert (len(read.requests), len(read.unread)) == (0, 1)
    assert file.clear(read)
    assert file.unread()


def test_keys_that_were_wrapped_again_meanwhile_are_those_of_now(file, request_of, folder, secrets):
    kept = request_of(1)
    file.keep(kept)
    newer = secret_files.add_pepper(folder)
    again = Emergency(file.path.parent, newer, MIB)
    assert again.path == file.path
    [found] = requests(again)
    assert found.subjects[0].keys == tuple(secret_files.wrap(key, newer.peppers[1:]) for key in kept.subjects[0].keys)


def test_of_a_long_file_nothing_is_read_for_a_yes(file, request_of, monkeypatch):
    """Anybody can make it long, and its noes are entered behind the yes."""
    kept = request_of(1)
    file.keep(kept)
    asked = [file], kept.subjects, kept.choice.purposes
    assert emergency.a_no_waits(*asked)
    monkeypatch.setattr(emergency, "LONG", 10)
    monkeypatch.setattr(file, "read", None)
    assert not emergency.a_no_waits(*asked)
