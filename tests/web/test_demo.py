import pytest
from starlette.testclient import TestClient

from gateway.web.site import demo

pytestmark = pytest.mark.anyio
TRACKER = "http://127.0.0.1:1"
NAVIGATE = {"Sec-Fetch-Mode": "navigate"}


@pytest.mark.parametrize("path", ["/demo", "/demo/second"])
async def test_a_visitor_who_said_nothing_gets_the_page_with_its_ads(client, path):
    page = await client.get(path, headers=NAVIGATE)
    assert "Opt-Out Request Honored" not in page.text
    assert page.text.count(TRACKER) == 3  # script, pixel, beacon: static tags, as on a real site
    assert "content-security-policy" not in page.headers
    assert "sale=?1, sharing=?1, targeted_ads=?1, status=none" in page.text


@pytest.mark.parametrize("path", ["/demo", "/demo/second"])
async def test_a_visitor_with_gpc_sees_that_it_was_honored_and_the_page_may_talk_to_no_tracker(client, path):
    page = await client.get(path, headers={"Sec-GPC": "1", **NAVIGATE})
    assert "Opt-Out Request Honored" in page.text
    assert "sale=?0, sharing=?0, targeted_ads=?0, status=honored" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "127.0.0.1:1" not in policy


async def test_the_sites_front_leads_to_the_demo(client):
    front = await client.get("/")
    assert (front.status_code, front.headers["location"]) == (307, "/demo")


async def test_the_demo_remembers_a_form_choice_on_the_next_page(client):
    done = await client.post("/privacy-choices", data={"action": "opt_out"})
    cookie = done.headers["set-cookie"].partition(";")[0]
    page = await client.get("/demo", headers={"Cookie": cookie, **NAVIGATE})
    assert "Opt-Out Request Honored" in page.text


def test_the_second_origin_counts_what_reaches_it():
    calling = TestClient(demo.tracker())
    assert calling.get("/seen").json() == {}
    assert "adLoaded" in calling.get("/ad.js").text
    assert calling.get("/pixel.gif").content[:3] == b"GIF"
    assert calling.post("/beacon").status_code == 204
    assert calling.get("/seen").json() == {"ad.js": 1, "pixel.gif": 1, "beacon": 1}


def test_the_demo_page_prints_what_it_was_told_without_believing_it():
    page = TestClient(demo.site('"><script>alert(1)</script>')).get("/demo", headers={"Gateway-Consent": "<b>"})
    assert "<script>alert" not in page.text
    assert "&lt;b&gt;" in page.text
