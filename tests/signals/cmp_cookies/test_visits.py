"""People on a site, from the first visit on: before a choice, after a refusal, after an acceptance; and two tools."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from gateway.signals import cmp_cookies
from gateway.signals.cmp_cookies.values import CATEGORIES, DENIES, By, Cookie, ToolShown


def brief(value):
    """A short name for a case, for values of any size."""
    return repr(value)[:40]


def uri(value):
    return quote(json.dumps(value, separators=(",", ":")))


QUICKLY = examples(150)
# Before any choice, after a refusal, after an acceptance; each as the tool writes it where it asks first.
VISITS = {
    "onetrust": (
        "OptanonConsent=isGpcEnabled=0&interactionCount=0&groups=C0001%3A1%2CC0004%3A0",
        "OptanonConsent=isGpcEnabled=0&interactionCount=1&groups=C0001%3A1%2CC0004%3A0",
        "OptanonConsent=isGpcEnabled=0&interactionCount=2&groups=C0001%3A1%2CC0004%3A1",
    ),
    "cookieyes": (
        "cookieyes-consent=consentid:x,consent:no,action:,necessary:yes,advertisement:no",
        "cookieyes-consent=consentid:x,consent:no,action:yes,necessary:yes,advertisement:no",
        "cookieyes-consent=consentid:x,consent:yes,action:yes,necessary:yes,advertisement:yes",
    ),
    "fides": (
        f"fides_consent={uri({'consent': {'marketing': False}, 'fides_meta': {'consentMethod': 'script'}})}",
        f"fides_consent={uri({'consent': {'marketing': False}, 'fides_meta': {'consentMethod': 'reject'}})}",
        f"fides_consent={uri({'consent': {'marketing': True}, 'fides_meta': {'consentMethod': 'accept'}})}",
    ),
    "transcend": (
        f"tcm={uri({'purposes': {'Advertising': False}, 'confirmed': False})}",
        f"tcm={uri({'purposes': {'Advertising': False}, 'confirmed': True})}",
        f"tcm={uri({'purposes': {'Advertising': True}, 'confirmed': True})}",
    ),
    "shopify": (
        "_tracking_consent=3.AP_DE_t_f_x",
        "_tracking_consent=3am.P_DE_t_f_x",
        "_tracking_consent=3AMP.AMPS_DE_f_f_x",
    ),
    "complianz": (
        "cmplz_marketing=deny; cmplz_banner-status=show",
        "cmplz_marketing=deny; cmplz_banner-status=dismissed",
        "cmplz_marketing=allow; cmplz_banner-status=dismissed",
    ),
    "usercentrics": (
        f"ucData={uri({'gcm': {'adStorage': 'denied'}})}; uc_user_interaction=false",
        f"ucData={uri({'gcm': {'adStorage': 'denied'}})}; uc_user_interaction=true",
        f"ucData={uri({'gcm': {'adStorage': 'granted'}})}; uc_user_interaction=true",
    ),
    "c15t": ("", "c15t=c.necessary:1,i.t:1764000000000", "c15t=c.necessary:1,c.marketing:1,i.t:1764000000000"),
    "tarteaucitron": (
        "tarteaucitron=!criteo=wait",
        "tarteaucitron=!criteo=false!gtag=true",
        "tarteaucitron=!criteo=true",
    ),
    "klaro": ("", f"klaro={uri({'marketing': False})}", f"klaro={uri({'marketing': True})}"),
    "didomi": (
        "didomi_token=eyJwdXJwb3NlcyI6e319",
        "didomi_token=eyJwdXJwb3NlcyI6eyJkaXNhYmxlZCI6WyJzZWxlY3RfYmFzaWNfYWRzIl19fQ",
        "didomi_token=eyJwdXJwb3NlcyI6eyJlbmFibGVkIjpbInNlbGVjdF9iYXNpY19hZHMiXX19",
    ),
    "trustarc": (
        "notice_behavior=expressed,eu",
        "notice_behavior=implied,us; notice_preferences=0:",
        "notice_behavior=expressed,eu; notice_preferences=2:",
    ),
}


@pytest.mark.parametrize("tool", VISITS, ids=brief)
def test_before_a_choice_nothing_is_an_act_and_nothing_is_allowed(states, tool):
    before, _, _ = VISITS[tool]
    assert all(not state.act and state.shown in {ToolShown.DEFAULT, ToolShown.OPTED_OUT} for state in states(before))


@pytest.mark.parametrize("tool", VISITS, ids=brief)
def test_a_refusal_denies_and_is_remembered(states, tool):
    _, refused, _ = VISITS[tool]
    assert any(state.tool == tool and state.act and state.denied == DENIES["ads"] for state in states(refused))


@pytest.mark.parametrize("tool", VISITS, ids=brief)
def test_a_later_acceptance_denies_nothing(states, tool):
    _, _, accepted = VISITS[tool]
    assert all(state.denied == frozenset() for state in states(accepted))


@pytest.mark.parametrize("tool", sorted(VISITS.keys() - {"tarteaucitron"}), ids=brief)
def test_an_acceptance_by_a_person_shows_an_allow(states, tool):
    _, _, accepted = VISITS[tool]
    assert ToolShown.ALLOWED in {state.shown for state in states(accepted)}


@pytest.mark.parametrize("refusing", VISITS, ids=brief)
@pytest.mark.parametrize("accepting", ["klaro", "shopify", "trustarc"], ids=brief)
def test_a_refusal_in_one_tool_stands_beside_an_acceptance_in_another(states, refusing, accepting):
    header = f"{VISITS[accepting][2]}; {VISITS[refusing][1]}"
    assert any(state.tool == refusing and state.denied for state in states(header))


def test_a_shop_with_three_tools_is_heard_in_the_order_of_its_cookies(states):
    found = states(
        "session=abc; OptanonConsent=groups=C0004:1&interactionCount=1; usprivacy=1YYN; cart=7; "
        "_tracking_consent=3s.AMP_USCA_f_t_x; OptanonAlertBoxClosed=2025-11-24T07:10:02.201Z; consentUUID=u_1"
    )
    assert [(state.tool, state.cookie, str(state.shown)) for state in found] == [
        ("onetrust", "OptanonConsent", "allowed"),
        ("iab", "usprivacy", "default"),
        ("shopify", "_tracking_consent", "opted_out"),
        ("sourcepoint", "consentUUID", "opaque"),
    ]


def test_companions_are_read_quoted_encoded_and_in_any_number(told):
    assert told('notice_preferences=0:; notice_behavior="implied%2Cus"') == "ads by act"
    many = "; ".join(f"notice_behavior=implied{number}" for number in range(500))
    assert told(f"notice_behavior=implied,us; {many}; notice_preferences=0:") == "ads by act"
    assert told(f"{many}; notice_preferences=0:") == "ads"


def test_a_companion_longer_than_any_cookie_tells_no_act_and_takes_no_denial_away(told):
    for length, says in ((4096, "ads by act"), (4097, "ads")):
        told_by = "implied,".ljust(length, "x")
        assert told(f"notice_behavior={told_by}; notice_preferences=0:") == says


@pytest.mark.parametrize("by", By, ids=brief)
def test_a_refusal_wins_over_an_allow_whoever_spoke(by):
    cookie = Cookie("klaro", "klaro", "", {}, {"a": "ads", "b": "sale"})
    state = cookie.of({"a": True, "b": False}, by)
    assert state.denied == DENIES["sale"]
    assert state.shown is (ToolShown.DEFAULT if by is By.TOOL else ToolShown.OPTED_OUT)
    assert state.act is (by is By.PERSON)


@pytest.mark.parametrize("by", By, ids=brief)
def test_what_is_on_and_nowhere_off_is_granted_by_all_but_the_tool_itself(by):
    """It ends a state of the same word, so a default of the tool must not."""
    cookie = Cookie("klaro", "klaro", "", {}, {"a": "ads", "b": "sale", "c": "ads"})
    for states, granted in (
        ({"a": True}, {"ads"}),
        ({"a": True, "b": False}, {"ads"}),
        ({"a": True, "c": False}, set()),
    ):
        assert cookie.of(states, by).granted == (set() if by is By.TOOL else granted)
    assert cookie.of({"other": True}, by).granted == set()


@pytest.mark.parametrize("by", By, ids=brief)
def test_only_a_person_can_allow(by):
    cookie = Cookie("klaro", "klaro", "", {}, {"a": "ads"})
    assert (cookie.of({"a": True}, by).shown is ToolShown.ALLOWED) is (by is By.PERSON)
    assert cookie.of({"other": True}, by).shown is ToolShown.DEFAULT


def written(tool, states):
    """The states of categories as three of the tools write them."""
    yes_no = {name: "yes" if on else "no" for name, on in states.items()}
    return {
        "onetrust": ("OptanonConsent", "groups=" + quote(",".join(f"{name}:{on:d}" for name, on in states.items()))),
        "cookieyes": ("cookieyes-consent", "action:yes," + ",".join(f"{name}:{word}" for name, word in yes_no.items())),
        "transcend": ("tcm", uri({"purposes": states, "confirmed": True})),
    }[tool]


@QUICKLY
@given(st.data(), st.sampled_from(["onetrust", "cookieyes", "transcend"]))
def test_exactly_what_the_refused_names_stand_for_is_denied(data, tool):
    names = st.sampled_from([*CATEGORIES[tool], "own", "necessary"])
    states = data.draw(st.dictionaries(names, st.booleans(), min_size=1))
    expected = [DENIES[word] for name, word in CATEGORIES[tool].items() if states.get(name) is False]
    (state,) = cmp_cookies.read_tool([written(tool, states)])
    assert state.denied == frozenset().union(*expected)
