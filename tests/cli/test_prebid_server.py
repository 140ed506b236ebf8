"""What `gateway recipe prebid-server` prints is no Prebid Server's to judge here, for no package has one: its shape is held
against Prebid's words, and its rules are tried, in Prebid Server's order, over the decisions that its own module made of
real strings (outside data).
"""

import json

import pytest
import yaml
from support import inside

from gateway.cli.recipe import filled

ACTIVITIES = {
    "syncUser", "fetchBids", "enrichUfpd", "reportAnalytics", "transmitUfpd", "transmitEids", "transmitPreciseGeo",
    "transmitTid",
}  # fmt: skip
# What the module asks itself of an activity (USNat in prebid-server-java e3ffd57); of the others it says nothing.
ASKS = {
    "syncUser": "syncUser",
    "enrichUfpd": "syncUser",
    "transmitUfpd": "transmitUfpd",
    "transmitEids": "transmitUfpd",
    "transmitPreciseGeo": "transmitPreciseGeo",
}
SAYS = {"allow": True, "disallow": False}


@pytest.fixture(scope="module")
def privacy():
    printed = yaml.safe_load(filled("prebid-server", inside.settings(), host="www.example.com", site="127.0.0.1:9000"))
    [account] = printed["accounts"]
    return account["privacy"]


def allowed(privacy, activity, case, gpc):
    """The first rule that says something, else the default, which is a yes."""
    control = privacy["allowactivities"].get(activity, {})
    for rule in control.get("rules", ()):
        if "privacyreg" in rule:
            found = SAYS.get(case["pbs_java"].get(ASKS.get(activity, "")))
            if found is not None:
                return found
        elif rule["condition"].get("gpc") == gpc:
            return rule["allow"]
    return control.get("default", True)


def test_the_account_has_the_words_of_prebid_server(privacy):
    assert set(privacy) == {"ccpa", "modules", "allowactivities"}
    [module] = privacy["modules"]
    assert set(privacy["allowactivities"]) <= ACTIVITIES
    for control in privacy["allowactivities"].values():
        assert set(control) <= {"default", "rules"}
        for rule in control.get("rules", ()):
            if "privacyreg" in rule:
                assert rule == {"privacyreg": [module["code"]]}
            else:
                assert rule == {"condition": {"gpc": "1"}, "allow": False}


def test_whoever_said_no_in_a_string_or_by_the_header_is_denied_and_nobody_else(privacy, vectors):
    cases = json.loads((vectors / "enforcement" / "us_sections_gpp_strings.json").read_text())["cases"]
    seen = set()
    for case in cases:
        for activity, asked in ASKS.items():
            said = SAYS.get(case["pbs_java"].get(asked))
            seen.add((activity, said))
            if activity == "transmitPreciseGeo":
                assert not allowed(privacy, activity, case, None)
                continue
            assert allowed(privacy, activity, case, None) is (said is not False), (case["id"], activity)
            if activity.startswith("transmit"):
                assert not allowed(privacy, activity, case, "1"), (case["id"], activity)
    assert {(activity, said) for activity in ASKS for said in (True, False)} <= seen
