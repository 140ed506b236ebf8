"""A real Chromium reads the access report of the person who is signed in, with script off, at phone width."""

import json
import time
from pathlib import Path

import pytest
from support.accessible import picture
from support.people import GAID, named, phone
from support.service import service
from support.wire import call, link, post_form

from gateway.keys import api_keys, secret_files

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("access")) as started:
        link(started.url, "a1", named("phone", phone(1)), named("gaid", GAID))
        for n in range(3):
            row = {"id": f"r{n}", "identifiers": [named("gaid", GAID)], "data": {"ad_id": GAID}, "place": "US-CA"}
            assert call(f"{started.url}/v1/shares/teemo", row)[0] == 200
        assert post_form(started.url, action="opt_out", phone=phone(1))[0] == 303
        yield started


@pytest.fixture(scope="module")
def signed_in(running):
    """The header of the site's server, made before the browser's loop runs."""
    secret = secret_files.load_secrets(running.data).accounts[-1]
    return {"Gateway-Account": api_keys.assert_account(secret, "a1", int(time.time()) + 600)}


def test_a_signed_in_person_reads_and_saves_what_is_held_without_script(running, signed_in, chromium):
    context = chromium.new_context(
        viewport={"width": 320, "height": 640},
        java_script_enabled=False,
        accept_downloads=True,
        extra_http_headers=signed_in,
    )
    page = context.new_page()
    page.goto(f"{running.url}/privacy-choices")
    page.get_by_role("link", name="What we hold about you").click()
    page.get_by_role("button", name="Show it here").click()
    page.get_by_role("heading", name="Who received what").wait_for()
    assert page.get_by_text("teemo").is_visible()
    assert page.get_by_text("3 times").is_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for item in page.get_by_role("listitem").all():
            box = item.bounding_box()
            assert box["x"] + box["width"] <= 320, scheme
        picture(page, f"data-{scheme}", full_page=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download it").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert [each["recipient"] for each in saved["disclosures"]] == ["teemo"]
    context.close()
