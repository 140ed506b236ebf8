"""What was in force, as documents: whole enough to make a verdict again, and without a secret."""

import hashlib
import json
import tomllib

import pytest
from support import inside

from gateway.app.in_force import in_force
from gateway.app.law_tables import law_table
from gateway.choice import law
from gateway.settings.load import SettingsRefused

WITNESS = "witness.example.org+b8a2cf20+BFLN3y"


def of_kind(found, kind):
    return [item for item in found if item.kind == kind]


def test_the_same_settings_give_the_same_bytes_and_others_give_others():
    first, again = in_force(inside.settings(), dev=True), in_force(inside.settings(), dev=True)
    assert [item.sha256 for item in first] == [item.sha256 for item in again]
    other = in_force(inside.settings(age__floor="13"), dev=True)
    assert [a.kind for a, b in zip(first, other, strict=True) if a.sha256 != b.sha256] == ["settings"]


@pytest.mark.slow
def test_the_law_that_held_can_be_read_again_from_its_documents():
    tables = [tomllib.loads(item.body.decode()) for item in of_kind(in_force(inside.settings()), "law")]
    assert len(tables) == len(set(map(repr, tables))) > 3
    assert sorted(map(repr, law.parse_law(tables).rows)) == sorted(map(repr, law_table(inside.settings()).rows))


def test_recipients_are_logged_as_the_verdict_knew_them():
    (document,) = of_kind(in_force(inside.settings(), dev=True), "recipients")
    teemo = json.loads(document.body)["teemo"]
    assert (teemo["contract"], teemo["unlinked"], teemo["announced"]) == ("dev", "deny", "2024-06-25")


def test_a_password_in_an_address_and_a_path_of_the_machine_are_not_logged(tmp_path):
    file = tmp_path / "config.toml"
    secret = "hunter2"
    file.write_text(
        f'[recipients.teemo]\nendpoint = "https://me:{secret}@feed.example.com/?key={secret}"\n'
        f'[ledger]\ncheckpoint_store = "/srv/{secret}"\n[places]\ndatabase = "/srv/{secret}.mmdb"\n'
        f'[texts]\nendpoint = "https://me:{secret}@texts.example.com/{secret}?key={secret}"\n'
        f'[erasure]\naccount_backend = "https://accounts.example.com/{secret}"\n'
        f'[witnesses]\nw = {{ url = "https://me:{secret}@w.example.com/", key = "{WITNESS}" }}\n'
        f'[mail]\nserver = "{secret}.internal"\nusername = "{secret}"\npassword_file = "/srv/{secret}"\n'
        f'from_address = "privacy@example.com"\n[delivery]\nnetworks = ["10.1.0.0/16"]\n'
        f'[rehearsal]\npages = ["https://me:{secret}@www.example.com/page?key={secret}"]\n'
    )
    found = in_force(inside.settings(file))
    assert not [item.kind for item in found if secret.encode() in item.body or b"10.1.0.0" in item.body]
    told = json.loads(of_kind(found, "settings")[0].body)
    assert told["texts"]["endpoint"] == "https://texts.example.com"  # that there is one, and whose
    assert told["rehearsal"]["pages"] == ["https://www.example.com/page"]
    assert told["mail"] == {"codes": True}
    assert json.loads(of_kind(found, "recipients")[0].body)["teemo"]["endpoint"] == "feed.example.com"


def test_the_operators_policy_is_logged_as_it_is_and_a_missing_one_refuses(tmp_path):
    policy = tmp_path / "policy.txt"
    with pytest.raises(SettingsRefused, match="GATEWAY_SITE__POLICY_FILE: there is no such file"):
        in_force(inside.settings(site__policy_file=str(policy)))
    policy.write_bytes(b"We sell nothing.\r\n")
    (document,) = of_kind(in_force(inside.settings(site__policy_file=str(policy))), "privacy_policy")
    assert (document.body, document.version) == (b"We sell nothing.\r\n", "policy.txt")


def test_of_sensitive_places_the_list_is_told_by_its_hash_and_of_an_upload_that_there_is_one(tmp_path):
    listed, file = tmp_path / "sensitive.csv", tmp_path / "config.toml"
    listed.write_text("lat,lon,radius_m\n1,2,5\n")
    file.write_text(
        f'[places]\nsensitive = "{listed}"\n[recipients.teemo]\nmode = "files"\nupload = ["curl", "-u", "me:secret-of-mine"]\n'
    )
    found = in_force(inside.settings(file))
    assert not any(b"secret-of-mine" in document.body for document in found)
    assert json.loads(of_kind(found, "recipients")[0].body)["teemo"]["upload"] is True
    told = json.loads(of_kind(found, "settings")[0].body)["places"]
    assert told["sensitive"] == hashlib.sha256(listed.read_bytes()).hexdigest()
    assert told["sensitive_margin_m"] == 50
    listed.unlink()
    with pytest.raises(SettingsRefused, match="sensitive"):
        in_force(inside.settings(file))
