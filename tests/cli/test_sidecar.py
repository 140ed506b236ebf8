"""A sidecar beside an ad server: its callers' keys, its folder, its socket, started twice."""

import contextlib
import socket

import pytest
from support import inside

from gateway.app.composition import now
from gateway.app.listening import bind_unix
from gateway.keys import api_keys
from gateway.replica.follower import Follower, ReplicaRefused
from gateway.settings.load import SettingsRefused


class NoFeed:
    def pieces(self, _):
        return iter(())

    def leave(self, *_):
        pass


@pytest.fixture
def follower(tmp_path):
    made = Follower(tmp_path / "copy", NoFeed(), 1, lambda: 0.0, now)
    made.start()
    yield made
    made.stop()


@pytest.mark.usefixtures("follower")
def test_its_callers_get_keys_in_its_own_folder_as_the_manual_says(tmp_path, outer):
    code, key, _ = outer("keys", "add", "--data", tmp_path / "copy", "--scope", "check", "--name", "ads")
    assert code == 0
    assert api_keys.Credentials(tmp_path / "copy").find(key.strip()).may("check")
    assert "ads" in outer("keys", "list", "--data", tmp_path / "copy")[1]
    assert outer("keys", "revoke", "--data", tmp_path / "copy", "ads")[0] == 0


def test_a_folder_that_is_nobodys_gets_no_keys(tmp_path, outer):
    code, out, error = outer("keys", "add", "--data", tmp_path, "--scope", "check", "--name", "ads")
    assert (code != 0, out) == (True, "")
    assert "neither a gateway's folder nor a replica's" in error


def test_it_does_not_begin_in_the_gateways_folder(tmp_path):
    """Its map would lie where the gateway's own does."""
    folder = inside.install(tmp_path / "data")
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(ReplicaRefused, match="--data"):
        Follower(folder, NoFeed(), 1, lambda: 0.0, now).start()
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_second_one_does_not_take_the_socket_from_the_first(tmp_path):
    path = tmp_path / "socket"
    with contextlib.closing(bind_unix(path)) as first:
        first.listen()
        with pytest.raises(SettingsRefused, match="another process's"):
            bind_unix(path)
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
            first.accept()[0].close()
    with contextlib.closing(bind_unix(path)) as after_a_kill:
        after_a_kill.listen()


def test_a_file_is_never_replaced_by_a_socket_and_a_path_that_cannot_be_one_is_told(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("kept")
    with pytest.raises(SettingsRefused, match="no socket"):
        bind_unix(file)
    assert file.read_text() == "kept"
    for path in (tmp_path / "missing" / "socket", tmp_path / ("x" * 200)):
        with pytest.raises(SettingsRefused, match="cannot be listened on"):
            bind_unix(path)
