"""Real nginx, Caddy, Envoy, HAProxy and Traefik, each with the recipe that `gateway recipe` prints."""

import pytest
from support import proxies
from support.promises_of_proxies import (
    ALL_NO,
    GPC,
    WHILE_IT_ANSWERS,
    WHILE_IT_DOES_NOT,
    an_answer_that_is_none_of_the_gateways_counts_as_none,
    remembered,
    stopped,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["nginx", "caddy", "envoy", "haproxy"])
def proxied(request, started):
    return started(request.param)


@pytest.mark.parametrize("promise", WHILE_IT_ANSWERS, ids=lambda promise: promise.__name__)
def test_while_the_gateway_answers(proxied, promise):
    promise(proxied)


@pytest.fixture(scope="module", params=["nginx", "caddy", "envoy", "haproxy"])
def alone(request, started, gone):
    return started(request.param, running=gone)


@pytest.mark.parametrize("promise", WHILE_IT_DOES_NOT, ids=lambda promise: promise.__name__)
def test_while_the_gateway_is_away_or_slow(alone, promise):
    promise(alone)


@pytest.mark.parametrize("name", ["nginx", "caddy", "haproxy"])
def test_whatever_else_answers_where_the_gateway_was_is_no_answer(started, gone, name):
    an_answer_that_is_none_of_the_gateways_counts_as_none(started(name, running=gone))


def test_a_person_is_heard_again_as_soon_as_the_gateway_is_back(proxied):
    person = remembered(proxied)
    with stopped(proxied.gateway):
        assert proxied.ask("/page", person).consent == f"{ALL_NO}, status=unknown"
    assert proxied.ask("/page", person).consent == f"{ALL_NO}, status=honored"


@pytest.mark.parametrize("name", ["nginx", "caddy", "envoy", "haproxy"])
def test_an_operator_who_does_not_enforce_adds_no_policy_even_while_the_gateway_is_away(started, tmp_path, name):
    with proxies.gateway(tmp_path) as running:
        proxied = started(name, running=running)
        assert proxied.ask("/page", GPC).one("content-security-policy") is None
        assert proxied.ask("/ads/1", GPC).status == 200
        running.stop()
        away = proxied.ask("/ads/1")
        assert (away.status, away.consent) == (200, f"{ALL_NO}, status=unknown")
        assert away.one("content-security-policy") in {None, ""}


@pytest.mark.parametrize("name", ["nginx", "caddy", "envoy", "haproxy"])
def test_a_site_that_is_broken_is_said_to_be(started, name):
    """The way on that is taken while the gateway is away is not taken where it is the site that is."""
    broken = started(name, site="127.0.0.1:1")
    assert broken.ask().status in {502, 503}
