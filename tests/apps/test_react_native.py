"""The client for React Native against the real service: stub SDKs, a real ledger, networks that go and processes that
are killed (R8, L21, I22).
"""

import json
import subprocess
import time
import urllib.request
from urllib.parse import urlencode

import pytest
from support.people import email, gaid, named
from support.phones import idfv

from gateway.choice.downstream import opted_out
from gateway.web.shell import page

pytestmark = [pytest.mark.slow]
GAID, IDFV, ACCOUNT = named("gaid", gaid(1)), named("idfv", idfv(1)), named("account", "a1")
SHOWN, SECOND = ({"sha256": page.load_notice(kind).sha256.hex(), "language": "en"} for kind in ("choices", "opt-in"))
UNTIL = {name: value for name, value in opted_out().for_store().items() if value is not None}
FOR_NOTHING = 5.0  # seconds that a control waits for what never comes; what does comes at once, or after three
QUIET = 0.4  # seconds without an event, at one each 20 ms: it does not run


def post(site, path, body, key="dev.dev"):
    request = urllib.request.Request(
        f"{site.service.url}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def opts_out_on_the_web(site, **typed):
    """The form, as a browser posts it."""
    fields = urlencode({"action": "opt_out", **typed}).encode()
    request = urllib.request.Request(f"{site.service.url}/privacy-choices", fields, {"Sec-Fetch-Site": "same-origin"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def quiet(site) -> bool:
    """Whether no event arrives for a while."""
    before = len(site.tracker.seen)
    time.sleep(QUIET)
    return len(site.tracker.seen) == before


def runs(site) -> bool:
    """Whether events arrive; on a busy machine later."""
    return comes(lambda: not quiet(site))


def comes(true, seconds=30.0) -> bool:
    ends = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < ends:
        pass
    return found


def started(site, *ids):
    """The service, and an app whose SDK runs."""
    site.service.start()
    app = site.app(*(ids or (GAID, IDFV)))
    app.does("start")
    app.until("start", name="teemo", how="limited")
    assert runs(site)
    return app


def stopped_for_good(site, app):
    """Whether nothing is sent from some moment on."""
    app.until("stop", name="teemo")
    return comes(lambda: quiet(site))  # first what was on its way


# --- before the first answer ---------------------------------------------------------------------------------------


def test_no_sdk_starts_before_the_gateway_answered(site):
    app = site.app(GAID, IDFV)
    app.does("start")
    assert quiet(site)
    assert app.told("start") == []
    assert app.preferences == UNTIL
    site.service.start()
    app.until("start", name="teemo", how="limited")
    assert app.preferences["IABUSPrivacy_String"] == "1YNN"
    assert "gad_rdp" not in app.preferences
    app.until("start", name="flurry", how="start")
    time.sleep(0.1)
    assert {each["name"] for each in app.told("start")} == {"teemo", "flurry"}  # the third is none that it names


def test_at_each_start_the_app_asks_again_first(site):
    app = started(site)
    app.kill()
    site.service.kill()
    again = site.app(GAID, IDFV)
    again.does("start")
    assert again.told("start") == []
    assert quiet(site)


@pytest.mark.parametrize("years", [0, 13])
def test_an_app_whose_operating_system_tells_of_a_child_starts_nothing(site, years):
    site.service.start()
    app = site.app(GAID, IDFV)
    app.world(signals={"age_bracket": years})
    app.does("start")
    app.until("answer", path="/v1/observe", status=200)
    assert app.told("start") == []
    app.world(signals={"age_bracket": 18})
    app.does("observe")
    assert app.told("start") == []  # it only makes younger
    assert quiet(site)


def test_an_answer_to_a_choice_starts_nothing_that_the_phone_itself_forbids(site):
    site.service.start()
    app = site.app(GAID, IDFV)
    app.world(signals={"att": 0})
    app.does("start")
    app.does("optOut", purposes=["marketing_email"])
    app.until("answer", path="/v1/choices", status=201)
    token = app.does("optIn", purpose="sale", notice=SHOWN, who=[GAID])["value"]
    assert app.does("confirm", token=token, notice=SECOND).get("refused") is None
    time.sleep(0.5)
    assert app.told("start") == []
    assert quiet(site)


def test_nothing_starts_before_the_app_says_so_whoever_chooses_meanwhile(site):
    """It may still be asking for an age bracket."""
    site.service.start()
    app = site.app(GAID, IDFV)
    app.does("optOut", purposes=["marketing_email"])
    app.until("answer", path="/v1/choices", status=201)
    app.does("observe")
    time.sleep(0.5)
    assert app.told("start") == []
    app.does("start")
    app.until("start", name="flurry")


# --- an opt-out somewhere else -------------------------------------------------------------------------------------


def test_an_opt_out_on_the_web_stops_the_sdk_of_the_running_app_and_keeps_it_from_starting(site):
    app = started(site)
    post(site, "/v1/links", {"account": "a1", "identifiers": [named("email", email(1)), GAID]})
    opts_out_on_the_web(site, email=email(1))
    app.does("observe")
    assert stopped_for_good(site, app)
    assert app.preferences["IABUSPrivacy_String"] == "1YYN"
    app.kill()
    again = site.app(GAID, IDFV)
    again.does("start")
    assert again.told("start") == []
    assert quiet(site)


def test_who_is_signed_in_and_opted_out_on_the_web_is_out_on_a_phone_that_nobody_knew(site):
    site.service.start()
    post(site, "/v1/choices", {"identifiers": [ACCOUNT], "choice": "opt_out"})
    app = site.app(GAID, IDFV)
    app.world(assertions=[site.backend.asserts()])
    app.does("start")
    assert app.told("start") == []
    assert quiet(site)
    check = {"identifiers": [GAID], "recipient": "teemo", "place": "US-CA"}
    assert post(site, "/v1/check", check)["reason"] == "opted_out"


def test_an_ad_id_that_was_reset_starts_nothing(site):
    app = started(site, GAID)
    app.does("optOut")
    app.until("answer", path="/v1/choices", status=201)
    app.world(ids=[named("gaid", gaid(2))])
    app.does("observe")
    assert stopped_for_good(site, app)
    assert len(app.told("start")) == 2
    check = {"identifiers": [named("gaid", gaid(2))], "recipient": "teemo", "place": "US-CA"}
    assert post(site, "/v1/check", check)["reason"] == "opted_out"


# --- an opt-out in the app -----------------------------------------------------------------------------------------


def test_an_opt_out_in_a_lift_stops_everything_at_once_and_arrives_once(site):
    app = started(site)
    site.service.kill()
    app.does("optOut")
    assert stopped_for_good(site, app)
    assert app.preferences["IABUSPrivacy_String"] == "1YYN"
    assert app.preferences["gad_rdp"] == 1
    assert app.does("waiting")["value"] == 1
    site.service.start()
    app.until("answer", path="/v1/choices", status=201)
    assert app.does("waiting")["value"] == 0
    app.does("observe")
    time.sleep(2.5)  # whatever might be repeated
    assert site.count() == 2  # one entry for each of the two ids
    assert quiet(site)


def test_an_app_that_is_killed_in_the_lift_sends_it_at_its_next_start(site):
    app = started(site)
    site.service.kill()
    app.does("optOut")
    app.kill()
    again = site.app(GAID, IDFV)
    again.does("start")
    assert again.told("start") == []
    assert quiet(site)
    again.kill()
    site.service.start()
    third = site.app(GAID, IDFV)
    third.does("start")
    third.until("answer", path="/v1/choices", status=201)
    assert third.does("waiting")["value"] == 0
    assert site.count() == 2
    assert third.told("start") == []


@pytest.mark.parametrize("ids_are", ["late", "refused"])
def test_an_opt_out_waits_for_no_platform_that_does_not_tell_the_ids(site, ids_are):
    """What the phone was called at its start is opted out."""
    app = started(site)
    app.world(ids_are=ids_are)
    app.does("optOut")
    app.until("answer", path="/v1/choices", status=201)
    assert site.count() == 2  # both of its ids
    assert stopped_for_good(site, app)


def test_an_opt_out_waits_for_no_sdk_that_is_still_starting(site):
    site.service.start()
    app = site.app(GAID, IDFV)
    app.world(hangs="flurry")
    app.asks("start")
    app.until("start", name="teemo")
    app.until("start", name="flurry")
    app.does("optOut")
    app.until("stop", name="flurry")
    assert stopped_for_good(site, app)
    app.until("answer", path="/v1/choices", status=201)


@pytest.mark.parametrize("fails", [["place"], ["fetch"], ["stop", "alarm"]], ids="-".join)
def test_an_opt_out_is_not_lost_to_what_an_app_does_wrong(site, fails):
    app = started(site)
    site.service.kill()
    app.world(fails=fails)
    assert app.does("optOut").get("refused") is None
    assert app.does("waiting")["value"] == 1
    assert stopped_for_good(site, app)
    site.service.start()
    app.world(fails=[each for each in fails if each != "fetch"])
    app.until("answer", path="/v1/choices", status=201)


def test_a_page_that_something_in_front_shows_instead_takes_no_opt_out(site):
    app = started(site)
    app.world(portal=True)
    app.does("optOut")
    app.until("portal")
    app.world(portal=False)
    app.until("answer", path="/v1/choices", status=201)
    assert app.does("waiting")["value"] == 0


def test_an_answer_that_was_lost_does_not_make_it_two(site):
    app = started(site)
    app.world(loses=2)
    app.does("optOut")
    app.until("answer", path="/v1/choices", status=200)  # a replay
    assert site.count() == 2
    assert app.does("waiting")["value"] == 0


def test_an_observation_that_was_under_way_starts_nothing_after_an_opt_out(site):
    site.service.start()
    app = site.app(GAID, IDFV)
    app.world(holds=True)
    app.asks("start")
    app.until("held")
    app.world(holds=False)
    app.does("optOut")
    app.until("answer", path="/v1/choices", status=201)
    app.does("release")
    app.until("answer", path="/v1/observe")
    time.sleep(0.5)
    assert app.told("start") == []
    assert quiet(site)


def test_a_choice_that_the_gateway_does_not_take_is_kept_and_somebody_is_told(site):
    site.service.start()
    app = site.app(GAID, key="nobody.nothing")
    app.does("optOut")
    assert app.until("alarm", what="choice")["status"] == 401
    assert app.does("waiting")["value"] == 1
    app.kill()
    mended = site.app(GAID)
    mended.does("start")
    mended.until("answer", path="/v1/choices", status=201)
    assert site.count() == 1


# --- coming back ---------------------------------------------------------------------------------------------------


def test_a_person_comes_back_by_two_acts_and_the_sdk_starts(site):
    app = started(site, GAID)
    app.does("optOut", purposes=["sale", "sharing", "targeted_ads"])
    app.until("answer", path="/v1/choices", status=201)
    asked = app.does("mayAskFrom")["value"]
    assert asked["sale"] > "2026"
    assert asked["profiling"] is None
    for purpose in ("sale", "sharing", "targeted_ads"):
        token = app.does("optIn", purpose=purpose, notice=SHOWN, who=[GAID])["value"]
        assert app.does("confirm", token=token, notice=SECOND).get("refused") is None
    app.until("start", name="teemo")
    assert runs(site)


def test_opting_in_is_never_queued(site):
    app = started(site, GAID)
    app.world(offline=True)
    assert app.does("optIn", purpose="sale", notice=SHOWN, who=[GAID])["refused"] == "no_answer"
    assert app.does("waiting")["value"] == 0
    app.does("optOut")
    app.world(offline=False)
    refused = app.does("optIn", purpose="sale", notice=SHOWN, who=[GAID])
    assert refused["refused"] in {"superseded", "proof_required"}
    assert site.count("opt_in") == 0


def test_where_it_cannot_be_told_nobody_is_asked(site):
    app = site.app(GAID)
    assert app.does("mayAskFrom")["value"] is None


# --- the client itself ---------------------------------------------------------------------------------------------


def test_a_web_view_loads_nothing_before_its_cookie_is_set(site):
    app = site.app(GAID)
    cookie = {"name": "__Host-gateway", "value": "v", "attributes": "Path=/", "host": "www.example.com"}
    assert app.does("webView", cookie=cookie)["value"] == ["set", "load"]
    assert app.does("webView")["value"] == ["refused"]


def test_it_waits_a_second_doubling_to_an_hour(site):
    app = site.app()
    assert app.does("backoff")["value"] == [1000, 2000, 4000, 2_048_000, 3_600_000, 3_600_000]


def test_what_it_goes_by_before_an_answer_is_what_the_description_says(compiled):
    script = f'import("{compiled}").then((m) => console.log(JSON.stringify(m.UNTIL_FIRST_ANSWER)))'
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == opted_out().for_store()


# --- controls: the same tests catch a client that is broken --------------------------------------------------------


def broken(compiled, folder, old, new):
    text = compiled.read_text()
    assert text.count(old) == 1, old
    folder.mkdir()
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "gateway.js").write_text(text.replace(old, new))
    return folder / "gateway.js"


def test_a_client_that_believes_an_older_answer_is_caught(site, compiled, tmp_path):
    site.client = broken(compiled, tmp_path / "broken", "acts !== this.acts || this.state.queue.length)", "false)")
    site.client.write_text(site.client.read_text().replace("if (acts === this.acts)", "if (true)"))
    site.patience = FOR_NOTHING
    with pytest.raises(AssertionError):
        test_an_observation_that_was_under_way_starts_nothing_after_an_opt_out(site)


def test_a_client_that_keeps_its_queue_in_memory_is_caught(site, compiled, tmp_path):
    site.client = broken(
        compiled, tmp_path / "broken", "JSON.stringify(this.state)", "JSON.stringify({ ...this.state, queue: [] })"
    )
    site.patience = FOR_NOTHING
    with pytest.raises(AssertionError):
        test_an_app_that_is_killed_in_the_lift_sends_it_at_its_next_start(site)


def test_a_client_that_makes_a_new_key_for_each_try_is_caught(site, compiled, tmp_path):
    site.client = broken(compiled, tmp_path / "broken", '"Idempotency-Key": act.id', '"Idempotency-Key": this.id()')
    site.patience = FOR_NOTHING
    with pytest.raises(AssertionError):
        test_an_answer_that_was_lost_does_not_make_it_two(site)


def test_a_client_whose_types_do_not_fit_is_caught(compiler, tmp_path):
    (tmp_path / "wrong.ts").write_text('export const word: "start" | "stop" = "go";')
    done = subprocess.run([compiler, "--strict", "--noEmit", tmp_path / "wrong.ts"], capture_output=True, text=True)
    assert done.returncode != 0
