import hashlib
import hmac
import json
import os
import stat
from dataclasses import replace

import pytest
from support.people import email, phone

from gateway import disk
from gateway.disk import make_folder, write_durably
from gateway.keys import api_keys, secret_files

NAME = ("phone", phone(1))


def test_a_new_installation_has_secrets_that_only_its_owner_reads(tmp_path):
    made = secret_files.create(tmp_path)
    file = tmp_path / secret_files.SECRETS
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret_files.load_secrets(tmp_path) == made
    for name in secret_files.FIELDS:
        [secret] = getattr(made, name)
        assert len(secret) == 32
    assert len({getattr(made, name) for name in secret_files.FIELDS}) == len(secret_files.FIELDS)


def test_secrets_are_never_overwritten(tmp_path):
    secret_files.create(tmp_path)
    before = (tmp_path / secret_files.SECRETS).read_bytes()
    with pytest.raises(FileExistsError):
        secret_files.create(tmp_path)
    assert (tmp_path / secret_files.SECRETS).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [secret_files.SECRETS]


def test_where_there_are_none_the_operator_is_told_the_command(tmp_path):
    with pytest.raises(secret_files.SecretsMissing, match=f"gateway migrate --data {tmp_path}"):
        secret_files.load_secrets(tmp_path)


def test_a_new_pepper_is_added_at_the_end_and_nothing_else_changes(tmp_path):
    old = secret_files.create(tmp_path)
    new = secret_files.add_pepper(tmp_path)
    assert new.peppers[:-1] == old.peppers
    assert len(new.peppers[-1]) == 32
    assert replace(new, peppers=old.peppers) == old
    assert secret_files.load_secrets(tmp_path) == new
    assert stat.S_IMODE((tmp_path / secret_files.SECRETS).stat().st_mode) == 0o600


def test_secrets_never_show_in_a_log(tmp_path):
    made = secret_files.create(tmp_path)
    shown = repr(made)
    for name in secret_files.FIELDS:
        for secret in getattr(made, name):
            assert secret.hex() not in shown
            assert repr(secret) not in shown


def test_a_persons_key_is_the_documented_hmac():
    secrets = secret_files.Secrets((b"p" * 32,), (), (), (), (), ())
    expected = hmac.new(b"p" * 32, b"phone\x00" + phone(1).encode(), hashlib.sha256).digest()[:16]
    assert secrets.key(NAME) == expected


def test_kind_and_value_are_never_run_together():
    secrets = secret_files.Secrets((b"p" * 32,), (), (), (), (), ())
    names = [("email", email(1)), ("emai", "l" + email(1)), ("", "email" + email(1)), ("email", email(2)), NAME]
    assert len(set(secrets.keys(names))) == len(names)
    assert secrets.keys(names)[1] == secrets.key(names[1])


def test_another_installation_has_other_keys_for_the_same_person():
    one, two = (secret_files.Secrets((pepper * 32,), (), (), (), (), ()) for pepper in (b"1", b"2"))
    assert one.key(NAME) != two.key(NAME)


def test_a_stored_key_is_wrapped_to_the_key_that_the_raw_value_now_gives():
    one = secret_files.Secrets((b"1" * 32,), (), (), (), (), ())
    three = replace(one, peppers=(b"1" * 32, b"2" * 32, b"3" * 32))
    stored = one.key(NAME)
    assert secret_files.wrap(stored, three.peppers[1:]) == three.key(NAME)
    assert secret_files.wrap(secret_files.wrap(stored, [b"2" * 32]), [b"3" * 32]) == three.key(NAME)
    assert secret_files.wrap(stored, []) == stored
    assert len({stored, three.key(NAME), secret_files.wrap(stored, [b"2" * 32])}) == 3


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "api_keys.json"
    write_durably(file, b"old")

    def full(descriptor, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "write", full)
    with pytest.raises(OSError, match="No space"):
        write_durably(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == [file.name], "a disk that stays full is not filled up"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
@pytest.mark.parametrize("owner", [65534, 0])
def test_what_root_writes_is_the_services_own_so_that_it_is_not_locked_out(tmp_path, owner):
    """`sudo gateway keys add`, `gateway choose`: else every key would be refused, and the checkpoint unreadable."""
    folder = tmp_path / "data"
    folder.mkdir()
    os.chown(folder, owner, owner)
    api_keys.add_api_key(folder, "wordpress", ["choose"], publishable=False)
    written = (folder / api_keys.FILE).stat()
    assert (written.st_uid, written.st_gid, written.st_mode & 0o777) == (owner, owner, 0o600)


def test_half_a_file_never_takes_the_place_of_a_whole_one(tmp_path, monkeypatch):
    file = tmp_path / "api_keys.json"
    write_durably(file, b"old")
    write = disk.os.write
    monkeypatch.setattr(disk.os, "write", lambda descriptor, content: write(descriptor, content[:2]))
    with pytest.raises(OSError, match="No space"):
        write_durably(file, b"new")
    assert file.read_bytes() == b"old"


def test_a_folder_that_is_made_is_named_durably_all_the_way_up(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(disk, "sync_folder", synced.append)
    folder = tmp_path / "new" / "data"
    make_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert synced == [tmp_path, tmp_path / "new"]
    make_folder(folder)
    assert synced[2:] == [tmp_path / "new"], "whoever made it may have been killed before this"


def test_the_secret_of_an_api_key_is_kept_as_its_hash():
    assert secret_files.digest("s3cret") == hashlib.sha256(b"s3cret").hexdigest()


def test_the_secrets_file_is_json_of_hex_that_a_backup_tool_can_check(tmp_path):
    made = secret_files.create(tmp_path)
    stored = json.loads((tmp_path / secret_files.SECRETS).read_text())
    days = stored.pop("days")
    assert stored == {name: [secret.hex() for secret in getattr(made, name)] for name in secret_files.FIELDS}
    assert {name: len(each) for name, each in days.items()} == dict.fromkeys(secret_files.FIELDS, 1)


@pytest.mark.parametrize("long", [1, 32, 64, 65, 200])
def test_a_key_is_the_hmac_of_kind_and_value_under_each_pepper_in_turn(long):
    one, two = b"1" * long, b"2" * long
    stored = hmac.digest(one, b"gaid\x00person", "sha256")[:16]
    made = secret_files.Secrets((one, two), (), (), (), (), ())
    assert made.key(("gaid", "person")) == hmac.digest(two, stored, "sha256")[:16]
    assert secret_files.wrap(stored, (two,)) == made.key(("gaid", "person"))
