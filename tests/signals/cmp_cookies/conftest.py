"""What a Cookie header's consent tools say, in a few words a cookie: "ads by act", "sale by default", "allowed"."""

import pytest

from gateway.signals import cmp_cookies, cookies
from gateway.terms import AD_CHOICE_PURPOSES, SIGNAL_PURPOSES, Malformed

DENIED = {
    frozenset(): "",
    frozenset(SIGNAL_PURPOSES): "sale",
    frozenset(AD_CHOICE_PURPOSES): "ads",
}


@pytest.fixture
def states():
    """The states of one Cookie header, read through the parser that the gateway uses."""

    def read(header, categories=cmp_cookies.CATEGORIES):
        jar, _ = cookies.parse_cookies([header.encode("latin-1")])
        return cmp_cookies.read_tool(jar, categories)

    return read


@pytest.fixture
def told(states):
    def words(header, categories=cmp_cookies.CATEGORIES):
        return " + ".join(brief(state) for state in states(header, categories))

    return words


def brief(state):
    if isinstance(state, Malformed):
        assert state.channel == "cmp_cookie"
        return "malformed"
    how = {"opted_out": " by act" if state.act else "", "default": " by default"}.get(state.shown, "")
    return f"{DENIED[state.denied]}{how}" if state.denied else {"default": "nothing"}.get(state.shown, state.shown)
