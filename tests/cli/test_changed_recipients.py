"""What a configuration that changes a recipient leaves of the noes of before: another name, another role."""

import pytest
from cli.test_suppression import Office, digest, position
from support import example
from support.people import gaid

NOW = '"teemo"', '"geo"'


@pytest.fixture
def office(folder):
    return Office(folder)


@pytest.fixture
def renamed(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(example.over("").replace(*NOW))
    return file


def test_a_recipient_that_has_another_name_now_still_gets_the_file_of_what_it_got_by_the_one_before(
    office, renamed, tmp_path
):
    for number in (1, 2, 3):
        office.share("teemo", "gaid", gaid(number))
    office.run("choose", "opt_out", "--gaid", gaid(1))
    since = position(office.file(tmp_path, "teemo")[1])
    office.run("choose", "opt_out", "--gaid", gaid(2), config=renamed)
    office.share("geo", "gaid", gaid(2))
    assert office.file(tmp_path, "geo", config=renamed)[0] == [digest(2)], "of what it got by this name"
    assert office.file(tmp_path, "teemo", config=renamed)[0] == sorted([digest(1), digest(2)])
    assert digest(2) in office.file(tmp_path, "teemo", "--since", since, config=renamed)[0]
    waiting = office.run("deliveries", "--state", "pending", config=renamed)
    assert waiting.count("  teemo  opt_out  pending") == 2, "who said no before and after it got a new name"
