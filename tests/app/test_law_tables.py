"""Law tables of the operator's own, beside the shipped ones: what they may say, and what they may not."""

import asyncio
import json
import re
from datetime import date

import pytest
import structlog
from click.testing import CliRunner
from support import inside
from support.people import named
from support.verdicts import IN_FOR_ALL, buyer, decide

from gateway.app.from_settings import places_of
from gateway.app.in_force import in_force
from gateway.app.law_tables import law_table, shipped_tables, told_of_own
from gateway.app.replica import Replica
from gateway.choice.law import LawRule
from gateway.choice.outlines import BOXES
from gateway.choice.question import Grant, Office, Question
from gateway.choice.standing import Standing
from gateway.cli.root import group
from gateway.keys.seals import Enrolment
from gateway.settings.load import SettingsRefused
from gateway.terms import Answer, DataClass, GrantKind, Purpose, Reason, Role

pytestmark = pytest.mark.anyio
ON = date(2026, 11, 29)
WYOMING = """
[[law]]
place = "US-WY"
from = 2026-01-01
citation = "Wyo. Stat. 40-32-101 et seq."
confidence = "P"
row = [
  { subjects = ["sale", "sharing", "targeted_ads", "profiling"], rule = "opt_out" },
  { subjects = ["sensitive", "precise_geo"], rule = "opt_in" },
]
"""


def row(place, subject, rule, more=""):
    return (
        f'[[row]]\nplace = "{place}"\nsubjects = ["{subject}"]\nrule = "{rule}"\nfrom = 2026-01-01\n'
        f'citation = "of my own"\nconfidence = "P"\n{more}'
    )


@pytest.fixture
def of_own(tmp_path):
    """Settings with a table of this text."""

    def made(*texts):
        paths = [tmp_path / f"mine{number or ''}.toml" for number in range(len(texts))]
        for path, text in zip(paths, texts, strict=True):
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        file = tmp_path / "config.toml"
        file.write_text(f"[law]\ntables = {json.dumps([str(path) for path in paths])}\n")
        return inside.settings(file)

    return made


def held(settings, place, subject, age=None):
    return law_table(settings).strictest(frozenset({place} - {""}), subject, ON, age)


def test_a_new_states_law_holds_from_a_file_beside_the_shipped_ones(of_own):
    settings = of_own(WYOMING, row("BR", "sale", "banned"))
    assert (held(settings, "US-WY", "sensitive").rule, str(held(settings, "US-WY", "sale"))) == (
        LawRule.OPT_IN,
        "US-WY Wyo. Stat. 40-32-101 et seq.",
    )
    assert held(settings, "BR", "sale").rule is LawRule.BANNED
    assert held(inside.settings(), "US-WY", "sale").citation == "no law on file"
    assert held(settings, "US-CA", "sale") == held(inside.settings(), "US-CA", "sale")
    assert [*told_of_own(settings)] == []


async def test_a_check_is_answered_by_a_table_of_ones_own(tmp_path, of_own):
    settings = of_own(row("US-WY", "sale", "banned"))
    told = {}
    for name, chosen in (("own", settings), ("shipped", inside.settings())):
        async with inside.application(tmp_path / name, chosen) as app, inside.client(app, **inside.DEV) as client:
            asked = {"identifiers": [named("account", "a")], "recipient": "teemo", "place": "US-WY"}
            told[name] = (await client.post("/v1/check", json=asked)).json()
    assert (told["own"]["reason"], told["shipped"]["reason"]) == ("banned", "coarsened")
    assert "of my own" in json.dumps(told["own"])


LISTED = (
    "demographics",
    "keywords",
    "device_id",
    "email_hash",
    "ad_id",
    "cpni",
    "coarse_geo",
    "ip",
    "contact",
    "account",
)


def of_data(settings, data, place="US-NY", purpose=Purpose.MARKETING_EMAIL, role=Role.THIRD_PARTY, **more):
    """What is answered of one class for a purpose that needs no yes in a state without a law."""
    asking = Question(buyer(role), (purpose,), (DataClass(data),), frozenset({place}), **more)
    found = decide(asking, Office(law_table(settings), ON))
    return found.data[DataClass(data)], found.reason, found.rule


@pytest.mark.parametrize("data", LISTED)
def test_what_a_table_bans_of_data_goes_to_nobody_whatever_the_purpose_and_the_yes(of_own, data):
    settings = of_own(row("US-NY", data, "banned"))
    denied = (Answer.DENY, Reason.BANNED, "US-NY of my own")
    yes = {"standings": (Standing(own=IN_FOR_ALL),)}
    for purpose in (Purpose.SALE, Purpose.MARKETING_EMAIL, Purpose.TRANSFER):
        role = Role.SUCCESSOR if purpose is Purpose.TRANSFER else Role.THIRD_PARTY
        assert of_data(settings, data, purpose=purpose, role=role, **yes) == denied
        assert of_data(settings, data, place="US-WY", purpose=purpose, role=role, **yes)[0] is Answer.ALLOW
        assert of_data(inside.settings(), data, purpose=purpose, role=role, **yes)[0] is Answer.ALLOW
    assert of_data(settings, data, place="unknown", purpose=Purpose.SALE, **yes) == denied
    assert of_data(settings, data, purpose=Purpose.SERVICE, role=Role.SERVICE_PROVIDER)[0] is Answer.ALLOW
    assert [*told_of_own(settings)] == []


@pytest.mark.parametrize("data", sorted({*LISTED} - {"cpni"}))
def test_of_data_for_which_a_table_wants_a_yes_the_yes_to_the_purpose_is_one(of_own, data):
    settings = of_own(row("US-NY", data, "opt_in"))
    assert of_data(settings, data) == (Answer.DENY, Reason.OPT_IN_REQUIRED, "US-NY of my own")
    assert of_data(inside.settings(), data)[0] is Answer.ALLOW
    assert of_data(settings, data, place="US-WY")[0] is Answer.ALLOW
    assert of_data(settings, data, standings=(Standing(own=IN_FOR_ALL),))[0] is Answer.ALLOW
    assert [*told_of_own(settings)] == []


@pytest.mark.parametrize(
    ("banned", "asked", "registered"),
    [
        ("coarse_geo", DataClass.PRECISE_GEO, ("coarse_geo",)),
        ("email_hash", DataClass.CONTACT, ("email_hash", "phone_hash")),
        ("contact", DataClass.CONTACT, ("email_hash", "phone_hash")),
        ("email_hash", DataClass.CONTACT, ("contact",)),
    ],
)  # fmt: skip
def test_what_a_table_bans_leaves_in_no_other_form(of_own, banned, asked, registered):
    asking = Question(buyer(data=tuple(map(DataClass, registered))), (Purpose.SALE,), (asked,), frozenset({"US-NY"}))
    answers = [
        decide(asking, Office(law_table(settings), ON)).data[asked]
        for settings in (inside.settings(), of_own(row("US-NY", banned, "banned")))
    ]
    assert answers[0] is not Answer.DENY
    assert answers[1] is Answer.DENY


@pytest.mark.parametrize(
    ("subject", "data", "role", "more"),
    [
        ("call_location", DataClass.COARSE_GEO, Role.THIRD_PARTY, {"during_call": True}),
        ("cpni_disclosure", DataClass.CPNI, Role.THIRD_PARTY, {}),
        ("cpni_marketing", DataClass.CPNI, Role.SERVICE_PROVIDER, {}),
    ],
)
def test_a_ban_of_what_the_data_is_holds_whatever_it_is_asked_for(of_own, subject, data, role, more):
    settings = of_own(row("US-NY", subject, "banned"))
    asked = {"role": role, "standings": (Standing(own=IN_FOR_ALL),), **more}
    assert of_data(settings, data, **asked) == (Answer.DENY, Reason.BANNED, "US-NY of my own")
    assert of_data(inside.settings(), data, **asked)[0] is Answer.ALLOW
    if role is Role.THIRD_PARTY:
        act = (Grant("buyer", Purpose.SERVICE, None, 3, GrantKind.DIRECTED),)
        asked |= {"role": Role.CONSUMER_DIRECTED, "grants": act, "purpose": Purpose.SERVICE}
        assert of_data(settings, data, **asked)[1] is Reason.BANNED
        assert of_data(inside.settings(), data, **asked)[0] is Answer.ALLOW


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (row("US-WY", "sale", "opt_uot"), 1, "'opt_uot' is no rule"),
        (row("US-WY", "sale", "opt_out") + row("US-XX", "sale", "opt_out"), 8, "wants ISO 3166 places"),
        (WYOMING.replace("opt_in", "optin"), 7, "'optin' is no rule"),
        (WYOMING + '[[law]]\nplace = "US-WY"\n', 2, "[[law]] 2 has no row"),
        ("# nothing yet\n", 0, "there is no row in it"),
        (WYOMING + "x = 1\n", 7, "'x' is no key"),
        (WYOMING.replace("from = 2026-01-01\n", ""), 6, "wants a first day"),
        ('[[rows]]\nplace = "US-WY"\n', 0, "'rows' is no key"),
        (row("unknown", "sale", "allowed"), 1, "wants ISO 3166 places"),
        (row("ZZ", "sale", "allowed"), 1, "wants ISO 3166 places"),
        (row("ZQ", "sale", "allowed"), 1, "no country is ZQ; write"),
        (row("UK-ENG", "sale", "banned"), 1, "no country is UK-ENG (the United Kingdom is GB)"),
        (WYOMING + row("US-WY", "service", "banned"), 11, "'service' is no subject"),
        (row("US-WY", "transfer", "banned"), 1, "'transfer' is no subject"),
        (row("US-WY", "legal_notice", "opt_in"), 1, "'legal_notice' is no subject"),
        (row("US-WY", "aggregate", "banned"), 1, "'aggregate' is no subject"),
        (row("US-WY", "ad_id", "opt_out"), 1, "opt_out of ad_id adds nothing"),
        (row("US-WY", "demographics", "limit"), 1, "limit of demographics adds nothing"),
        (row("BR", "ip", "allowed"), 1, "allowed of ip adds nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_refuses_the_start_with_file_and_line(tmp_path, of_own, text, line, why):
    with pytest.raises(SettingsRefused) as refused:
        law_table(of_own(text))
    where, _, rest = str(refused.value).partition(": ")
    assert where == f"{tmp_path}/mine.toml" + (f":{line}" if line else "")
    assert why in rest
    assert "; write " in rest


@pytest.mark.parametrize("text", ["[[row]\n", b"\xff", "a = " + "[" * 2000], ids=["no TOML", "no text", "brackets"])
def test_a_file_that_is_no_table_refuses_by_the_option_that_names_it(tmp_path, of_own, text):
    with pytest.raises(SettingsRefused, match=r"config\.toml:2: \[law\] tables.*no TOML.*; write "):
        law_table(of_own(text))


def test_a_file_that_is_not_there_refuses():
    with pytest.raises(SettingsRefused, match="GATEWAY_LAW__TABLES: there is no such file"):
        law_table(inside.settings(law__tables="/nowhere/my.toml"))


def test_a_row_that_is_looser_than_a_shipped_one_says_nothing_and_that_is_told(of_own):
    settings = of_own(row("US-CT", "precise_geo", "allowed") + row("DE", "sale", "opt_out"))
    for place, subject in (("US-CT", "precise_geo"), ("DE", "sale")):
        assert held(settings, place, subject) == held(inside.settings(), place, subject)
    told = [*told_of_own(settings)]
    assert len(told) == 2
    assert (
        ":1: [row] [1]: US-CT precise_geo allowed says nothing: US-CT Conn. Gen. Stat. 42-518(a)(5), 42-520 is stricter"
        in told[0]
    )
    assert ":8: [row] [2]: DE sale opt_out says nothing" in told[1]


@pytest.mark.parametrize(
    ("place", "subject", "rule", "was"),
    [
        ("BR", "sale", "opt_out", "opt_in"),
        ("US-WY", "sale", "allowed", "opt_out"),
        ("US", "sale", "allowed", "opt_out"),
    ],
)
def test_a_row_that_opens_what_no_shipped_row_closed_is_told(of_own, place, subject, rule, was):
    (told,) = told_of_own(of_own(row(place, subject, rule)))
    assert f"{place} {subject} {rule} opens what was {was} without it" in told


def test_a_row_that_opens_once_another_of_ones_own_has_ended_is_told(of_own):
    """Long after the last day on which the shipped law changes."""
    settings = of_own(row("US-WY", "sale", "opt_in", "until = 2039-12-31\n") + row("US-WY", "sale", "allowed"))
    (told,) = told_of_own(settings)
    assert "US-WY sale allowed opens what was opt_out without it" in told


def test_a_row_that_says_nothing_beside_another_of_ones_own_is_told(of_own):
    (told,) = told_of_own(of_own(row("US-WY", "sale", "banned") + row("US-WY", "sale", "opt_in")))
    assert ":8: [row] [2]: US-WY sale opt_in says nothing: US-WY of my own is stricter, banned" in told


@pytest.mark.parametrize("started", ["mounted", "replica"])
async def test_whoever_serves_says_at_the_start_what_a_table_opens(tmp_path, of_own, started):
    settings = of_own(row("BR", "sale", "opt_out"))
    with structlog.testing.capture_logs() as lines:
        if started == "replica":
            enrolled = Enrolment("r", "0.made-up", (bytes(32),), bytes(32))
            await asyncio.to_thread(Replica, "http://127.0.0.1:9", tmp_path / "copy", enrolled, settings)
        else:
            async with inside.application(tmp_path / "data", settings):
                pass
    (told,) = [line["why"] for line in lines if line["event"] == "a law table of your own"]
    assert "BR sale opt_out opens what was opt_in without it" in told


def test_a_row_for_the_young_is_beside_what_everybody_has(of_own):
    """A default goes where a row is for everybody; one for children alone takes nothing from adults."""
    settings = of_own(row("BR", "sale", "banned", 'ages = ["under_13"]\n'))
    assert [held(settings, "BR", "sale", age).rule for age in ("under_13", None)] == [LawRule.BANNED, LawRule.OPT_IN]


@pytest.mark.parametrize("place", ["", "US", "ZZ"])
def test_no_table_makes_an_unknown_place_looser(of_own, place):
    loose = of_own("".join(row(each, "sale", "allowed") for each in ("US", "US-WY", "BR", "JP")))
    assert held(loose, place, "sale").strictness >= held(inside.settings(), place, "sale").strictness


async def test_an_opt_out_holds_where_a_table_of_ones_own_allows_everything(tmp_path, of_own):
    """R13: an opt-out or a signal denies everywhere, law or none."""
    settings = of_own("".join(row("BR", subject, "allowed") for subject in ("sale", "sharing", "targeted_ads")))
    asked = {"identifiers": [named("account", "a")], "recipient": "teemo", "place": "BR"}
    async with inside.application(tmp_path / "data", settings) as app, inside.client(app, **inside.DEV) as client:
        control = (await client.post("/v1/check", json=asked)).json()
        assert control["reason"] == "coarsened", control
        heard = await client.post("/v1/check", json={**asked, "signals": {"gpc": "1"}})
        assert not heard.json()["allowed"]
        chosen = {"identifiers": asked["identifiers"], "choice": "opt_out"}
        assert (await client.post("/v1/choices", json=chosen)).status_code == 201
        assert (await client.post("/v1/check", json=asked)).json()["reason"] == "opted_out"


def test_it_is_logged_by_its_hash_like_the_shipped_ones_and_its_path_is_not(tmp_path, of_own):
    found = in_force(of_own(WYOMING))
    law = [item for item in found if item.kind == "law"]
    assert [item.version for item in law] == [*(each.name for each in shipped_tables()), "mine"]
    assert law[-1].body == WYOMING.encode()
    assert not any(str(tmp_path).encode() in item.body for item in found)


def test_what_is_logged_is_what_decides_though_the_file_changes_meanwhile(tmp_path, of_own):
    settings = of_own(WYOMING)
    law_table(settings)
    (tmp_path / "mine.toml").write_text(row("US-WY", "sale", "banned"))
    assert [item.body for item in in_force(settings) if item.version == "mine"] == [WYOMING.encode()]


def test_a_table_of_ones_own_is_looked_at_beside_a_shipped_one_of_its_name(tmp_path):
    mine, other = tmp_path / "us_signal_states.toml", tmp_path / "other.toml"
    mine.write_text(row("US-CT", "precise_geo", "banned") + row("US-WY", "sale", "opt_in"))
    other.write_text(row("US-WY", "sale", "opt_out"))
    file = tmp_path / "config.toml"
    file.write_text(f"[law]\ntables = {json.dumps([str(mine), str(other)])}\n")
    checked = run("law", "check", "--config", file).stdout
    assert "us_other_states.toml" not in checked
    assert (
        f"{other} row 1 (US-WY sale): can never matter from 2026-01-01: {mine} row 2 is opt_in for the same" in checked
    )
    assert not re.search(r"^us_signal_states\.toml.*never matter", checked, re.MULTILINE), "it tightens, and may"
    assert "US-CT sale" not in checked, "the shipped one is there"
    other.write_text(row("US-CT", "precise_geo", "opt_in"))
    checked = run("law", "check", "--config", file).stdout
    assert f"{other} row 1 (US-CT precise_geo): can never matter" in checked
    draft = tmp_path / "draft" / "other.toml"
    draft.parent.mkdir()
    draft.write_text(row("US-CT", "precise_geo", "no such rule"))
    checked = run("law", "check", "--config", file, draft).stdout
    assert f"{other} row 1: 'no such rule' is no rule" in checked, "a file stands in for the one of its name"


def run(*words):
    return CliRunner().invoke(group, [*map(str, words)], catch_exceptions=False)


def test_the_command_line_shows_what_a_table_says_of_data(tmp_path, of_own):
    of_own(row("US-NY", "demographics", "banned") + row("US-WY", "ad_id", "opt_in").replace("2026-01", "2031-01"))
    config = ["--config", tmp_path / "config.toml", "--on", "2026-11-29", "--json"]
    shown = {place: json.loads(run("law", "show", "--place", place, *config).stdout) for place in ("US-NY", "US-WY")}
    told = {place: {each["subject"]: each["rule"] for each in found["rows"]} for place, found in shown.items()}
    assert told["US-NY"]["demographics"] == "banned"
    assert "demographics" not in told["US-WY"]
    assert "ad_id" not in told["US-WY"]
    assert {each["subject"]: each["rule"] for each in shown["US-WY"]["changes"]}["ad_id"] == "opt_in"
    unknown = json.loads(run("law", "show", "--place", "ZZ", *config).stdout)
    assert {each["subject"]: each["rule"] for each in unknown["rows"]}["demographics"] == "banned"


def test_the_command_line_shows_them_and_tells_what_they_open(tmp_path, of_own):
    of_own(WYOMING + row("BR", "sale", "opt_out"))
    config = ["--config", tmp_path / "config.toml"]
    shown = json.loads(run("law", "show", "--place", "US-WY", "--on", "2026-11-29", "--json", *config).stdout)
    assert shown["own_tables"] == ["mine"]
    assert {each["citation"] for each in shown["rows"] if each["subject"] == "sale"} == {"Wyo. Stat. 40-32-101 et seq."}
    assert "with tables of your own: mine\n" in run("law", "show", "--place", "US-WY", *config).stdout
    assert "mine.toml row 1 (BR sale): a law for BR without a rule for" in run("law", "check", *config).stdout
    checked = run("config", "check", tmp_path / "config.toml").stdout
    assert "  law: " in checked
    assert "BR sale opt_out opens what was opt_in without it" in checked


def test_every_place_in_which_a_shipped_table_bans_precise_points_has_an_outline():
    banning = law_table(inside.settings()).banning(DataClass.PRECISE_GEO)
    assert banning == {"US-CT", "US-MD", "US-NV", "US-OR", "US-VA", "US-WA"}
    assert banning <= set(BOXES)
    assert places_of(inside.settings()).of("US-NY", {"lat": 47.6, "lon": -122.3}) == {"US-NY", "US-WA"}


def test_a_ban_of_ones_own_counts_by_the_point_as_well(of_own):
    cheyenne = {"lat": 41.14, "lon": -104.82}
    assert places_of(of_own(row("US-WY", "precise_geo", "banned"))).of("US-NY", cheyenne) == {"US-NY", "US-WY"}
    assert places_of(of_own(row("US-WY", "precise_geo", "opt_in"))).of("US-NY", cheyenne) == {"US-NY"}
    assert places_of(of_own(row("US-WY", "coarse_geo", "banned"))).of("US-NY", cheyenne) == {"US-NY", "US-WY"}


def test_a_ban_of_ones_own_in_a_place_without_an_outline_refuses_the_start(tmp_path, of_own):
    settings = of_own(row("CA-QC", "precise_geo", "banned"))
    with pytest.raises(SettingsRefused, match=r"\[places\] boundaries: the law bans precise points in CA-QC, of which"):
        places_of(settings)
    with pytest.raises(SettingsRefused, match="CA-QC"):
        run("config", "check", tmp_path / "config.toml")
    ring = [[-79.8, 45.0], [-57.1, 45.0], [-57.1, 62.6], [-79.8, 62.6]]
    feature = {"properties": {"place": "CA-QC"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (tmp_path / "quebec.json").write_text(json.dumps({"features": [feature]}))
    with (tmp_path / "config.toml").open("a") as file:
        file.write(f'[places]\nboundaries = "{tmp_path / "quebec.json"}"\n')
    drawn = places_of(inside.settings(tmp_path / "config.toml"))
    assert drawn.of("US-NY", {"lat": 46.81, "lon": -71.21}) == {"US-NY", "CA-QC"}
    assert drawn.of("US-NY", {"lat": 36.17, "lon": -115.14}) == {"US-NY", "US-NV"}, "whom a file without it cannot open"
