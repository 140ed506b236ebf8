import json
import re
import tomllib
from datetime import date
from pathlib import Path

import msgspec
import pytest
from support.example import settings as over_example
from support.inside import settings

from gateway.app.composition import open_house
from gateway.delivery.guard import is_loopback
from gateway.settings import load as settings_of
from gateway.settings.load import SettingsRefused, load_settings
from gateway.settings.option_tree import OptionSource
from gateway.settings.unsaid import unsaid
from gateway.terms import SIGNAL_PURPOSES, DataClass, Purpose, Role

CONFIG = Path(__file__).parent.parent.parent / "config.toml"


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return path

    return write


# What config.toml says of its operator; of nobody else anything of this is known.
FACTS = {
    *(("site", name) for name in ("name", "contact", "policy_url", "notices", "old_title", "footer", "has", "account", "phone", "app")), ("gpc", "last_update"), ("apps", "sdks"),
    ("texts", "prices"), ("phone", "country"), ("age", "floor"), ("notice", "told_everyone"), ("cpni", "module"), ("shadow", "until"),
    ("recipients", ""),
}  # fmt: skip


def said(loaded):
    """Every option by section and name; a section whose names are the operator's is one."""
    whole = msgspec.to_builtins(loaded)
    own = {"recipients", "witnesses", "agents", "consent_tools", "sites"}
    return {
        (section, name): value
        for section, options in whole.items()
        for name, value in ({"": options} if section in own else options).items()
    }


def test_the_example_is_the_repositorys_config_file_and_what_tests_are_made_of():
    assert settings_of.example() == CONFIG.read_text()
    assert load_settings(CONFIG, {}) == settings(listen__level_answers="true")


def test_no_fact_about_an_operator_has_a_default_and_every_other_option_has_the_examples():
    nobody, example = said(load_settings(None, {})), said(load_settings(CONFIG, {}))
    assert {name for name, value in example.items() if nobody[name] != value} == FACTS


def test_whoever_says_nothing_has_no_recipient_no_link_and_the_strictest_of_every_rule():
    mine = load_settings(None, {})
    assert (mine.recipients, mine.registry(), mine.registry(dev=True), mine.apps.sdks) == ({}, {}, {}, ())
    assert (mine.site.policy_url, mine.site.notices, mine.gpc.last_update) == ("", {}, None)
    assert (mine.notice.told_everyone, mine.age.floor, mine.cpni.module) == (date.min, 18, False)


def test_a_shop_that_takes_all_recipients_out_has_none(file):
    rest = CONFIG.read_text().partition("[recipients.")[0].replace('sdks = ["teemo", "flurry"]', "sdks = []")
    assert load_settings(file(rest), {}).recipients == {}


@pytest.mark.parametrize(("text", "told"), [
    ('[recipients.teemo]\ncontract = "C-1"',
     r":1: \[recipients\.teemo\] role: is missing, and has no default; write role = .*, purposes = a list, .*, data = a list, "),
    ('[apps]\nsdks = ["teemo"]', r":2: \[apps\] sdks\[1\]: is no configured recipient; write \[recipients\.NAME\] too"),
])  # fmt: skip
def test_a_file_of_before_that_leans_on_the_examples_recipients_is_refused_with_what_to_write(file, text, told):
    with pytest.raises(SettingsRefused, match=f"mine.toml{told}"):
        load_settings(file(text), {})
    assert over_example(file(text), {})


def test_a_file_of_before_by_which_no_choice_waits_for_a_copy_is_refused(file):
    with pytest.raises(
        SettingsRefused, match=r":2: \[replicas\] leases: there is no such option; write one of term_ms, "
    ):
        load_settings(file("[replicas]\nleases = false"), {})


def test_the_file_that_a_variable_names_is_read_where_no_other_is_named(file):
    there = file("[age]\nfloor = 13")
    assert load_settings(None, {"GATEWAY_CONFIG": str(there)}).age.floor == 13
    assert load_settings(CONFIG, {"GATEWAY_CONFIG": str(there)}).age.floor == 16
    with pytest.raises(SettingsRefused, match=r"nowhere\.toml: cannot be read"):
        load_settings(None, {"GATEWAY_CONFIG": "/nowhere.toml"})


def test_every_option_says_what_it_is_in_a_comment():
    """On its line, or in a comment that its section begins with."""
    section, explained, silent = "", False, []
    for line in CONFIG.read_text().partition("[recipients.")[0].splitlines():
        if line.startswith("["):
            section, explained = line, False
        elif section and line.startswith("#"):
            explained = True
        elif re.match(r"\w+ = ", line) and not explained and " # " not in line:
            silent.append((section, line))
    assert section
    assert silent == []


def test_every_option_of_a_recipient_is_explained_above_them_or_where_it_first_matters():
    head, _, tables = CONFIG.read_text().partition("[recipients.")
    above = head.strip().rpartition("\n\n")[2]
    lines = [line for line in tables.splitlines() if re.match(r"\w+ = ", line)]
    keys = {line.partition(" =")[0] for line in lines}
    remarked = {line.partition(" =")[0] for line in lines if " # " in line}
    told = {key for key in keys if re.search(rf"\b{key}\b", above)} | remarked
    assert keys - told <= {"purposes"}  # a list of purposes says itself
    assert {"role", "contract", "mode", "endpoint", "hosts", "fields"} <= told


def test_every_option_of_the_file_is_one_that_the_program_knows_and_the_other_way_round():
    shipped = tomllib.loads(CONFIG.read_text())
    sections = shipped.keys() - {
        "recipients",
        "agents",
        "consent_tools",
        "witnesses",
        "sites",
        "systems",
    }  # whose keys are the operator's own
    known = {section: getattr(settings(), section).__struct_fields__ for section in sections}
    assert {section: tuple(shipped[section]) for section in known} == known
    assert set(shipped) == set(settings().__struct_fields__)


def test_without_a_contract_nothing_is_configured_to_go():
    assert all(item.contract == "" for item in settings().recipients.values())
    assert not any(recipient.contracted(date(2026, 11, 24)) for recipient in settings().registry().values())
    assert all(recipient.contracted(date(2026, 11, 24)) for recipient in settings().registry(dev=True).values())


def test_third_parties_get_no_unlinked_rows_unless_the_operator_says_so(file):
    registry = settings().registry()
    assert {name: one.unlinked for name, one in registry.items()} == {
        "advertisers": "deny",
        "flurry": "deny",
        "teemo": "deny",
        "matching": "deny",
        "payments": "allow",
        "legal": "allow",
    }
    assert over_example(file('[recipients.teemo]\nunlinked = "allow"'), {}).registry()["teemo"].unlinked == "allow"


def test_in_development_a_recipient_without_an_endpoint_gets_its_rows_back(file):
    assert settings().registry()["teemo"].mode == "forward"
    assert settings().registry(dev=True)["teemo"].mode == "return"
    sends = over_example(file('[recipients.teemo]\nendpoint = "http://127.0.0.1:9/x"'), {})
    assert sends.registry(dev=True)["teemo"].mode == "forward"


def test_the_operators_file_changes_what_it_names_and_nothing_else(file):
    mine, nobody = load_settings(file('[site]\nname = "Example"\n[age]\nfloor = 13\n'), {}), load_settings(None, {})
    assert (mine.site.name, mine.age.floor) == ("Example", 13)
    changed = {name for name, value in said(mine).items() if said(nobody)[name] != value}
    assert changed == {("site", "name"), ("age", "floor")}


def test_a_recipient_of_the_operators_own_is_added(file):
    text = '[recipients.lab]\nrole = "service_provider"\npurposes = ["security"]\ndata = ["ip"]\nhosts = ["lab.example.com"]'
    mine = over_example(file(text), {})
    assert mine.recipients["lab"].role is Role.SERVICE_PROVIDER
    assert mine.recipients["lab"].purposes == (Purpose.SECURITY,)
    assert mine.provider_hosts() == ("lab.example.com",)


def test_an_operator_vouches_for_what_nobody_else_can_and_development_fills_it_in(file):
    added = file('[recipients.newcomer]\nrole = "third_party"\npurposes = ["sale"]\ndata = ["ad_id"]')
    said = over_example(added, {}).registry()["newcomer"]
    assert (said.contract, said.transfer_basis, said.announced) == ("", "", None)
    assert said.announced_on(Purpose.SALE, DataClass.AD_ID) is None
    tried = over_example(added, {}).registry(dev=True)["newcomer"]
    assert tried.contract
    assert tried.transfer_basis
    assert tried.announced_on(Purpose.SALE, DataClass.AD_ID) == date.min


def test_a_purpose_that_a_later_notice_added_is_announced_on_that_day(file):
    added = file(
        '[recipients.newcomer]\nrole = "third_party"\npurposes = ["sale", "sharing"]\ndata = ["ad_id", "ip"]\n'
        "announced = 2024-06-25\nannounced_later = { sharing = 2026-12-01, ip = 2027-01-01 }"
    )
    newcomer = over_example(added, {}).registry()["newcomer"]
    assert newcomer.announced_on(Purpose.SALE, DataClass.AD_ID) == date(2024, 6, 25)
    assert newcomer.announced_on(Purpose.SHARING, DataClass.AD_ID) == date(2026, 12, 1)
    assert newcomer.announced_on(Purpose.SHARING, DataClass.IP) == date(2027, 1, 1)


def test_an_affiliate_of_the_same_brand_is_the_operator_and_any_other_is_a_third_party(file):
    text = '[recipients.ooma]\nrole = "affiliate"\npurposes = ["service"]\ndata = ["contact"]\n'
    assert over_example(file(text), {}).registry()["ooma"].third
    assert not over_example(file(text + "same_brand = true"), {}).registry()["ooma"].third


def test_a_phones_limit_stays_on_the_phone_and_industry_opt_outs_leave_the_sale_unless_the_operator_says_so(file):
    """R25, R26."""
    shipped = settings()
    assert not shipped.signals.device_limit_travels
    assert set(shipped.ad_choices.purposes) == {Purpose.TARGETED_ADS, Purpose.SHARING}
    assert (shipped.ad_choices.participant, shipped.consent_tools) == (0, {})
    wider = (
        '[ad_choices]\npurposes = ["sale", "sharing", "targeted_ads"]\n[consent_tools]\nklaro = { adtracker = "ads" }'
    )
    mine = over_example(file(wider), {})
    assert Purpose.SALE in mine.ad_choices.purposes
    assert mine.consent_tools == {"klaro": {"adtracker": "ads"}}


def test_what_the_operator_decides_about_hearing_is_how_signals_are_heard(folder, file):
    mine = over_example(
        file(
            "[signals]\ndevice_limit_travels = true\n[consent_tools]\n"
            'klaro = { adtracker = "ads" }\n[ad_choices]\nparticipant = 7\n'
            'purposes = ["sale", "sharing", "targeted_ads"]'
        ),
        {},
    )
    with open_house(folder, mine, dev=True) as house:
        hearing = house.consent.checks.hearing
    assert (hearing.device_limit_travels, hearing.participant) == (True, 7)
    assert hearing.ad_choice_purposes == set(SIGNAL_PURPOSES)
    assert hearing.categories["klaro"]["adtracker"] == "ads"
    assert [*hearing.industry.rules("optout")]


def test_a_consent_tool_that_nobody_knows_refuses_to_start_with_the_fix(folder, file):
    mine = over_example(file('[consent_tools]\nklara = { adtracker = "ads" }'), {})
    with pytest.raises(
        SettingsRefused, match=r"\[consent_tools\.klara\]: there is no such consent tool; write one of .*klaro"
    ):
        open_house(folder, mine, dev=True).__enter__()


def test_pages_may_talk_to_service_providers_and_never_to_advertisers(file):
    text = '[recipients.advertisers]\nhosts = ["ads.example.com"]\n[recipients.payments]\nhosts = ["b.example", "a.example"]'
    assert over_example(file(text), {}).provider_hosts() == ("a.example", "b.example")


@pytest.mark.parametrize(("text", "told"), [
    ("[age]\nflor = 16", r":2: \[age\] flor: there is no such option; write floor"),
    ("[agee]\nfloor = 16", r":1: \[agee\]: there is no such option; write age"),
    ("top = 1", r":1: \[top\]: there is no such option; write "),
    ("[recipients.teemo]\nmodus = 'x'", r"\[recipients\.teemo\] modus: there is no such option; write mode"),
    ("[age]\nfloor = 19", r"\[age\] floor: "),
    ("[age]\nfloor = 'young'", r"\[age\] floor: "),
    ("[listen]\npublic = '8080'", r"\[listen\] public: "),
    ("[phone]\ncountry = 'usa'", r"\[phone\] country: "),
    ("[browser]\nremember_gpc = 'yes'", r"\[browser\] remember_gpc: "),
    ("[share]\nsend_window_ms = 5000", r"\[share\] send_window_ms: "),
    ("[recipients.teemo]\npurposes = ['sell']", r"\[recipients\.teemo\] purposes\[1\]: "),
    ("[recipients.x]\nrole = 'third_party'", r":1: \[recipients\.x\] purposes: is missing, and has no default; write purposes = a list"),
    ("[gpc]\nlast_update = 'soon'", r"\[gpc\] last_update: "),
    ("[signals]\ndevice_limit_travels = 'no'", r"\[signals\] device_limit_travels: "),
    ("[consent_tools.klaro]\nadtracker = 'adverts'", r"\[consent_tools\.klaro\] adtracker: "),
    ("[ad_choices]\nparticipant = 4096", r"\[ad_choices\] participant: "),
    ("[ad_choices]\npurposes = ['targeted_ads']", r"\[ad_choices\] purposes: targeted_ads and sharing, and sale or not"),
    ("[ad_choices]\npurposes = ['sharing', 'targeted_ads', 'profiling']", r"\[ad_choices\] purposes: "),
    ("[ad_choices]\ncookie = 'choice'", r"\[ad_choices\] cookie: "),
    ("[ad_choices]\nredirect_hosts = ['https://www.example.com']", r"\[ad_choices\] redirect_hosts\[1\]: "),
    ("[recipients.teemo]\ntransfer_basis = 'privacy_shield'", r"\[recipients\.teemo\] transfer_basis: "),
    ("[recipients.teemo]\nfields = { consent = 'ad_id' }", r"\[recipients\.teemo\] fields\.consent: is a member of every row"),
    ("[recipients.advertisers]\nfields = { 'gps.speed' = 'demographics' }", r"\[recipients\.advertisers\] fields\.gps\.speed: is part"),
    ("[recipients.teemo]\nvalid_minutes = 0", r"valid_minutes"),
    ("[recipients.teemo]\nmax_age_days = -1", r"max_age_days"),
    ("[recipients.teemo]\nsame_brand = true", r"\[recipients\.teemo\] same_brand: only an affiliate"),
    ("[recipients.teemo.announced_later]\nselling = 2026-12-01", r"\[recipients\.teemo\] announced_later\.selling: "),
    ("[recipients.teemo]\ntcf_vendor = 70000", r"\[recipients\.teemo\] tcf_vendor: "),
    ("[notice]\ngaps = [{ from = 2026-03-02, until = 2026-03-01 }]", r"\[notice\] gaps\[1\]: until, 2026-03-01, is before from, 2026-03-02"),
    ("[notice]\ngaps = [{ from = 2026-03-02, until = 2026-03-03, surface = 'tv' }]", r"\[notice\] gaps\[1\]\.surface: "),
    ("[aggregate]\nleast = 0", r"\[aggregate\] least: "),
    ("[mail]\nserver = 'mail.example.com'", r"\[mail\] from_address: "),
    ("[mail]\nserver = 'x.example'\nfrom_address = 'a@example.com'\nsecurity = 'none'", r"\[mail\] security: "),
    ("[mail]\nfrom_address = 'Privacy <a@example.com>'", r"\[mail\] from_address: "),
    ("[texts]\nendpoint = 'http://texts.example.com'", r"\[texts\] endpoint: .* neither https"),
    ("[recipients.texts]\nrole = 'third_party'\npurposes = ['sale']\ndata = ['ad_id']", r"\[recipients\.texts\]: .* taken"),
    ("[codes]\nan_hour = 0", r"\[codes\] an_hour: "),
    ("[age\n", "mine.toml"),
], ids=str)  # fmt: skip
def test_a_slip_in_the_file_refuses_to_start_and_says_where(file, text, told):
    with pytest.raises(SettingsRefused, match=f"(?i)mine.toml.*{told}|{told}"):
        over_example(file(text), {})


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingsRefused, match=r"nowhere\.toml"):
        load_settings(tmp_path / "nowhere.toml", {})


class TestTheEnvironment:
    def test_wins_over_the_file(self, file):
        path = file("[age]\nfloor = 17")
        assert over_example(path, {"GATEWAY_AGE__FLOOR": "18"}).age.floor == 18

    @pytest.mark.parametrize(("variable", "text", "read"), [
        ("GATEWAY_LISTEN__PUBLIC", "0.0.0.0:80", lambda s: s.listen.public == "0.0.0.0:80"),
        ("GATEWAY_SITE__ENFORCE", "true", lambda s: s.site.enforce is True),
        ("GATEWAY_GPC__LAST_UPDATE", "2027-01-02", lambda s: s.gpc.last_update == date(2027, 1, 2)),
        ("GATEWAY_BROWSER__SITE_IDS", "uid, sid,", lambda s: s.browser.site_ids == ("uid", "sid")),
        ("GATEWAY_IDENTIFIERS__DECLARED", "", lambda s: s.identifiers.declared == ()),
        ("GATEWAY_RECIPIENTS__TEEMO__CONTRACT", "c-1", lambda s: s.recipients["teemo"].contract == "c-1"),
    ], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
    def test_sets_any_option(self, variable, text, read):
        assert read(over_example(None, {variable: text}))
        assert not read(over_example(None, {})) or text == ""

    @pytest.mark.parametrize("variable", ["GATEWAY_AGE__FLOR", "GATEWAY_NOPE__X", "GATEWAY_RECIPIENTS__TEEMO__MODUS"])
    def test_a_variable_that_sets_nothing_refuses_to_start(self, variable):
        with pytest.raises(SettingsRefused, match=f"{variable}: there is no such option; write "):
            over_example(None, {variable: "1"})

    def test_a_variable_below_a_value_is_no_section(self):
        with pytest.raises(
            SettingsRefused, match=r"GATEWAY_AGE__FLOOR__DEEP: (floor is no section|a table does not belong here)"
        ):
            over_example(None, {"GATEWAY_AGE__FLOOR__DEEP": "1"})

    def test_a_value_of_the_wrong_type_refuses_to_start(self):
        with pytest.raises(
            SettingsRefused, match="GATEWAY_AGE__FLOOR: that text does not fit; write a whole number from 0 to 18"
        ):
            over_example(None, {"GATEWAY_AGE__FLOOR": "young"})

    @pytest.mark.parametrize(("variable", "value"), [
        ("GATEWAY_CONSENT_TOOLS__ONETRUST__C0003", "ads"), ("GATEWAY_CONSENT_TOOLS__ONETRUST__c0003", "ads"),
        ("GATEWAY_RECIPIENTS__TEEMO__FIELDS__AREA", "precise_geo"),
        ("GATEWAY_RECIPIENTS__TEEMO__FIELDS__AREA__CLASS", "precise_geo"),
    ])  # fmt: skip
    def test_names_no_consent_tools_group_and_no_field_of_a_row_told_apart_by_its_capitals(self, file, variable, value):
        """A lowercased `C0003` would be a group that no cookie has: whoever refused it would go unheard."""
        mine = file('[consent_tools]\nonetrust = { C0002 = "ads" }\n[recipients.teemo.fields]\nArea = "coarse_geo"')
        assert over_example(mine, {}).consent_tools["onetrust"] == {"C0002": "ads"}
        with pytest.raises(SettingsRefused, match=rf"^{variable}: .*capitals.*; write it in config\.toml$"):
            over_example(mine, {variable: value})

    def test_names_a_group_that_has_no_letters(self):
        named = over_example(None, {"GATEWAY_CONSENT_TOOLS__CONSENTMANAGER__3": "sale"})
        assert named.consent_tools == {"consentmanager": {"3": "sale"}}

    def test_other_programs_variables_are_none_of_ours(self):
        assert over_example(
            None, {"PATH": "x", "GATEWAYS__AGE__FLOOR": "1", "XGATEWAY_AGE__FLOOR": "1"}
        ) == over_example(None, {})


@pytest.mark.parametrize("endpoint", ["http://feed.example.com/x", "ftp://feed.example.com", "feed.example.com/x", "https://",
                                      "http://127.0.0.1.example.com/", "http://[2001:db8::1]/", "http://0.0.0.0/"])  # fmt: skip
def test_nothing_is_sent_in_the_clear_over_a_network(file, endpoint):
    with pytest.raises(SettingsRefused, match=r"\[recipients\.teemo\] endpoint: .* neither https nor http on loopback"):
        over_example(file(f'[recipients.teemo]\nendpoint = "{endpoint}"'), {})


@pytest.mark.parametrize(
    "endpoint", ["https://feed.example.com/x", "http://127.0.0.1:9/", "http://localhost/", "http://[::1]:9/"]
)
def test_https_and_loopback_may_be_sent_to(file, endpoint):
    assert (
        over_example(file(f'[recipients.teemo]\nendpoint = "{endpoint}"'), {}).recipients["teemo"].endpoint == endpoint
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "10.1.2.3"])
def test_rows_go_to_an_address_of_ones_own_once_it_is_written_down_as_the_refusal_says(file, host):
    text = f'[recipients.teemo]\nendpoint = "{"https" if host[:2] == "10" else "http"}://{host}:9/rows"\n'
    with pytest.raises(
        SettingsRefused, match=r"\[recipients\.teemo\] endpoint: rows are sent to .*\[delivery\]"
    ) as refused:
        over_example(file(text), {}).registry()
    networks = str(refused.value).partition("[delivery] ")[2]
    assert over_example(file(f"{text}[delivery]\n{networks}\n"), {}).registry()["teemo"].mode == "forward"


def test_a_field_of_a_class_that_the_recipient_may_not_have_is_refused(file):
    with pytest.raises(SettingsRefused, match=r"\[recipients\.teemo\] fields\.mail: email_hash is not in data"):
        over_example(file('[recipients.teemo]\nfields = { mail = "email_hash" }'), {})


@pytest.mark.parametrize(("host", "here"), [("localhost", True), ("127.8.9.1", True), ("[::1]", True), ("::1", True),
                                            ("", False), ("10.0.0.1", False), ("localhost.example.com", False)])  # fmt: skip
def test_this_machine_is_told_from_others(host, here):
    assert is_loopback(host) is here


@pytest.mark.parametrize(
    "text",
    ["[texts]\nendpoint = 'http://me:{0}@texts.example.com/{0}?key={0}'",
     "[recipients.teemo]\nendpoint = 'http://me:{0}@t.example.com/{0}'",
     "[recipients.teemo]\ndeliveries = 'http://t.example.com/?key={0}'"],
)  # fmt: skip
def test_a_refusal_does_not_repeat_an_address_that_may_hold_a_key(tmp_path, text):
    file = tmp_path / "config.toml"
    file.write_text(text.format("hunter2"))
    with pytest.raises(SettingsRefused, match="neither https") as refused:
        settings(file)
    assert "hunter2" not in str(refused.value)


# --- what opens something is said, or it is not open ---

NO_CONTRACT = [
    " ",
    "  ",
    "-",
    "—",
    ".",
    "?",
    "TODO",
    "todo",
    "TBD",
    "tbd.",
    "None",
    "none",
    "n/a",
    "NA",
    "null",
    "[pending]",
    "<contract>",
    "XXX",
    "x",
    "changeme",
    "Example",
    "unknown!",
    "true",
    "DRAFT",
    "0",
    "\u200b",
]
NO_HOST = [
    "*",
    "*.example.com",
    "ads.example.com *",
    "ads.example.com; script-src *",
    "ads.example.com\n*",
    "ads.example.com\n",
    "https://ads.example.com",
    "//ads.example.com",
    "ads.example.com/path",
    "ADS.example.com",
    "example",
    "",
    " ",
    "'self'",
    "'unsafe-inline'",
    "data:",
    "https:",
    ".example.com",
    "ads..example.com",
    "-ads.example.com",
    "ads.example.com:",
    "a,b.example.com",
    "ads.example.com\u2028",
]


def recipient(option, value):
    return f"[recipients.lab]\nrole = 'service_provider'\npurposes = ['security']\ndata = ['ip']\n{option} = {json.dumps(value)}"


@pytest.mark.parametrize("contract", NO_CONTRACT)
def test_a_word_that_names_no_contract_opens_to_nobody(file, contract):
    with pytest.raises(
        SettingsRefused,
        match=r":5: \[recipients\.lab\] contract: .*; write its number, or its name with its day, or ..,",
    ):
        over_example(file(recipient("contract", contract)), {})


@pytest.mark.parametrize(
    "contract", ["MSA-7", "2026/113", "Vertrag 12", "Processing addendum of 3 March 2025", "NO-4711"]
)
def test_a_contracts_reference_is_taken_as_it_is_written(file, contract):
    assert over_example(file(recipient("contract", contract)), {}).recipients["lab"].contract == contract


@pytest.mark.parametrize("name", ["TODO TODO", "N / A", "ＴＯＤＯ", "to be determined", "not yet", "xxxx", "00"])
def test_a_placeholder_of_several_words_is_no_name_either(file, name):
    with pytest.raises(SettingsRefused, match=r"company: names nothing"):
        over_example(file(recipient("company", name)), {})


@pytest.mark.parametrize(
    "name", ["AA", "3M", "No Limits Ltd", "Test Valley Ads", "To Be Ltd", "Todo Claro, S.A.", "Draft 7"]
)
def test_a_company_may_have_such_a_word_in_its_name(file, name):
    assert over_example(file(recipient("company", name)), {}).recipients["lab"].company == name


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b'\xef\xbb\xbf[site]\nname = "Example"\nurl = "x"\n')
    with pytest.raises(SettingsRefused, match=r"mine\.toml:3: \[site\] url"):
        over_example(path, {})
    path.write_bytes(b'\xef\xbb\xbf[site]\nname = "Example Phone"\n')
    assert over_example(path, {}).site.name == "Example Phone"


def test_a_witness_without_its_key_is_told_what_a_key_is(file):
    with pytest.raises(SettingsRefused, match=r"write .*NAME\+ID\+KEY"):
        over_example(file('[witnesses.auditor]\nurl = "https://w.example.org"'), {})


@pytest.mark.parametrize("host", NO_HOST)
def test_what_is_no_host_does_not_get_into_the_policy(file, host):
    with pytest.raises(SettingsRefused, match=r"recipients\.lab|recipients\[\.\.\.\]"):
        over_example(file(recipient("hosts", [host])), {})


@pytest.mark.parametrize("names", [("lab", "LAB"), ("Lab", "lab"), ("the-lab", "the_lab"), ("Teemo",)])
def test_two_recipients_that_differ_in_spelling_are_refused(file, names):
    text = "\n".join(
        f"[recipients.{name}]\nrole = 'service_provider'\npurposes = ['security']\ndata = ['ip']" for name in names
    )
    with pytest.raises(SettingsRefused, match="already, but for its spelling"):
        over_example(file(text), {})


@pytest.mark.parametrize("name", ["a b", "", "lab\\u000a", "läb", "lab;", "a" * 65, "../lab", "lab.x", "-lab"])
def test_a_recipients_name_is_one_that_may_stand_in_an_address(file, name):
    text = f"[recipients.\"{name}\"]\nrole = 'service_provider'\npurposes = ['security']\ndata = ['ip']"
    with pytest.raises(SettingsRefused, match="recipients"):
        over_example(file(text), {})


def test_nobody_was_told_of_anything_tomorrow(file):
    told = over_example(file("[notice]\ntold_everyone = 2026-11-29"), {})
    with pytest.raises(
        SettingsRefused,
        match=r":2: \[notice\] told_everyone: 2026-11-29 has not come; write the day of the last notice",
    ):
        told.refuse_on(date(2026, 11, 27))
    told.refuse_on(date(2026, 11, 28))  # a day's leeway, for zones of time


def test_the_day_that_is_asked_for_comes_with_an_example_that_is_taken(file):
    shared = "[recipients.ads]\nrole = 'third_party'\npurposes = ['sale']\ndata = ['ip']"
    asked = {each.option: each.write for each in unsaid(load_settings(file(shared), {}), date(2026, 11, 29))}
    (example,) = re.findall(r"\d{4}-\d\d-\d\d", asked["[notice] told_everyone"])
    over_example(file(f"[notice]\ntold_everyone = {example}"), {}).refuse_on(date.fromisoformat(example))
    assert date.fromisoformat(example) < date(2026, 11, 29)  # has been wherever this version runs


CONTROL = ["\n", "\r", "\r\nX: y", "\x00", "\x7f", "\u2028", "\u202e", "\ufeff", "\u200b", "\t"]


@pytest.mark.parametrize("sign", CONTROL)
@pytest.mark.parametrize(
    ("section", "option"),
    [("site", "name"), ("site", "policy_url"), ("controller", "name"), ("mail", "sender"), ("ad_choices", "cookie"),
     ("gpc", "last_update"), ("environment", "name"), ("delivery", "ddrf_domain"), ("listen", "public")],
)  # fmt: skip
def test_no_option_carries_the_end_of_a_line_into_a_header_a_policy_or_a_mail(file, section, option, sign):
    with pytest.raises(SettingsRefused):
        over_example(file(f"[{section}]\n{option} = {json.dumps('example.com' + sign)}"), {})


# --- what a field of ids holds -----------------------------------------------------------------------------------

FIELD = '[recipients.teemo]\ndata = ["precise_geo", "ad_id", "device_id", "email_hash", "coarse_geo"]\nfields = { %s }'


@pytest.mark.parametrize(
    ("field", "data_class"), [("device_id", "device_id"), ("maid", "ad_id"), ("mail", "email_hash")], ids=str
)
def test_an_id_of_a_third_party_that_says_no_kind_refuses_the_start_with_the_line_to_write(file, field, data_class):
    with pytest.raises(SettingsRefused) as refused:
        over_example(file(FIELD % f'{field} = "{data_class}"'), {})
    assert f"[recipients.teemo] fields.{field}: holds ids and does not say of which kind" in str(refused.value)
    line = re.search(r"write (.*?\}),", str(refused.value))[1]
    mine = over_example(file(FIELD % line), {}).registry()["teemo"]
    assert mine.fields == {field: data_class}
    assert mine.held[field].kinds


def test_a_service_provider_may_say_it_by_the_class_alone(file):
    text = '[recipients.lab]\nrole = "service_provider"\npurposes = ["security"]\ndata = ["ad_id"]\nfields = { maid = "ad_id" }'
    assert over_example(file(text), {}).registry()["lab"].fields == {"maid": DataClass.AD_ID}


def test_a_kind_of_the_operators_own_is_declared(file):
    own = FIELD % 'af = { class = "device_id", kind = "id:appsflyer" }'
    with pytest.raises(SettingsRefused, match=r'declared = \["appsflyer"\]'):
        over_example(file(own), {})
    mine = over_example(file(f'[identifiers]\ndeclared = ["appsflyer"]\n{own}'), {})
    assert mine.registry()["teemo"].held["af"].kinds == ("id:appsflyer",)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('d = { class = "device_id", kind = "email" }', "it holds what is no kind of device_id"),
        ('d = { class = "device_id", kind = ["idfv", "gaid"] }', "it holds what is no kind of device_id"),
        ('d = { class = "device_id", kind = "IDFV" }', "it holds what is no kind of device_id"),
        ('d = { class = "device_id", kind = [] }', "does not say of which kind"),
        ('d = { class = "device_id", kind = "idfv", values = ["x"] }', "no list of values"),
        ('d = { class = "coarse_geo", kind = "idfv" }', "its values name nobody"),
        ('d = { class = "device_id", kinds = "idfv" }', "fields.d.kinds: there is no such option; write kind"),
        ('d = { kind = "idfv" }', "fields.d.class: is missing"),
        ('d = { class = "device", kind = "idfv" }', "fields.d.class: that text does not fit"),
        ('d = ["device_id", "idfv"]', "fields.d: a list does not belong here"),
    ],
)
def test_what_cannot_be_meant_by_a_field_refuses_the_start(file, line, why):
    with pytest.raises(SettingsRefused) as refused:
        over_example(file(FIELD % line), {})
    assert why in str(refused.value)


def test_a_field_of_calls_may_say_that_it_holds_numbers_and_need_not(file):
    text = '[recipients.agency]\nrole = "third_party"\npurposes = ["cpni_disclosure"]\ndata = ["cpni"]\nfields = { d = %s }'
    held = over_example(file(text % '{ class = "cpni", kind = "phone" }'), {}).registry()["agency"].held
    assert held["d"].kinds == ("phone",)
    assert over_example(file(text % '"cpni"'), {}).registry()["agency"].fields == {"d": DataClass.CPNI}
    with pytest.raises(SettingsRefused, match="it holds what is no kind of cpni"):
        over_example(file(text % '{ class = "cpni", kind = "idfv" }'), {})


WHERE = """a = 1\r
[b]
c = [
  1,
  # [b]
  { d = 2 }, [3],
]
text = '''
c = 9
[b]
'''
"q\u2028.r".s = 4
[[law]]  # one
row = [ { x = 1 },
        { x = 2 } ]
[[law.row2]]
y = 1
[[law]]
[[law.row2]]
[[law.row2]]
y.z = 2
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1), (("b",), 2), (("b", "c"), 3), (("b", "c", 1, "d"), 3), (("b", "text"), 8),
        (("b", "q\u2028.r", "s"), 12), (("law",), 13), (("law", 0), 13), (("law", 0, "row", 1, "x"), 14),
        (("law", 0, "row2", 0, "y"), 17), (("law", 1), 18), (("law", 1, "row2", 0), 19), (("law", 1, "row2", 1), 20),
        (("law", 1, "row2", 1, "y", "z"), 21), (("law", 2), 13), (("b", "nothing"), 2), (("nothing",), 0),
    ],
)  # fmt: skip
def test_an_operator_is_told_the_line_that_says_it(path, line):
    told = OptionSource(Path("f"), WHERE).told(path, "")
    assert told.startswith(f"f:{line}: " if line else "f: "), told


def test_to_tell_a_thousand_lines_takes_no_longer_than_to_read_them_a_few_times(monkeypatch):
    text = "".join(f'[[law]]\nrow = [\n  {{ x = "{number}" }},\n]\n' for number in range(1000))
    read: list[int] = []
    loads = tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda each: (read.append(len(each)), loads(each))[1])
    source = OptionSource(Path("f"), text)
    assert [source.told(("law", number, "row", 0), "").split(":")[1] for number in range(1000)] == [
        str(4 * number + 2) for number in range(1000)
    ]
    assert sum(read) < 5 * len(text)


def test_a_file_that_is_named_lies_beside_the_configuration_wherever_the_process_runs(file, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    named = file('[site]\nlogo = "logo.svg"\n[law]\ntables = ["law/my.toml", "/etc/law.toml"]\n')
    found = load_settings(named, {})
    assert found.site.logo == str(tmp_path / "logo.svg")
    assert found.law.tables == (str(tmp_path / "law/my.toml"), "/etc/law.toml")
    by_variables = load_settings(named, {"GATEWAY_SITE__LOGO": "logo.svg", "GATEWAY_LAW__TABLES": "a.toml,b.toml"})
    assert (by_variables.site.logo, by_variables.law.tables) == ("logo.svg", ("a.toml", "b.toml"))
    assert load_settings(file('[site]\nlogo = ""\n'), {}).site.logo == ""
