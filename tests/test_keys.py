import hashlib
import hmac
import json
import os
import stat
from dataclasses import replace

import pytest
from support.people import email, phone

from gateway import credentials, keys, wal
from gateway.wal import make_folder, write_durably

NAME = ("phone", phone(1))


def test_a_new_installation_has_secrets_that_only_its_owner_reads(tmp_path):
    made = keys.create(tmp_path)
    file = tmp_path / keys.SECRETS
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys.load(tmp_path) == made
    for name in keys.FIELDS:
        [secret] = getattr(made, name)
        assert len(secret) == 32
    assert len({getattr(made, name) for name in keys.FIELDS}) == len(keys.FIELDS)


def test_secrets_are_never_overwritten(tmp_path):
    keys.create(tmp_path)
    before = (tmp_path / keys.SECRETS).read_bytes()
    with pytest.raises(FileExistsError):
        keys.create(tmp_path)
    assert (tmp_path / keys.SECRETS).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [keys.SECRETS]


def test_where_there_are_none_the_operator_is_told_the_command(tmp_path):
    with pytest.raises(keys.SecretsMissing, match=f"gateway migrate --data {tmp_path}"):
        keys.load(tmp_path)


def test_a_new_pepper_is_added_at_the_end_and_nothing_else_changes(tmp_path):
    old = keys.create(tmp_path)
    new = keys.add_pepper(tmp_path)
    assert new.peppers[:-1] == old.peppers
    assert len(new.peppers[-1]) == 32
    assert replace(new, peppers=old.peppers) == old
    assert keys.load(tmp_path) == new
    assert stat.S_IMODE((tmp_path / keys.SECRETS).stat().st_mode) == 0o600


def test_secrets_never_show_in_a_log(tmp_path):
    made = keys.create(tmp_path)
    shown = repr(made)
    for name in keys.FIELDS:
        for secret in getattr(made, name):
            assert secret.hex() not in shown
            assert repr(secret) not in shown


def test_a_persons_key_is_the_documented_hmac():
    secrets = keys.Secrets((b"p" * 32,), (), (), (), (), ())
    expected = hmac.new(b"p" * 32, b"phone\x00" + phone(1).encode(), hashlib.sha256).digest()[:16]
    assert secrets.key(NAME) == expected


def test_kind_and_value_are_never_run_together():
    secrets = keys.Secrets((b"p" * 32,), (), (), (), (), ())
    names = [("email", email(1)), ("emai", "l" + email(1)), ("", "email" + email(1)), ("email", email(2)), NAME]
    assert len(set(secrets.keys(names))) == len(names)
    assert secrets.keys(names)[1] == secrets.key(names[1])


def test_another_installation_has_other_keys_for_the_same_person():
    one, two = (keys.Secrets((pepper * 32,), (), (), (), (), ()) for pepper in (b"1", b"2"))
    assert one.key(NAME) != two.key(NAME)


def test_a_stored_key_is_wrapped_to_the_key_that_the_raw_value_now_gives():
    one = keys.Secrets((b"1" * 32,), (), (), (), (), ())
    three = replace(one, peppers=(b"1" * 32, b"2" * 32, b"3" * 32))
    stored = one.key(NAME)
    assert keys.wrap(stored, three.peppers[1:]) == three.key(NAME)
    assert keys.wrap(keys.wrap(stored, [b"2" * 32]), [b"3" * 32]) == three.key(NAME)
    assert keys.wrap(stored, []) == stored
    assert len({stored, three.key(NAME), keys.wrap(stored, [b"2" * 32])}) == 3


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "api_keys.json"
    write_durably(file, b"old")

    def full(descriptor, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wal.os, "write", full)
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
    credentials.add(folder, "wordpress", ["choose"], publishable=False)
    written = (folder / credentials.FILE).stat()
    assert (written.st_uid, written.st_gid, written.st_mode & 0o777) == (owner, owner, 0o600)


def test_half_a_file_never_takes_the_place_of_a_whole_one(tmp_path, monkeypatch):
    file = tmp_path / "api_keys.json"
    write_durably(file, b"old")
    write = wal.os.write
    monkeypatch.setattr(wal.os, "write", lambda descriptor, content: write(descriptor, content[:2]))
    with pytest.raises(OSError, match="No space"):
        write_durably(file, b"new")
    assert file.read_bytes() == b"old"


def test_a_folder_that_is_made_is_named_durably_all_the_way_up(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(wal, "sync_folder", synced.append)
    folder = tmp_path / "new" / "data"
    make_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert synced == [tmp_path, tmp_path / "new"]
    make_folder(folder)
    assert synced[2:] == [tmp_path / "new"], "whoever made it may have been killed before this"


def test_the_secret_of_an_api_key_is_kept_as_its_hash():
    assert keys.digest("s3cret") == hashlib.sha256(b"s3cret").hexdigest()


def test_the_secrets_file_is_json_of_hex_that_a_backup_tool_can_check(tmp_path):
    made = keys.create(tmp_path)
    stored = json.loads((tmp_path / keys.SECRETS).read_text())
    assert stored == {name: [secret.hex() for secret in getattr(made, name)] for name in keys.FIELDS}
