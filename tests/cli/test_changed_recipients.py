"""What a configuration that changes a recipient leaves of the noes of before: another name, another role."""

import pytest
from cli.test_suppression import Office, digest, position
from support import example
from support.people import gaid

from gateway.cli.root import group

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


@pytest.mark.parametrize("purpose", ["sale", "profiling"])
def test_a_no_to_a_third_party_that_serves_the_operator_now_is_told_and_denied_as_before(office, tmp_path, purpose):
    third, serving = (tmp_path / f"{role}.toml" for role in ("third_party", "service_provider"))
    for file in (third, serving):
        said = f'role = "{file.stem}"\npurposes = ["{purpose}"]\ncontract = "C-1"\nannounced = 2024-06-25'
        file.write_text(example.over(f"[recipients.teemo]\n{said}\n[notice]\ntold_everyone = 2025-01-01\n"))
    for number in (1, 2):
        office.share("teemo", "gaid", gaid(number))
    office.run("choose", "opt_out", "--gaid", gaid(1), config=third)
    before = office.file(tmp_path, "teemo", config=third)[0]
    assert office.file(tmp_path, "teemo", config=serving)[0] == before == [digest(1)]
    assert office.run("deliveries", "--state", "pending", config=serving).count("  teemo  opt_out  pending") == 1
    assert [asked(office, file, 1).startswith("denied: ") for file in (third, serving)] == [True, True]
    assert asked(office, third, 2).startswith("allowed: "), "who said nothing"
    office.run("choose", "opt_out", "--gaid", gaid(2), config=serving)
    assert len(office.file(tmp_path, "teemo", config=serving)[0]) == 2
    assert office.run("deliveries", "--state", "pending", config=serving).count("  teemo  opt_out  pending") == 2


def asked(office, config, number):
    more = "--data", str(office.folder), "--config", str(config), "--place", "US-NY", "--class", "ad_id"
    return office.runner.invoke(group, ["check", "teemo", "--gaid", gaid(number), *more]).output
