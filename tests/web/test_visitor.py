import itertools
import json
import subprocess
import time
from http.cookies import SimpleCookie  # noqa: TID251 - writes here, and reads nothing
from importlib import resources
from urllib.parse import quote

import pytest

from gateway.keys import api_keys, seals
from gateway.keys.seals import BrowserCookie
from gateway.signals.heard import KeptFor
from gateway.terms import ALL_PURPOSES, SIGNAL_PURPOSES, Malformed, Purpose, Source
from gateway.web.shell.visitor import KEPT_BYTES, NO_BYTES, Visitors

BROWSER = bytes(range(16))
HOUR = 3600


@pytest.fixture
def sealed(house):
    return seals.seal_cookie(house.consent.secrets.seals, BrowserCookie(BROWSER, 1, frozenset({Purpose.SALE})))


@pytest.fixture
def signed(house):
    return api_keys.assert_account(house.secrets.accounts[-1], "a.1", int(time.time()) + HOUR)


def scope(*headers, **state):
    return {"type": "http", "headers": [(name, value.encode("latin-1")) for name, value in headers], "state": state}


def test_a_browser_is_known_by_its_sealed_cookie(house, sealed):
    visitor = Visitors(house.consent).read(scope((b"cookie", f"a=b; __Host-gateway={sealed}; c=d")))
    assert visitor.cookie.browser == BROWSER
    assert visitor.denied == {Purpose.SALE}
    assert visitor.malformed == ()


def test_a_forged_cookie_before_the_true_one_does_not_hide_it(house, sealed):
    visitor = Visitors(house.consent).read(scope((b"cookie", f"__Host-gateway=x; __Host-gateway={sealed}")))
    assert visitor.cookie.browser == BROWSER
    assert len(visitor.malformed) == 1


@pytest.mark.parametrize("forged", ["", "x", "é", "A" * 71, "A" * 5000, "%00", '"'])
def test_a_cookie_that_is_not_ours_is_nobody_and_is_counted(house, forged):
    visitor = Visitors(house.consent).read(scope((b"cookie", f"__Host-gateway={forged}")))
    assert visitor.cookie is None
    assert [item.channel for item in visitor.malformed] == ["browser"]


def test_a_cookie_that_was_changed_by_one_letter_names_nobody_and_says_no_to_everything(house, sealed):
    changed = sealed[:30] + ("A" if sealed[30] != "A" else "B") + sealed[31:]
    visitors = Visitors(house.consent)
    visitor = visitors.read(scope((b"cookie", f"__Host-gateway={changed}")))
    assert (visitors.subjects(visitor), visitor.denied) == ([], frozenset(ALL_PURPOSES))
    assert Malformed("browser", "cookie") in visitor.malformed


FILL = "; ".join(f"t{number}={'x' * 4000}" for number in range(5))  # 20 kB of a tracker's


@pytest.mark.parametrize("jar", ["{fill}; {ours}", "{ours}; {fill}", "a=b; {fill}; {ours}; c=d"])
def test_an_opt_out_cookie_is_seen_behind_any_number_of_others(house, sealed, jar):
    visitors = Visitors(house.consent)
    visitor = visitors.read(scope((b"cookie", jar.format(fill=FILL, ours=f"__Host-gateway={sealed}"))))
    assert visitor.cookie.browser == BROWSER
    apart = visitors.read(scope((b"cookie", FILL), (b"cookie", f"__Host-gateway={sealed}")))
    assert apart.cookie.browser == BROWSER


@pytest.mark.parametrize("jar", ["a=b, {ours}", "a=b,{ours}", "{other},{ours}", "a=b; c=d,\t{ours}; e=f"])
def test_an_opt_out_cookie_is_seen_where_a_proxy_folded_two_fields_by_a_comma(house, sealed, jar):
    told = jar.format(ours=f"__Host-gateway={sealed}", other="__Host-gateway=x")
    assert Visitors(house.consent).read(scope((b"cookie", told))).denied >= {Purpose.SALE}
    assert Visitors(house.consent).read(scope((b"cookie", "a=b,c=d"))).denied == frozenset()


def test_a_signed_in_person_is_known_behind_any_number_of_cookies(house, signed):
    assert Visitors(house.consent).read(scope((b"cookie", f"{FILL}; Gateway-Account={signed}"))).account.value == "a.1"


def test_a_jar_that_was_cut_says_no_for_nobody_knows_what_was_in_the_rest(house):
    visitor = Visitors(house.consent).read(scope((b"cookie", FILL)))
    assert visitor.heard.denied == set(SIGNAL_PURPOSES)
    assert not visitor.heard.keeps
    whole = Visitors(house.consent).read(scope((b"cookie", FILL[:16_000])))
    assert whole.heard.denied == set()  # control


@pytest.mark.parametrize("written", ['"{}"', "%22{}%22"])
def test_a_cookie_that_a_server_wrote_in_quotes_is_read_as_what_it_is(house, sealed, written):
    visitor = Visitors(house.consent).read(scope((b"cookie", f"__Host-gateway={written.format(sealed)}")))
    assert visitor.cookie.browser == BROWSER


def test_of_several_cookies_of_ours_each_no_counts(house):
    made = [
        seals.seal_cookie(house.consent.secrets.seals, BrowserCookie(browser, 20_000, frozenset(denied)))
        for browser, denied in ((bytes(range(16)), ()), (b"c" * 16, {Purpose.SALE}), (seals.NO_ID, {Purpose.SHARING}))
    ]
    for jar in itertools.permutations(made):
        visitors = Visitors(house.consent)
        visitor = visitors.read(scope((b"cookie", "; ".join(f"__Host-gateway={each}" for each in jar))))
        assert visitor.denied == {Purpose.SALE, Purpose.SHARING}
        known = {house.consent.people.browser(each.hex()).key for each in (bytes(range(16)), b"c" * 16)}
        assert {subject.key for subject in visitors.subjects(visitor)} == known


def test_of_several_signed_accounts_each_counts(house, signed):
    other = api_keys.assert_account(house.secrets.accounts[-1], "a.2", int(time.time()) + HOUR)
    expected = {house.consent.people.account(each).key for each in ("a.1", "a.2")}
    for first, second in ((signed, other), (other, signed)):
        for headers in (
            [(b"gateway-account", first), (b"gateway-account", second)],
            [(b"gateway-account", first), (b"cookie", f"gateway-account={second}")],
            [(b"cookie", f"gateway-account={first}; Gateway-Account={second}")],
        ):
            visitors = Visitors(house.consent)
            assert {subject.key for subject in visitors.subjects(visitors.read(scope(*headers)))} == expected


def test_a_browser_token_is_not_taken_for_the_cookie(house):
    token = seals.seal_browser(house.consent.secrets.seals, BROWSER, int(time.time()) + HOUR)
    assert Visitors(house.consent).read(scope((b"cookie", f"__Host-gateway={token}"))).cookie is None


@pytest.mark.parametrize("name", [b"gateway-account", b"cookie"])
def test_a_signed_in_person_is_known_by_the_sites_signed_word(house, signed, name):
    value = signed if name == b"gateway-account" else f"x=1; Gateway-Account={signed}"
    visitor = Visitors(house.consent).read(scope((name, value)))
    assert visitor.account.value == "a.1"
    assert [subject.kind for subject in Visitors(house.consent).subjects(visitor)] == ["account"]


@pytest.mark.parametrize(
    "forged",
    ["a1", "v1.a1.9999999999.", "v1.a1.9999999999.00", "v1..9999999999.00", "v2.a1.9999999999.00", "....", "v1.a1.x.y"],
)
def test_an_unsigned_word_about_who_is_signed_in_is_ignored_and_counted(house, forged):
    visitor = Visitors(house.consent).read(scope((b"gateway-account", forged)))
    assert visitor.account is None
    assert [(item.channel, item.reason) for item in visitor.malformed] == [("account", "unsigned")]


def test_a_signed_word_ends_and_nobody_can_tell_then_who_is_there(house, signed):
    old, same = (
        api_keys.assert_account(house.secrets.accounts[-1], each, int(time.time()) - 1) for each in ("a1", "a.1")
    )
    visitors = Visitors(house.consent)
    ended = visitors.read(scope((b"gateway-account", old)))
    assert (ended.account, ended.unclear, visitors.subjects(ended)) == (None, True, [])
    assert [(item.channel, item.reason) for item in ended.malformed] == [("account", "over")]
    renewed = visitors.read(scope((b"gateway-account", signed), (b"cookie", f"gateway-account={same}")))
    assert (renewed.account.value, renewed.unclear) == ("a.1", False), "the same person's, with one that holds"
    another = visitors.read(scope((b"gateway-account", signed), (b"cookie", f"gateway-account={old}")))
    assert (another.account.value, another.unclear) == ("a.1", True)


def test_a_signature_does_not_cover_another_account(house, signed):
    assert Visitors(house.consent).read(scope((b"gateway-account", signed.replace("a.1", "a.2")))).account is None


def test_a_word_signed_by_another_installation_is_not_believed(house):
    other = api_keys.assert_account(bytes(32), "a1", int(time.time()) + HOUR)
    assert Visitors(house.consent).read(scope((b"gateway-account", other))).account is None


def test_a_signed_cookie_is_read_beside_an_unsigned_header(house, signed):
    visitor = Visitors(house.consent).read(
        scope((b"gateway-account", "v1.a1.1.00"), (b"cookie", f"gateway-account={signed}"))
    )
    assert visitor.account.value == "a.1"


def by_http_cookies(value):
    """As Django and others write it."""
    jar = SimpleCookie({"gateway-account": value})
    return jar["gateway-account"].coded_value


WRITES = [quote, lambda value: quote(value, safe="@"), by_http_cookies, lambda value: value]


@pytest.mark.parametrize("write", WRITES, ids=["quote", "some", "http_cookies", "raw"])
@pytest.mark.parametrize("account", ["jane@example.com", "jane doe", "josé", "a%40b", "a/b=c:d"])
def test_a_signed_in_person_is_known_however_the_sites_framework_writes_a_cookie(house, write, account):
    word = api_keys.assert_account(house.secrets.accounts[-1], account, int(time.time()) + HOUR)
    value = f"gateway-account={write(word)}".encode()
    asked = {"type": "http", "headers": [(b"cookie", value)], "state": {}}
    assert Visitors(house.consent).read(asked).account.value == account


SNIPPET = """<?php
namespace snippet;
function setrawcookie($name, $value, $how) { echo json_encode([$name, $value, $how]); }
[$account, $key] = [$argv[1], $argv[2]];
"""


@pytest.mark.parametrize("account", ["a1", "jane@example.com"])
def test_what_the_manual_has_a_php_site_say_is_believed(house, tmp_path, tool, account):
    manual = (resources.files("gateway") / "manual" / "accounts.md").read_text()
    begin = manual.index("        $body =")
    script = tmp_path / "snippet.php"
    script.write_text(SNIPPET + manual[begin : manual.index("\n\n", begin)])
    command = [tool("php"), str(script), account, house.secrets.accounts[-1].hex()]
    name, value, how = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert Visitors(house.consent).read(scope((b"cookie", f"{name}={value}"))).account.value == account
    assert how == {"path": "/", "secure": True, "httponly": True, "samesite": "Lax"}


def test_an_operator_who_does_not_use_the_header_switches_it_off(house, signed):
    visitors = Visitors(house.consent, account_header=False)
    assert visitors.read(scope((b"gateway-account", signed))).account is None


def test_the_site_in_the_same_process_says_who_is_signed_in(house, signed):
    assert Visitors(house.consent).read(scope(gateway_account="a7")).account.value == "a7"
    told, silent = (Visitors(house.consent, account=lambda _, who=who: who) for who in ("a8", None))
    assert told.read(scope(gateway_account="a7")).account.value == "a8"
    assert silent.read(scope((b"gateway-account", signed))).account.value == "a.1"


def test_the_sites_own_ids_of_a_browser_count_as_the_person(house):
    visitors = Visitors(house.consent, site_ids=["uid"])
    visitor = visitors.read(scope((b"cookie", "uid=42; other=43")))
    assert [subject.kind for subject in visitors.subjects(visitor)] == ["cookie:uid"]


def test_a_visitor_is_printed_without_ids(house, sealed):
    visitor = Visitors(house.consent, site_ids=["uid"]).read(scope((b"cookie", "uid=SECRET")))
    assert "SECRET" not in repr(visitor)


def test_a_visitor_is_heard_by_header_cookie_and_address_together(house):
    asked = scope((b"sec-gpc", "0"), (b"cookie", "usprivacy=1YNN; optout=1")) | {"query_string": b"us_privacy=1YYN"}
    visitor = Visitors(house.consent).read(asked)
    assert [(said.source, said.kept) for said in visitor.heard.said] == [
        (Source.AD_CHOICES, KeptFor.CHOICE),
        (Source.US_PRIVACY, KeptFor.MOMENT),
    ]


def test_a_scope_without_an_address_is_read(house):
    assert Visitors(house.consent).read(scope((b"sec-gpc", "1"))).heard.gpc


@pytest.mark.parametrize("name", ["sec-gpc", "cookie"])
def test_a_live_no_is_known_again_by_its_bytes_and_each_other_request_is_read(house, sealed, name):
    visitors = Visitors(house.consent, place=lambda scope: scope["state"].get("place"))
    said = {"sec-gpc": "1", "cookie": f"a=b; __Host-gateway={sealed}"}

    def read(place="US-CA", **other):
        return visitors.read(scope(*[(each.encode(), text) for each, text in (said | other).items()], place=place))

    first = read()
    assert read() is first
    assert len(visitors._noes) == 1
    assert read(place="US-NY").place == "US-NY"
    assert read(**{name: "0"}) != first
    assert all(isinstance(part, int) for mark in visitors._noes for part in mark)  # nothing that was said


@pytest.mark.parametrize("length", [NO_BYTES, KEPT_BYTES, 15_000])
def test_of_a_long_request_is_kept_no_more_than_of_its_length_can_be_kept_of_all(house, length):
    """A stranger may send any number of long ones, each of them another, and 4,096 would stay."""
    visitors, name = Visitors(house.consent), "OptanonConsent=groups="
    for sign in "ab":
        said = visitors.read(scope((b"sec-gpc", "1"), (b"cookie", name + sign * length)))
        assert said.heard.gpc
    assert visitors._noes == {}
    assert len(visitors._known) == (2 if length < KEPT_BYTES else 0)


def test_who_is_signed_in_or_says_no_to_less_is_read_each_time(house, sealed, signed):
    visitors = Visitors(house.consent)
    for headers in (
        [(b"cookie", f"__Host-gateway={sealed}")],  # its cookie's no is no signal
        [(b"sec-gpc", "1"), (b"gateway-account", signed)],  # a word that ends
        [(b"sec-gpc", "1"), (b"gateway-account", "a.1.forged")],  # which is counted each time
    ):
        visitors.read(scope(*headers))
    visitors.read(scope((b"sec-gpc", "1")) | {"query_string": b"us_privacy=1YYN"})
    assert visitors._noes == {}
