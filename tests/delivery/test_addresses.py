"""What an operator writes as an address is one that can be used, or is refused by name."""

import pytest
from support import inside

from gateway.app.in_force import in_force
from gateway.delivery.guard import may_send_to
from gateway.settings.load import SettingsRefused


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("https://vendor.example.com/x", True), ("https://vendor.example.com:8443/x", True),
        ("http://127.0.0.1:9000/x", True), ("http://[::1]/x", True), ("http://vendor.example.com/x", False),
        ("https://", False), ("https://[x", False), ("https://vendor.example.com:port/", False),
        ("https://vendor.example.com:99999/", False), ("", False),
    ],
)  # fmt: skip
def test_data_goes_by_https_or_to_this_machine_and_to_nothing_that_is_no_address(address, may):
    assert may_send_to(address) is may


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[texts]\nendpoint = "https://[x"', "texts"), ('[recipients.teemo]\nendpoint = "https://[x/"', "recipients"),
        ('[rehearsal]\npages = ["https://[x"]', "rehearsal"), ('[erasure]\naccount_backend = "https://[x"', "account"),
    ],
    ids=lambda text: text.partition("]")[0].strip("["),
)  # fmt: skip
def test_an_address_that_is_none_refuses_the_configuration_by_its_name(tmp_path, text, where):
    file = tmp_path / "config.toml"
    file.write_text(f"{text}\n")
    with pytest.raises(SettingsRefused, match=where):
        inside.settings(file)


def test_of_an_address_that_nobody_can_take_apart_only_the_beginning_is_logged(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[site]\nname = "https://[hunter2"\n')
    assert not [item.kind for item in in_force(inside.settings(file)) if b"hunter2" in item.body]
