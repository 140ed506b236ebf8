import stat
import time

import pytest

from gateway.keys import api_keys
from gateway.keys.api_keys import SCOPES, Credentials, assert_account, read_account

SITE, OLDER = b"s" * 32, b"o" * 32


@pytest.fixture
def add(tmp_path):
    return lambda name="ads", scopes=("check",), publishable=False: api_keys.add_api_key(
        tmp_path, name, scopes, publishable=publishable
    )


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """The file is looked at with every call; one test puts the waiting time back."""
    monkeypatch.setattr(api_keys, "RELOAD", -1.0)


def test_a_key_is_found_by_its_whole_self(tmp_path, add):
    made = add(scopes=("check", "share"))
    key = Credentials(tmp_path).find(made)
    assert (key.name, key.scopes) == ("ads", ("check", "share"))
    assert [scope for scope in SCOPES if key.may(scope)] == ["check", "share"]


def test_anything_less_is_nobody(tmp_path, add):
    made = add()
    name, _, secret = made.partition(".")
    held = Credentials(tmp_path)
    assert held.find(made)
    for less in (made[:-1], made + "x", name + secret, name, f"{name}.", f"x{made}", f".{secret}", "", ".", "nobody."):
        assert held.find(less) is None, less


def test_the_secret_of_one_key_does_not_open_another(tmp_path, add):
    first, second = add("one"), add("two")
    assert Credentials(tmp_path).find(first.partition(".")[0] + "." + second.partition(".")[2]) is None


def test_the_file_holds_no_secret_and_only_its_owner_reads_it(tmp_path, add):
    _, _, secret = add().partition(".")
    file = tmp_path / api_keys.FILE
    assert secret not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_key_made_while_the_service_runs_works_without_a_restart(tmp_path, add):
    held = Credentials(tmp_path)
    assert held.find(add("one")).name == "one"
    assert held.find(add("two")).name == "two"


def test_a_revoked_key_may_nothing_and_is_still_known(tmp_path, add):
    made, other = add("ads"), add("desk", ("desk",))
    held = Credentials(tmp_path)
    assert held.find(made).may("check")
    assert api_keys.revoke(tmp_path, "ads") is True
    assert held.find(made).revoked
    assert not any(held.find(made).may(scope) for scope in SCOPES)
    assert held.find(other).may("desk")


def test_a_revocation_holds_within_half_a_second(tmp_path, add, monkeypatch):
    monkeypatch.setattr(api_keys, "RELOAD", 0.5)
    held, made = Credentials(tmp_path), add()
    assert held.find(made).may("check")
    api_keys.revoke(tmp_path, "ads")
    began = asked = time.monotonic()
    while held.find(made).may("check"):
        assert asked < began + 0.5
        time.sleep(0.01)
        asked = time.monotonic()


def test_revoking_nobody_says_so(tmp_path, add):
    add()
    assert api_keys.revoke(tmp_path, "nobody") is False
    assert api_keys.revoke(tmp_path, "ads") is True
    assert api_keys.revoke(tmp_path, "ads") is False


def test_a_revoked_name_may_be_used_again_and_the_old_key_stays_revoked(tmp_path, add):
    old = add()
    api_keys.revoke(tmp_path, "ads")
    new = add()
    held = Credentials(tmp_path)
    assert (held.find(old).revoked, held.find(new).revoked) == (True, False)


@pytest.mark.parametrize("name", ["", "Ads", "-ads", "a b", "a" * 41, "é", "a\n"])
def test_a_name_that_would_not_read_well_in_a_list_is_refused(add, name):
    with pytest.raises(ValueError, match="a name has lower-case letters"):
        add(name)


def test_a_name_is_used_once(add):
    add()
    with pytest.raises(ValueError, match="is used once"):
        add()


@pytest.mark.parametrize("scopes", [(), ("root",), ("check", "root")])
def test_a_key_has_scopes_from_the_list(add, scopes):
    with pytest.raises(ValueError, match="scopes are check"):
        add(scopes=scopes)


@pytest.mark.parametrize("scopes", [("check",), ("choose", "check"), ("desk",), ("admin",)])
def test_a_key_that_is_in_everybodys_hands_may_only_choose(tmp_path, add, scopes):
    with pytest.raises(ValueError, match="only have scope choose"):
        add(scopes=scopes, publishable=True)
    made = Credentials(tmp_path).find(add(scopes=("choose",), publishable=True))
    assert (made.publishable, made.scopes) == (True, ("choose",))


def test_the_development_key_exists_in_development_alone(tmp_path, add):
    assert Credentials(tmp_path).find("dev.dev") is None
    assert Credentials(tmp_path, dev=True).find("dev.dev").may("admin")
    assert Credentials(tmp_path, dev=True).find("dev.other") is None
    add()
    assert Credentials(tmp_path).find("dev.dev") is None
    assert Credentials(tmp_path, dev=True).find("dev.dev").may("admin")


class TestWhoIsSignedIn:
    @pytest.mark.parametrize("account", ["42", "user.with.dots", "a b", "é日本", "v1", "v1.42.99"])
    def test_the_sites_word_says_who_it_is_and_until_when(self, account):
        assert read_account([SITE], assert_account(SITE, account, 1000)) == (account, 1000)

    def test_an_older_site_key_is_still_believed_and_a_strangers_never(self):
        said = assert_account(OLDER, "42", 1000)
        assert read_account([OLDER, SITE], said) == ("42", 1000)
        assert read_account([SITE], said) is None
        assert read_account([], said) is None

    def test_changing_any_character_is_noticed(self):
        said = assert_account(SITE, "42", 1000)
        for index, character in enumerate(said):
            changed = said[:index] + ("0" if character != "0" else "1") + said[index + 1 :]
            assert read_account([SITE], changed) is None, index

    @pytest.mark.parametrize("said", ["", ".", "...", "42", "v1.42.1000", "v1.42.1000.", "v1..1000.x", "v1.42.x.y",
                                      "v2.42.1000.x", "v1.42.-1.x", "v1.42.\u0661.x", "v1.42.1e9.x"])  # fmt: skip
    def test_what_is_not_an_assertion_is_nobody(self, said):
        assert read_account([SITE], said) is None

    def test_an_account_is_never_empty(self):
        assert read_account([SITE], assert_account(SITE, "", 1000)) is None

    def test_a_longer_life_cannot_be_written_into_it(self):
        said = assert_account(SITE, "42", 1000)
        assert read_account([SITE], said.replace(".1000.", ".9000.")) is None
