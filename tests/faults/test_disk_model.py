"""The disk of the power cuts is as harsh as POSIX allows, and keeps what it must."""

import os
import random

import pytest
from support.disk import SECTOR, STYLES, Disk
from support.recording import Event

OPENED = os.O_CREAT | os.O_WRONLY


def played(*events, seed=0) -> Disk:
    disk = Disk(seed)
    for op, handle, number, path, data in events:
        disk.apply(Event(op, handle, number, path, data))
    return disk


def images(disk, count=400) -> list[dict]:
    chance = random.Random(1)
    return [disk.image(chance.choice(STYLES), chance.choice(STYLES), chance) for _ in range(count)]


FOLDER = [("M", 0, 0, "data", b""), ("O", 1, 0, "", b""), ("S", 1, 0, "", b""), ("O", 2, 0, "data", b"")]
NAMED = [*FOLDER, ("O", 3, OPENED, "data/file", b""), ("S", 2, 0, "", b"")]
KEPT = [*NAMED, ("W", 3, 0, "", b"old"), ("S", 3, 0, "", b"")]


def test_what_was_synced_in_a_folder_that_was_synced_is_always_there():
    assert all(image == {"data": None, "data/file": b"old"} for image in images(played(*KEPT)))


def test_a_write_that_was_not_synced_is_there_or_not():
    found = {image["data/file"] for image in images(played(*KEPT, ("W", 3, 0, "", b"new")))}
    assert found == {b"old", b"new"}


def test_a_later_write_may_survive_an_earlier_one():
    disk = played(*NAMED, ("W", 3, 0, "", b"one"), ("W", 3, 3, "", b"two"))
    assert b"\0\0\0two" in {image["data/file"] for image in images(disk)}


def test_a_write_is_torn_at_a_sector_from_either_side():
    disk = played(*NAMED, ("W", 3, 0, "", b"x" * 4 * SECTOR))
    found = {image["data/file"] for image in images(disk)}
    assert b"x" * SECTOR in found
    assert b"\0" * SECTOR + b"x" * 3 * SECTOR in found
    assert all(len(content) % SECTOR == 0 for content in found)


def test_a_write_within_one_sector_is_whole_or_not_at_all():
    disk = played(*NAMED, ("W", 3, 20, "", b"x" * (SECTOR - 20)))
    assert {image["data/file"] for image in images(disk)} == {b"", b"\0" * 20 + b"x" * (SECTOR - 20)}


def test_a_synced_file_whose_folder_was_not_synced_may_be_gone():
    disk = played(*FOLDER, ("O", 3, OPENED, "data/file", b""), ("W", 3, 0, "", b"old"), ("S", 3, 0, "", b""))
    found = [image.get("data/file") for image in images(disk)]
    assert None in found
    assert b"old" in found


def test_a_folder_whose_own_name_was_not_synced_may_be_gone_with_all_that_is_in_it():
    disk = played(*[event for event in KEPT if event != ("S", 1, 0, "", b"")])
    assert {} in images(disk)


BESIDE = [("O", 4, OPENED, "data/.file", b""), ("W", 4, 0, "", b"new")]
RENAMED = ("R", 0, 0, "data/.file", b"data/file")


def test_a_rename_shows_the_old_file_or_the_new_one_until_the_folder_is_synced():
    disk = played(*KEPT, *BESIDE, ("S", 4, 0, "", b""), RENAMED)
    assert {image["data/file"] for image in images(disk)} == {b"old", b"new"}
    disk = played(*KEPT, *BESIDE, ("S", 4, 0, "", b""), RENAMED, ("S", 2, 0, "", b""))
    assert {image["data/file"] for image in images(disk)} == {b"new"}


def test_a_rename_of_a_file_that_was_not_synced_may_surface_empty():
    disk = played(*KEPT, *BESIDE, RENAMED, ("S", 2, 0, "", b""))
    assert {image["data/file"] for image in images(disk)} == {b"", b"new"}


def test_a_removed_name_may_come_back_with_what_it_led_to():
    disk = played(*KEPT, ("U", 0, 0, "data/file", b""), ("O", 5, OPENED, "data/file", b""), ("W", 5, 0, "", b"new"))
    found = {image.get("data/file") for image in images(disk)}
    assert found == {None, b"old", b"", b"new"}


def test_a_shorter_file_may_have_its_old_end_again():
    disk = played(*KEPT, ("T", 3, 1, "", b""))
    assert {image["data/file"] for image in images(disk)} == {b"old", b"o"}


def test_what_a_failed_sync_lost_no_later_sync_brings_back():
    writes = [("W", 3, number * SECTOR, "", b"x" * SECTOR) for number in range(8)]
    disk = played(*NAMED, *writes, ("F", 3, 0, "", b""), ("S", 3, 0, "", b""), seed=1)
    assert disk.seen_by_the_process()["data/file"] == b"x" * 8 * SECTOR
    [found] = {image["data/file"] for image in images(disk)}
    assert 0 < found.count(b"x") < 8 * SECTOR


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_gives_the_same_image(style):
    disk = played(*NAMED, *(("W", 3, number * SECTOR, "", os.urandom(SECTOR)) for number in range(8)))
    assert disk.image(style, style, random.Random(3)) == disk.image(style, style, random.Random(3))
