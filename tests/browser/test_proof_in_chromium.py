"""A real Chromium gets the proof of its choice: with script off, once, and nobody after it at the same computer."""

import json
from pathlib import Path

import pytest
from support.accessible import picture
from support.chromium import FLAGS
from support.people import email, phone
from support.service import service

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BUTTON = "Download receipt and proof"
FOLD = "Your receipt, and what it proves"
GONE = "The proof that it was you cannot be given here"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with service(tmp_path_factory.mktemp("proof")) as started:
        yield started


def opted_out(context, running, number):
    """The confirmation, after the form was filled in and sent."""
    page = context.new_page()
    page.goto(f"{running.url}/privacy-choices?reach=1")
    page.get_by_label("Your Talkatone phone number").fill(phone(number))
    page.get_by_label("Your email").fill(email(number))
    page.get_by_role("button", name="Opt out", exact=True).click()
    page.wait_for_url("**/privacy-choices/done/*")
    return page


def proof_cookies(context):
    return [cookie for cookie in context.cookies() if cookie["name"] == "__Host-gateway-proof"]


def test_a_person_takes_the_proof_home_on_a_small_phone_without_script(running, chromium):
    context = chromium.new_context(
        viewport={"width": 320, "height": 640}, java_script_enabled=False, accept_downloads=True
    )
    page = opted_out(context, running, 11)
    assert not page.get_by_role("button", name=BUTTON).is_visible(), "it is folded away"
    page.get_by_text(FOLD).click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        picture(page, f"proof-{scheme}", full_page=True)
        box = page.get_by_role("button", name=BUTTON).bounding_box()
        assert box["x"] + box["width"] <= 320, scheme
    with page.expect_download() as download:
        page.get_by_role("button", name=BUTTON).click()
    assert download.value.suggested_filename == "privacy-choice-proof.json"
    proofs = json.loads(Path(download.value.path()).read_text())["proofs"]
    assert {each["opening"]["value"] for each in proofs} >= {phone(11), email(11)}
    assert page.url.rpartition("/")[0].endswith("/privacy-choices/done")  # nothing of it in the address
    assert proof_cookies(context) == []
    page.get_by_role("button", name=BUTTON).click()
    page.get_by_text(GONE).wait_for()  # unfolded by the address that the button leads to
    picture(page, "proof-gone", full_page=True)
    context.close()


@pytest.mark.parametrize("way", ["back", "reload", "history", "restored tab"])
def test_the_next_person_at_a_library_computer_finds_no_opening(running, chromium, way):
    """The first one walked away without the download (R35)."""
    context = chromium.new_context()
    page = opted_out(context, running, 12)
    confirmation = page.url
    if way == "back":
        page.get_by_role("link", name="Your Privacy Choices").click()
        page.wait_for_url("**/privacy-choices")
        page.go_back()
        page.wait_for_load_state()
    elif way == "reload":
        page.reload()
    elif way == "history":
        page.goto(f"{running.url}/demo")
        page.goto(confirmation)
    else:
        page.close()
        page = context.new_page()
        page.goto(confirmation)
    assert not page.get_by_text(GONE).is_visible()
    page.get_by_text(FOLD).click()
    page.get_by_text(GONE).wait_for()
    assert page.get_by_role("button", name=BUTTON).count() == 0
    text = page.content()
    assert phone(12) not in text
    assert email(12) not in text
    context.close()


def test_a_browser_that_refuses_cookies_says_that_the_opening_cannot_be_given(running, driver, program, tmp_path):
    blocking = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(blocking))
    context = driver.launch_persistent_context(tmp_path, executable_path=program, args=FLAGS)
    page = opted_out(context, running, 13)
    assert context.cookies() == []
    page.get_by_text(FOLD).click()
    page.get_by_text(GONE).wait_for()
    assert page.get_by_role("heading", name="This browser will not be remembered").is_visible()
    assert page.get_by_role("heading", name="Opt-Out Request Honored").count() == 0
    page.goto(f"{running.url}/privacy-choices")
    assert page.get_by_text("No opt-out is recorded for this browser.").is_visible(), "the control"
    context.close()
