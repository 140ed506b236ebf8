"""Real nginx, Caddy and Envoy, each with the recipe that `gateway recipe` prints."""

import pytest
from support import proxies
from support.promises_of_proxies import ALL_NO, GPC, WHILE_IT_ANSWERS, WHILE_IT_DOES_NOT, remembered, stopped

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["nginx", "caddy", "envoy"])
def proxied(request, started):
    return started(request.param)


@pytest.mark.parametrize("promise", WHILE_IT_ANSWERS, ids=lambda promise: promise.__name__)
def test_while_the_gateway_answers(proxied, promise):
    promise(proxied)


@pytest.mark.parametrize("promise", WHILE_IT_DOES_NOT, ids=lambda promise: promise.__name__)
def test_while_the_gateway_is_away_or_slow(proxied, promise):
    with stopped(proxied.gateway):
        promise(proxied)


def test_a_person_is_heard_again_as_soon_as_the_gateway_is_back(proxied):
    person = remembered(proxied)
    with stopped(proxied.gateway):
        assert proxied.ask("/page", person).consent == f"{ALL_NO}, status=unknown"
    assert proxied.ask("/page", person).consent == f"{ALL_NO}, status=honored"


@pytest.mark.parametrize("name", ["nginx", "caddy", "envoy"])
def test_an_operator_who_does_not_enforce_adds_no_policy_even_while_the_gateway_is_away(started, tmp_path, name):
    with proxies.gateway(tmp_path) as running:
        proxied = started(name, running=running)
        assert proxied.ask("/page", GPC).one("content-security-policy") is None
        assert proxied.ask("/ads/1", GPC).status == 200
        running.stop()
        away = proxied.ask("/ads/1")
        assert (away.status, away.consent) == (200, f"{ALL_NO}, status=unknown")
        assert away.one("content-security-policy") in {None, ""}
