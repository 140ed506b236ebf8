"""An error where a person reads: a page with the way back; for programs a problem document."""

import pytest

pytestmark = pytest.mark.anyio
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/privacy-choices/nothing", 404, "This page is not here"),
        ("GET", "/privacy-choices/done/x", 404, "This page is not here"),
        ("GET", "/privacy-choices/proof", 405, "This page is not here"),
        ("POST", "/privacy-choices", 415, "Nothing was saved"),
    ],
)
async def test_a_person_gets_a_page_that_leads_back_to_the_choices(client, method, path, status, words):
    opens = {"content": b"action=opt_in", "headers": BROWSER | {"Content-Type": "text/plain"}}  # what is not our form
    answer = await client.request(method, path, **(opens if method == "POST" else {"headers": BROWSER}))
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert words in answer.text
    assert 'href="/privacy-choices"' in answer.text


@pytest.mark.parametrize(
    ("path", "headers"),
    [("/privacy-choices/nothing", {}), ("/nothing", BROWSER), ("/privacy-choicesX", BROWSER), ("/v1/nothing", BROWSER)],
)
async def test_everybody_else_gets_the_problem_document(client, path, headers):
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_error_speaks_the_persons_language(client):
    answer = await client.get("/privacy-choices/nothing", headers=BROWSER | {"Accept-Language": "es"})
    assert 'lang="es"' in answer.text
