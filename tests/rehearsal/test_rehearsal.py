"""A rehearsal passes where every no holds, and names the way and the recipient where one does not."""

import json
import os
import time

import msgspec
import pytest
from support import example, inside
from support.examples import SOAK
from support.rehearsed import EVERY_ROLE, EVERY_WAY_OPEN

from gateway.choice import verdict
from gateway.choice.rules.case import Rule, deny
from gateway.choice.standing import OUT_BITS
from gateway.consent.share import Shared, Sharing
from gateway.consent.verbs import Consent
from gateway.keys import seals
from gateway.ledger.errors import StoreUnavailable
from gateway.rehearsal import __main__, judging, stage, ways
from gateway.settings.load import load_settings
from gateway.terms import Answer, Purpose, Reason
from gateway.web.api import openrtb
from gateway.web.pages.forms import OptingOut
from gateway.web.site import visit

pytestmark = pytest.mark.slow
FORM, APP, PAGE = "form, phone (en)", "app, ad id", "Sec-GPC on a page (nginx)"


@pytest.fixture(autouse=True)
def forgets(monkeypatch):
    """Verdicts are remembered by their arguments; a broken rule must not outlive its test."""
    monkeypatch.setattr(judging, "LATE", 0.05)  # what fails in these tests fails for good
    verdict.decide.cache_clear()
    yield
    verdict.decide.cache_clear()


@pytest.fixture
def rehearsed(tmp_path):
    """What a rehearsal of some ways finds, in an operator's configuration in which everything is vouched for."""

    def run(only, configured=None, *, dev=True):
        made = __main__.rehearse(configured or inside.settings(), tmp_path / "stage", only=only, dev=dev)
        return made.content

    return run


def pairs(content, *, way=None):
    """Who failed, at which doors."""
    return {(item[1], item[3]) for item in content["failed"] if way in (None, item[0])}


def rules(monkeypatch, name, broken):
    """The verdict with one rule replaced."""
    order = tuple(Rule(one.name, one.asks, broken(one.apply)) if one.name == name else one for one in verdict.ORDER)
    monkeypatch.setattr(verdict, "ORDER", order)


def cell(content, way, recipient):
    """What the matrix says of a way and a recipient."""
    return content["cells"][content["matrix"][way][recipient]]


@pytest.mark.parametrize("only", [FORM, APP, PAGE, "text, STOP", "gpp beside a question"])
def test_a_gateway_that_keeps_its_word_passes_and_shows_what_could_go_before(rehearsed, only):
    found = rehearsed(only)
    assert (found["passed"], found["failed"]) == (True, [])
    ((proved, own, _, failed, _),) = found["ways"].values()
    assert proved > 0
    assert failed == 0
    if only != "text, STOP":  # nobody of the shipped file is registered for marketing texts
        assert own == (10 if only == PAGE else 7)  # the page is told of sale, sharing and ads
        assert {"teemo sale", "flurry targeted_ads", "matching sharing"} <= set(found["proved"])
        told = {(name, purpose) for name in found["matrix"][only] for purpose in cell(found, only, name)["proved"]}
        assert {f"{name} {purpose}" for name, purpose in told} == set(found["proved"])


def test_without_a_contract_nothing_of_the_operators_is_proved_and_the_made_up_recipient_shows_the_way(rehearsed):
    found = rehearsed(APP, dev=False)
    assert found["passed"]
    assert [item for item in found["not_allowed"] if item[0] == "teemo"] == [["teemo", "sale", "no_contract"]]
    assert found["ways"][APP][0] > 0
    assert found["ways"][APP][1] == 0


def test_a_recipient_that_the_verdict_leaves_out_is_named_and_nobody_else(rehearsed, monkeypatch):
    def broken(apply):
        return lambda case: None if case.recipient.name == "teemo" else apply(case)

    rules(monkeypatch, "opted_out", broken)
    found = rehearsed(FORM)
    assert not found["passed"]
    assert {name for name, _ in pairs(found)} == {"teemo"}
    assert {door for _, door in pairs(found)} >= {"check", "checks", "openrtb", "share", "share, dry run"}
    assert [FORM, "teemo", "sale", "checks"] in [item[:4] for item in found["failed"]]
    assert ["sale", "checks"] in [item[:2] for item in cell(found, FORM, "teemo")["failed"]]
    assert cell(found, FORM, "teemo")["failures"] == len(found["failed"])
    assert {name for name in found["matrix"][FORM] if cell(found, FORM, name).get("failures")} == {"teemo"}


def test_a_way_whose_no_is_not_recorded_is_named_and_no_other(rehearsed, monkeypatch):
    choose = Consent.choose

    async def forgetful(self, subjects, choice, **more):
        somebody = [self.people.browser(os.urandom(16).hex())] if choice.source == "form" else subjects
        return await choose(self, somebody, choice, **more)

    monkeypatch.setattr(Consent, "choose", forgetful)
    found = rehearsed(", phone")
    assert {item[0] for item in found["failed"]} == {f"form, phone ({spoken})" for spoken in ("en", "es", "fr")}
    assert {"teemo", "advertisers", "rehearsal"} <= {name for name, _ in pairs(found, way=FORM)}
    assert found["ways"]["desk, phone"][3] == 0


def test_a_form_without_its_button_fails(rehearsed, monkeypatch):
    from gateway.web.shell import page

    show = page.show_page

    def without(request, template, *arguments, **values):
        answer = show(request, template, *arguments, **values)
        answer.body = answer.body.replace(b'value="ticked"', b'value="accept"')
        return answer

    monkeypatch.setattr(page, "show_page", without)
    found = rehearsed(FORM)
    assert found["failed"] == [
        [FORM, "", "", "/privacy-choices", "GET /privacy-choices shows no button that says ticked"]
    ]
    assert list(found["matrix"][FORM]) == [""]  # nothing is known of any recipient


def test_a_bid_door_that_lets_everything_through_fails(rehearsed, monkeypatch):
    monkeypatch.setattr(openrtb.Cuts, "of", lambda cuts, *_: openrtb.CutBid("allow", dict(cuts._bid), None))
    found = rehearsed(APP)
    assert {door for _, door in pairs(found)} == {"openrtb"}
    assert {"teemo", "advertisers"} <= {name for name, _ in pairs(found)}


def test_a_share_door_that_lets_everything_through_fails(rehearsed, monkeypatch):
    async def everything(self, recipient, rows):
        return [
            Shared(row.id, "returned", "no_choice", {str(one): Answer.ALLOW for one in recipient.data}) for row in rows
        ]

    async def answers(self, recipient, rows, job=""):
        yield await everything(self, recipient, rows)

    monkeypatch.setattr(Sharing, "answers", answers)
    monkeypatch.setattr(Sharing, "would_share", everything)
    found = rehearsed(APP)
    assert {door for _, door in pairs(found)} == {"share", "share, dry run"}


def test_a_door_that_breaks_is_named_and_the_other_ways_are_tried(rehearsed, monkeypatch):
    async def breaks(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr(OptingOut, "write", breaks)
    found = rehearsed("phone (en)")
    assert found["failed"] == [[FORM, "", "", "/privacy-choices", "POST /privacy-choices answered 500"]]


def test_a_no_that_does_not_reach_the_persons_other_phone_fails(rehearsed, monkeypatch):
    def broken(apply):
        def own_alone(case):
            travelled = all(not standing.own & OUT_BITS for standing in case.question.standings)
            return None if travelled else apply(case)

        return own_alone

    rules(monkeypatch, "opted_out", broken)
    found = rehearsed(APP)
    assert any("the other phone" in item[4] for item in found["failed"])
    assert not any(item[4].startswith("said:") for item in found["failed"])


def test_a_site_that_is_told_yes_fails(rehearsed, monkeypatch):
    monkeypatch.setattr(visit, "_consent", lambda allowed, status: b"sale=?1, sharing=?1, targeted_ads=?1, status=none")
    found = rehearsed(PAGE)
    assert {door for _, door in pairs(found)} == {"page"}


def test_a_stage_on_which_nothing_goes_from_the_start_proves_nothing_and_fails(rehearsed, monkeypatch):
    rules(monkeypatch, "contract", lambda _: lambda case: deny(Reason.AGE, "broken"))
    found = rehearsed(APP)
    assert not found["passed"]
    assert all(item[4] == "nothing could go before: age" for item in found["failed"])
    assert found["ways"][APP][0] == 0


def test_a_no_that_holds_only_later_fails_although_it_holds_in_the_end(rehearsed, monkeypatch):
    monkeypatch.setattr(judging, "LATE", 60.0)
    choose, holds_from = Consent.choose, [0.0]

    async def slow(self, subjects, choice, **more):
        holds_from[0] = time.monotonic() + 1.5 if choice.kind == "opt_out" else 0.0
        return await choose(self, subjects, choice, **more)

    monkeypatch.setattr(Consent, "choose", slow)
    rules(
        monkeypatch, "opted_out", lambda apply: lambda case: apply(case) if time.monotonic() > holds_from[0] else None
    )
    monkeypatch.setattr("gateway.consent.check.decide", verdict.decide.__wrapped__)
    found = rehearsed(APP)
    assert {(item[1], item[4]) for item in found["failed"]} >= {("teemo", "at once: allowed")}
    assert {item[3] for item in found["failed"]} == {"check"}  # a second and a half later every door says no
    assert found["ways"][APP][4] >= 100


def test_nothing_reaches_anybody_outside(tmp_path, monkeypatch):
    """Every address of the configuration is out of what is rehearsed, and no socket is opened."""
    file = tmp_path / "config.toml"
    file.write_text(
        EVERY_WAY_OPEN + "[mail]\nserver = 'outside.example'\nfrom_address = 'p@example.com'\n"
        "[texts]\nendpoint = 'https://outside.example/t'\n[erasure]\naccount_backend = 'https://outside.example/a'\n"
        "[delivery]\nddrf_domain = 'outside.example'\n[ledger]\ncheckpoint_store = '/outside.example'\n"
        "[rehearsal]\npages = ['https://outside.example/']\n"
        "[recipients.teemo]\nendpoint = 'https://outside.example/e'\nsandbox_endpoint = 'https://outside.example/s'\n"
        "deliveries = 'https://outside.example/d'\nddrf = 'outside.example'\nupload = ['outside.example']\n"
    )
    settings = inside.settings(file)
    assert b"outside.example" in msgspec.json.encode(settings)
    quiet = stage.quiet(settings)
    assert b"outside.example" not in msgspec.json.encode(quiet)
    import socket

    def connects(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", connects)
    made = __main__.rehearse(
        msgspec.structs.replace(settings, rehearsal=quiet.rehearsal), tmp_path / "stage", only=APP, dev=True
    )
    assert made.content["passed"]


def test_nobody_made_up_is_named_in_what_is_told(rehearsed, monkeypatch):
    rules(monkeypatch, "opted_out", lambda _: lambda case: None)
    told = json.dumps(rehearsed(", phone"))
    assert not any(word in told for word in ("555", "@example.com", "rehearsal-0", "rehearsal-1"))


def test_a_made_up_recipient_gives_way_to_one_of_the_operators_that_has_its_name(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('[recipients.rehearsal]\nrole = "legal"\npurposes = ["legal"]\ndata = ["ip"]\n')
    assert set(stage.made_up(inside.settings(file))) == {"rehearsal_", "rehearsal_own"}


@pytest.mark.parametrize(
    ("said", "recipient", "purpose", "ended"),
    [
        (Purpose.SALE, "advertisers", Purpose.TARGETED_ADS, True),
        (Purpose.MARKETING_EMAIL, "advertisers", Purpose.TARGETED_ADS, False),
        (Purpose.SALE, "payments", Purpose.SERVICE, False),
        (Purpose.SALE, "rehearsal_own", Purpose.PROFILING, False),
        (Purpose.PROFILING, "rehearsal_own", Purpose.PROFILING, True),
    ],
)
def test_what_a_no_ends_is_written_from_the_rules(said, recipient, purpose, ended):
    known = stage.quiet(inside.settings()).registry()[recipient]
    assert bool(stage.ends(known, purpose, frozenset({said}))) == ended


@pytest.mark.slow
@pytest.mark.parametrize("remembers", ["flag", "off"])
@pytest.mark.parametrize("header", ["true", "false"])
@pytest.mark.parametrize("only", ["Sec-GPC on a page (nginx)", "cookie of tealium", "page's"])
def test_a_site_that_knows_no_browser_again_is_held_to_what_it_can_keep(rehearsed, remembers, header, only):
    """By who is signed in, or for the page at hand: no false alarm, and a way that shows nothing says why."""
    configured = inside.settings(browser__remember_gpc=remembers, account__header=header)
    found = rehearsed(only, configured)
    assert found["failed"] == []
    assert all(counts[0] for counts in found["ways"].values())
    if only == "page's" and header == "false":
        assert {why.partition(" is ")[0] for why in found["closed"].values()} == {"browser.remember_gpc"}


UNWRITTEN = {"signals__record_gpc": "known"}


@pytest.mark.parametrize("only", [PAGE, "Sec-GPC once", "page's"])
def test_a_site_that_leaves_gpc_unwritten_passes_by_what_cookie_and_tokens_carry(rehearsed, only):
    found = rehearsed(only, inside.settings(**UNWRITTEN))
    assert (found["failed"], found["closed"]) == ([], {})
    assert all(counts[0] for counts in found["ways"].values())


def test_the_control_a_token_that_carries_nothing_fails_where_gpc_is_left_unwritten(rehearsed, monkeypatch):
    honest = seals.seal_browser
    monkeypatch.setattr(seals, "seal_browser", lambda *args, **_: honest(*args))
    found = rehearsed("Sec-GPC once", inside.settings(**UNWRITTEN))
    assert {item[0] for item in found["failed"]} == {"Sec-GPC once, then the site's token alone"}


def test_a_machine_that_is_busy_is_asked_again(rehearsed, monkeypatch):
    """503 is what a gateway says that cannot keep something for a moment; callers ask again."""
    once, share = [True], Sharing.would_share

    async def away(self, recipient, rows):
        if once[0]:
            once[0] = False
            raise StoreUnavailable("for a moment")
        return await share(self, recipient, rows)

    monkeypatch.setattr(stage, "PAUSES", (0.01,))
    monkeypatch.setattr(Sharing, "would_share", away)
    found = rehearsed(APP)
    assert found["passed"]
    assert not once[0]


@pytest.mark.parametrize("reason", ["stale", "store_unavailable"])
def test_a_stage_that_stays_in_doubt_has_failed_although_it_denies(rehearsed, monkeypatch, reason):
    monkeypatch.setattr(stage, "PAUSES", ())
    honest = verdict.decide

    def in_doubt(question, office):
        mine = question.recipient.name == stage.OWN  # who gets no rows: a share in doubt is a 503 of its own
        return verdict.deny_all(question.data, Reason(reason)) if mine else honest(question, office)

    monkeypatch.setattr("gateway.consent.check.decide", in_doubt)
    found = rehearsed("text, STOP")
    assert not found["passed"]
    assert {item[4].rpartition(", ")[2] for item in found["failed"] if item[3] == "checks"} >= {reason}


def test_whoever_has_said_nothing_yet_rehearses_against_the_made_up_recipient(rehearsed):
    found = rehearsed("app, ad id", load_settings(None, {}), dev=False)
    assert (found["failed"], found["not_allowed"]) == ([], [])
    assert {"rehearsal sale", "rehearsal sharing", "rehearsal targeted_ads"} <= set(found["proved"])


@pytest.mark.slow
@pytest.mark.parametrize("only", ["form", "app", "beside a question"] if SOAK else ["(en)"])
def test_recipients_of_every_role_and_mode_cause_no_false_alarm(rehearsed, tmp_path, only):
    file = tmp_path / "config.toml"
    file.write_text(EVERY_ROLE)
    found = rehearsed(only, inside.settings(file))
    assert found["failed"] == []
    assert found["not_allowed"] == [["late", "sale", "not_notified"]]  # announced after the last notice to everybody
    assert {"filesdesk sale", "kin sale", "heir sale", "programme targeted_ads"} <= set(found["proved"])
    assert not any(name.startswith(("wish ", "payments ")) for name in found["proved"])  # nothing to choose about


@pytest.mark.slow
def test_no_way_passes_where_what_it_says_is_not_written(rehearsed, tmp_path, monkeypatch):
    """The control of all of them: none is empty."""
    choose = Consent.choose

    async def forgetful(self, subjects, choice, **more):
        opens = choice.kind == "opt_in"
        somebody = subjects if opens else [self.people.account(os.urandom(16).hex())]
        return await choose(self, somebody, choice, **more if opens else {})

    async def deaf(self, subjects, heard, **_):
        return 0

    monkeypatch.setattr(Consent, "choose", forgetful)
    monkeypatch.setattr(Consent, "observe", deaf)
    file = tmp_path / "config.toml"
    file.write_text(EVERY_WAY_OPEN)
    # The made-up recipients show it, so that no others are asked about, nor named as an app's.
    base = {name: stated for name, stated in example.STATED.items() if name not in {"recipients", "apps"}}
    configured = example.settings(file, {}, base=base)
    found = rehearsed("", configured)
    empty = [way.name for way in ways.every(configured) if way.act and not found["ways"][way.name][3]]
    assert empty == []
    read = [way.name for way in ways.every(configured) if not way.act and found["ways"][way.name][3]]
    assert read == []


def test_no_signal_beside_a_question_passes_where_none_is_heeded(rehearsed, monkeypatch):
    rules(monkeypatch, "signal", lambda _: lambda case: None)
    found = rehearsed("beside a question")
    assert [name for name, counts in found["ways"].items() if not counts[3]] == []


@pytest.mark.slow
def test_every_way_that_can_be_open_holds_against_every_recipient(rehearsed, tmp_path, figure):
    file = tmp_path / "config.toml"
    file.write_text(EVERY_WAY_OPEN)
    found = rehearsed("", inside.settings(file))
    assert found["failed"] == []
    assert found["closed"] == {}
    expected = {
        "advertisers sharing",
        "advertisers targeted_ads",
        "flurry sharing",
        "flurry targeted_ads",
        "teemo sale",
        "matching sharing",
        "matching targeted_ads",
    }
    assert expected <= set(found["proved"])
    assert found["not_allowed"] == []
    for name, (proved, *_) in found["ways"].items():
        assert proved, name
    figure("rehearsal", f"{len(found['ways'])} ways, the slowest no after {found['slowest_ms']} ms")
