"""Pages are the operator's own: nothing of the shipped example is on another one's, and nothing that is not there."""

import contextlib
import re

import msgspec
import pytest
from click.testing import CliRunner
from support import blue_door, inside
from support.blue_door import ACCENT, ACCENT_DARK, ACCOUNT, CAFE, CAFE_NAME, FOOTER, NAME, SHOP, others_in
from support.people import email, named

from gateway.app.brands import brands_of
from gateway.cli.root import group
from gateway.consent.codes import ACCESS
from gateway.keys import api_keys
from gateway.settings.load import SettingsRefused, load_settings
from gateway.web.shell import words
from gateway.web.shell.brand import Brand
from gateway.web.shell.words import LANGUAGES

pytestmark = pytest.mark.anyio
PATH = "/privacy-choices"
HTML = {"Accept": "text/html"}
FROM_HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def shop(tmp_path):
    async with inside.application(tmp_path / "data", blue_door.settings(tmp_path)) as app:
        yield app


@pytest.fixture
async def at(shop):
    """A caller who asks for a host, in the same installation."""
    return lambda host: inside.client(shop, Host=host)


def host_of(client):
    return client.headers["host"]


async def every_page(client, language):
    """Each page and state of one host that can be had without a mail server, as text."""
    lang = {"lang": language}

    async def got(path, **more):
        return await client.get(f"{PATH}{path}", params=lang | more, headers=HTML)

    async def posted(path, **said):
        return await client.post(f"{PATH}{path}", params=lang, data=said, headers={**HTML, **FROM_HERE})

    out = await posted("", action="opt_out", email=email(1), phone="call me")
    kept = inside.kept(out)
    signed = await client.get(PATH, params=lang, headers={**HTML, **kept, "Sec-GPC": "1"})
    confirmed = await client.get(out.headers["location"], params=lang, headers={**HTML, **kept})
    forgotten = await client.get(out.headers["location"], params=lang, headers=HTML)
    own = {**HTML, **FROM_HERE, **kept, "Origin": f"{client.base_url.scheme}://{host_of(client)}"}
    what = {"what": "targeted_ads", "by": "browser"}
    asked = await client.post(f"{PATH}/opt-in", params=lang, data=what, headers=own)
    token = re.search(r'name="token" value="([^"]+)"', asked.text).group(1)
    said = {"action": "opt_in", "token": token}
    second = await client.post(f"{PATH}/opt-in", params=lang, data=said, headers=own)
    sent = await posted("/code", action="send", use=ACCESS, email=email(1))
    entering = await client.get(f"{PATH}/code", params=lang, headers={**HTML, **inside.kept(sent)})
    for each, title in ((asked, "First step: do you allow this?"), (second, "Second step: please confirm"),
                        (entering, "Enter the code"), (forgotten, "This browser will not be remembered")):  # fmt: skip
        assert words.say(language, title) in each.text
    found = [
        signed, confirmed, forgotten, asked, second, entering,
        await got(""), await got("", reach="1"), await got("/marketing"), await posted("/marketing", action="ticked"),
        await got("/data"), await posted("/data", action="show"), await got("/erase"), await posted("/erase"),
        await got("/opt-in"), await posted("/opt-in"), await got("/code"), await got("/nowhere"),
        await got("/unsubscribe/nothing"), await client.post(PATH, params=lang, headers={**HTML, "Origin": "null"}),
    ]  # fmt: skip
    assert all(each.headers["content-type"].startswith("text/html") for each in found), found
    return [each.text for each in found]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_the_shops_own_in_each_language(at, language):
    async with at(SHOP) as client:
        pages = await every_page(client, language)
    for text in pages:
        assert others_in(text) == []
        assert f"– {NAME}</title>" in text
        assert re.search(rf'<img src="{PATH}/logo\?v=\w+" alt="{NAME}">', text)
        assert f'<p class="lines">{FOOTER[language]}</p>' in text
        assert 'href="mailto:privacy@bluedoor.example"' in text
        assert 'href="/our-privacy-policy"' in text
        assert "Do Not Sell My Personal Information Opt-In" not in text
        assert "our_" not in text, "a place without its word"


NOT_THERE = {
    "en": r"\bphone|\bapp\b|\bcalls?\b|text message",
    "es": r"teléfono|\baplicación\b|llamadas?\b|mensaje de texto",
    "fr": r"téléphone|\bapplication\b|\bappels?\b|\bSMS\b",
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_of_what_the_shop_does_not_have_there_is_no_word(at, language):
    """But to whoever typed a number all the same: that it could not be read is said of it."""
    async with at(SHOP) as client:
        pages = await every_page(client, language)
    unread = words.say(language, "We could not read the phone number that you gave, so it is not covered.")[:30]
    for text in pages:
        shown = re.sub(r'<div class="problem".*?</div>', "", text, flags=re.DOTALL) if unread in text else text
        assert re.findall(NOT_THERE[language], re.sub(r"<[^>]+>", " ", shown)) == []


@pytest.mark.parametrize("language", LANGUAGES)
async def test_of_what_the_example_has_there_is(client, language):
    """The control of the test above."""
    text = (await client.get(PATH, params={"lang": language})).text
    assert re.findall(NOT_THERE[language], text)
    assert others_in(text) == ["talkatone", "ooma"]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_an_account_is_called_what_the_shop_calls_it(at, language):
    async with at(SHOP) as client:
        assert ACCOUNT[language] in (await client.get(f"{PATH}/data", params={"lang": language})).text


async def test_the_logo_is_served_with_its_own_type_and_runs_nothing(at):
    async with at(SHOP) as client:
        page = (await client.get(PATH)).text
        answer = await client.get(re.search(r'src="([^"]*/logo[^"]*)"', page).group(1))
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.text == blue_door.DRAWING
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"].endswith("immutable")


async def test_without_a_logo_there_is_none(client):
    assert (await client.get(f"{PATH}/logo")).status_code == 404


async def test_the_colours_are_in_the_style_sheet_by_day_and_by_night(at):
    async with at(SHOP) as client:
        page = (await client.get(PATH)).text
        sheet = (await client.get(re.search(r'href="([^"]*choices\.css[^"]*)"', page).group(1))).text
    assert sheet.rstrip().endswith(
        f":root{{--act:{ACCENT}}}\n@media (prefers-color-scheme: dark){{:root{{--act:{ACCENT_DARK}}}}}"
    )


async def test_callers_read_nothing_of_the_example_either(at):
    async with at(SHOP) as client:
        for path in ("/v1/self", "/.well-known/gpc.json", f"{PATH}/status", "/openapi.json"):
            answer = await client.get(path, headers=inside.DEV)
            assert answer.status_code == 200, path
            assert others_in(answer.text) == [], path


def test_a_letter_says_whose_it_is_and_nobody_elses():
    for language in LANGUAGES:
        for kind in ("email", "phone"):
            letter = words.written(language, NAME, ACCESS, kind)("12345678")
            assert NAME in letter.text
            assert others_in(letter.text) == []
            unnamed = words.written(language, "", ACCESS, kind)("12345678")
            assert words.say(language, "our site") in unnamed.text


async def shown(tmp_path, text, path, sdks=("teemo",)):
    """A page of an operator whose file says this."""
    file = tmp_path / "mine.toml"
    file.write_text(text)
    read = inside.settings(file)
    read = msgspec.structs.replace(read, apps=msgspec.structs.replace(read.apps, sdks=sdks))
    async with inside.application(tmp_path / "data", read) as app, inside.client(app) as client:
        return (await client.get(f"{PATH}{path}")).text


async def test_what_things_are_called_is_text_and_never_html(tmp_path):
    card = 'account = { en = "<b>100 % card</b> %(at)s", es = "a", fr = "b" }'
    text = await shown(tmp_path, f'[site]\nname = "<i>&"\n{card}', "/data")
    assert "No &lt;b&gt;100 % card&lt;/b&gt; %(at)s" in text
    assert "– &lt;i&gt;&amp;</title>" in text
    assert not re.search("<[bi]>", text)


async def test_with_nothing_to_give_there_is_nothing_to_fill_in(tmp_path):
    text = await shown(tmp_path, "[site]\nhas = []", "?reach=1")
    assert "This opts out this browser too." in text
    assert re.findall('<(?:input|select) [^>]*name="(\\w+)"', text) == ["token", "purpose", "purpose", "purpose"]
    assert "sign in" not in text


async def test_what_was_typed_stays_in_a_form_that_was_not_taken_though_the_site_has_no_such_thing(tmp_path):
    typed = {"phone": "+1 415 555 0101", "email": "jane@example.com", "ad_id": "38400000-8cf0-11bd-b23e-10b96e40000d"}
    async with at_operator(tmp_path, "[site]\nhas = []") as client:
        fields = {"action": "opt_out", "country": "ca", "state": "qc", **typed}
        refused = await client.post(PATH, data=fields, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 403
    assert [value for value in typed.values() if f'value="{value}"' not in refused.text] == []
    assert re.findall(r'value="(\w+)" selected', refused.text) == ["CA", "QC"]


@pytest.mark.parametrize(("sdks", "told"), [((), False), (("teemo",), True)])
async def test_an_app_is_known_by_the_sdks_in_it_where_nobody_said(tmp_path, sdks, told):
    text = await shown(tmp_path, "", "", sdks)
    assert ("You find the same choice in our app, in its settings." in text) is told
    assert "<header>" not in text, "without a name or a logo there is none"
    assert "an email address or a phone number" in text
    assert others_in(text) == []


@pytest.mark.parametrize("text", ["", '[site]\nname = "Shop"\n'], ids=["no file's words", "a name alone"])
async def test_in_production_nothing_of_the_example_is_on_a_page_of_who_said_nothing(tmp_path, text):
    """As with an environment alone, or a file that holds its name and no more."""
    file = tmp_path / "mine.toml"
    file.write_text(text)
    read = load_settings(file if text else None, {"GATEWAY_LISTEN__LEVEL_ANSWERS": "false"})
    assert read.environment.is_production
    async with inside.application(tmp_path / "data", read, dev=False) as app, inside.client(app) as client:
        for path in ("", "/marketing", "/data", "/erase", "/opt-in", "/status"):
            for language in LANGUAGES:
                text = (await client.get(f"{PATH}{path}", params={"lang": language}, headers=HTML)).text
                assert others_in(text) == [], path


# --- a yes where a no can be given ---------------------------------------------------------------------------------


def fields_in(text):
    return set(re.findall('<input [^>]*name="(\\w+)"', text))


@contextlib.asynccontextmanager
async def at_operator(tmp_path, text, **headers):
    """A caller of an operator whose file says this."""
    file = tmp_path / "mine.toml"
    file.write_text(text)
    configured = inside.settings(file)
    async with inside.application(tmp_path / "data", configured) as app, inside.client(app, **headers) as client:
        yield client


@pytest.fixture
def signed_in():
    """The headers of a person who is signed in."""
    return {"Gateway-Account": api_keys.assert_account(inside.secrets().accounts[-1], "a1", 4_000_000_000)}


@pytest.mark.parametrize("path", ["?reach=1", "/opt-in", "/data", "/erase"])
async def test_where_a_mailbox_says_no_nowhere_it_says_yes_nowhere(tmp_path, path):
    async with at_operator(tmp_path, '[site]\nhas = ["account"]') as client:
        assert fields_in((await client.get(f"{PATH}{path}")).text).isdisjoint({"email", "phone"})
        said = {"what": "targeted_ads", "by": "email", "email": email(4)}
        answer = await client.post(f"{PATH}/opt-in", data=said, headers=FROM_HERE)
    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


async def test_where_it_says_no_it_may_say_yes(tmp_path):
    """The control of the test above."""
    async with at_operator(tmp_path, '[site]\nhas = ["account", "email"]') as client:
        said = {"what": "targeted_ads", "by": "email", "email": email(4)}
        answer = await client.post(f"{PATH}/opt-in", data=said, headers=FROM_HERE)
        for path in ("?reach=1", "/opt-in", "/data", "/erase"):
            assert fields_in((await client.get(f"{PATH}{path}")).text) & {"email", "phone"} == {"email"}, path
    assert answer.status_code == 303


@pytest.mark.parametrize("has", ['["account"]', "[]"])
async def test_marketing_can_be_stopped_without_an_account_whatever_there_is(tmp_path, has):
    async with at_operator(tmp_path, f"[site]\nhas = {has}") as client:
        stop = {"action": "opt_out"}
        refused = await client.post(f"{PATH}/marketing", data=stop, headers=FROM_HERE)
        taken = await client.post(f"{PATH}/marketing", data={**stop, "email": email(5)}, headers=FROM_HERE)
    assert '<a href="#email">Say where the marketing reaches you.</a>' in refused.text
    assert {"email", "phone"} <= fields_in(refused.text)
    assert taken.status_code == 303


async def test_whoever_is_signed_in_needs_no_field_to_stop_marketing(tmp_path, signed_in):
    async with at_operator(tmp_path, '[site]\nhas = ["account"]', **signed_in) as client:
        text = (await client.get(f"{PATH}/marketing")).text
        stopped = await client.post(f"{PATH}/marketing", data={"action": "opt_out"}, headers=FROM_HERE)
    assert fields_in(text).isdisjoint({"email", "phone"})
    assert stopped.status_code == 303


# --- words that look like ours -------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", ["account", "phone", "app"])
@pytest.mark.parametrize("word", ["%(our_app)s", "%(our_phone)s", "%(our_account)s", "100 %s", "%(our_"])
async def test_a_word_that_looks_like_a_place_of_ours_stands_as_it_is(tmp_path, thing, word):
    called = f'{thing} = {{ en = "{word}", es = "{word}", fr = "{word}" }}'
    async with at_operator(tmp_path, f"[site]\n{called}") as client:
        for path in ("", "/data", "/marketing", "/erase", "/opt-in", "?reach=1"):
            for language in LANGUAGES:
                assert (await client.get(f"{PATH}{path}", headers={"Accept-Language": language})).status_code == 200, (
                    path
                )
        said_on = {"account": "/data", "phone": "?reach=1", "app": ""}[thing]
        assert word in (await client.get(f"{PATH}{said_on}")).text


async def test_an_account_has_its_own_word_where_a_no_came_from_it(tmp_path, signed_in):
    card = 'account = { en = "reader card", es = "tarjeta", fr = "carte" }'
    async with at_operator(tmp_path, f"[site]\n{card}", **signed_in) as client:
        out = await client.post(PATH, data={"action": "opt_out"}, headers=FROM_HERE)
        page = (await client.get(PATH, headers=inside.kept(out))).text
        held = await client.post(f"{PATH}/data", data={"action": "show"}, headers={**FROM_HERE, **inside.kept(out)})
    assert "The opt-out was made for your reader card, and can be taken back for it." in page
    assert "Your reader card:" in held.text
    assert "your account" not in (page + held.text).lower()


CONTACTS = {
    "a/b@example.com": "mailto:a%2Fb@example.com",
    "a?cc=b@example.com": "mailto:a%3Fcc%3Db@example.com",
    "/contact": "/contact",
    "https://example.com/@privacy": "https://example.com/@privacy",
}


@pytest.mark.parametrize(("contact", "link"), CONTACTS.items())
def test_a_mailbox_is_written_to_and_a_page_is_opened(contact, link):
    assert Brand(contact=contact).contact_link == link


# --- several sites -------------------------------------------------------------------------------------------------


async def test_two_hosts_have_two_names_and_one_ledger(at):
    async with at(SHOP) as shop, at(CAFE) as cafe, at(f"{CAFE}:8080") as with_port, at("localhost") as other:
        said = [(await each.get(PATH)).text for each in (shop, cafe, with_port, other)]
        answer = await cafe.post(PATH, data={"action": "opt_out", "email": email(2)}, headers=FROM_HERE)
        ask = {"identifiers": [named("email", email(2))], "recipient": "adverts", "place": "US-CA"}
        checked = (await shop.post("/v1/check", json=ask, headers=inside.DEV)).json()
    titles = [re.search("– ([^<]+)</title>", text).group(1) for text in said]
    assert titles == [NAME, CAFE_NAME, CAFE_NAME, NAME]
    assert FOOTER["en"] in said[1], "what a site does not say itself is as in [site]"
    assert answer.status_code == 303
    assert (checked["allowed"], checked["reason"]) == (False, "opted_out")


async def test_each_host_has_its_colours_under_one_address(at):
    sheets = []
    for host in (SHOP, CAFE):
        async with at(host) as client:
            sheets.append((await client.get(f"{PATH}/choices.css")).text)
    assert "#7a1f3d" in sheets[1]
    assert "#7a1f3d" not in sheets[0]


SITES = """
[site]
name = "Shop"
url = "https://shop.example"
logo = "{logo}"
policy_url = "/privacy"
phone = {{ en = "line", es = "línea", fr = "ligne" }}

[sites.b]
name = "B"
hosts = ["b.example", "localhost", "[::1]"]
has = ["account", "email"]

[sites.same]
name = "Shop"
hosts = ["same.example"]
"""


@pytest.fixture
def brands(tmp_path):
    """Of two sites, one of another name than the general one and without its phones."""
    logo, file = tmp_path / "logo.svg", tmp_path / "mine.toml"
    logo.write_text(blue_door.DRAWING)
    file.write_text(SITES.format(logo=logo))
    return brands_of(load_settings(file, {}))


@pytest.mark.parametrize("host", ["b.example", "b.example.", "b.example.:80", "localhost:8080", "[::1]", "[::1]:80"])
def test_a_site_is_known_by_its_host_however_it_is_asked_for(brands, host):
    assert brands.of_host(host).name == "B"


@pytest.mark.parametrize("host", ["", "[", "[::2]:80", "b.example..", "xb.example", ":80", "]", "a:b:c"])
def test_any_other_host_is_the_general_sites(brands, host):
    assert brands.of_host(host) is brands.general


def test_a_site_gets_neither_a_word_for_what_it_has_not_nor_the_logo_of_another_name(brands):
    b, same = brands.of_host("b.example"), brands.of_host("same.example")
    assert "phone" not in b.called
    assert b.logo is None
    assert same.called["phone"]["en"] == "line"
    assert same.logo == brands.general.logo
    assert b.policy_url == same.policy_url == "/privacy"


async def test_a_page_says_that_this_browser_is_another_one_at_the_operators_other_sites(at):
    async with at(CAFE) as cafe, at(SHOP) as shop:
        of_cafe, of_shop = [(await each.get(PATH)).text for each in (cafe, shop)]
    assert f'Nor is this browser at our other sites: <a href="//{CAFE}{PATH}">{CAFE_NAME}</a>.' in of_shop
    assert "our other sites" not in of_cafe, "the general one has no url, and is no link"


def test_the_other_sites_are_named_with_where_they_are(brands):
    assert brands.general.elsewhere == (("B", "//b.example"), ("Shop", "//same.example"))
    assert brands.of_host("b.example").elsewhere == (("Shop", "https://shop.example"), ("Shop", "//same.example"))


async def test_a_page_of_the_only_site_speaks_of_no_others(tmp_path):
    assert "our other sites" not in await shown(tmp_path, '[site]\nurl = "https://shop.example"', "")


# --- what refuses to start -----------------------------------------------------------------------------------------

REFUSED = [
    ('[site]\nlogo = "/nowhere/logo.svg"', r":2: \[site\] logo: there is no such file; write the path of an SVG"),
    ('[site]\naccent = "#ffcc00"', r":2: \[site\] accent: 1\.51 to 1 against the page's #ffffff.*; write \"#[0-9a-f]{6}\""),
    ('[site]\naccent_dark = "#123f8c"', r":2: \[site\] accent_dark: 1\.79 to 1 against the page's #16181c.*; write \"#"),
    ('[site]\naccent = "#777777"', r"accent: 4\.47 to 1 against the page's #ffffff.*, or another of 4\.5 to 1 and more"),
    ('[site]\nphone = { en = "line" }', r":2: \[site\] phone\.es: is missing, and has no default; write es = "),
    ('[site]\nhas = ["email"]\napp = { en = "a", es = "b", fr = "c" }', r":3: \[site\] app: is called something"),
    ('[sites.a]\nhosts = ["x.example"]', r":[12]: \[sites\.a\] name: is empty; write how its pages call the operator"),
    ('[sites.a]\nname = "A"\nhosts = []', r":3: \[sites\.a\] hosts: is empty, so nobody sees it; write "),
    (
        '[sites.a]\nname = "A"\nhosts = ["x.example"]\n[sites.b]\nname = "B"\nhosts = ["y.example", "x.example"]',
        r":6: \[sites\.b\] hosts\[2\]: is of sites\.a already; write it in one of them",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_cannot_be_shown_refuses_to_start_and_says_what_to_write(tmp_path, text, why):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(SettingsRefused, match=why):
        brands_of(load_settings(file, {}))


def tenfold(reference):
    """A group of ten of a group of ten, and so on: eight lines, and a hundred million shapes."""
    return "".join(f'<g id="a{each}">{reference.format(f"a{each - 1}") * 10}</g>' for each in range(1, 9))


UNSAFE = {
    "a script": "<script>1</script>",
    "a script of another space": '<script xmlns="http://www.w3.org/1999/xhtml">1</script>',
    "what is done by itself": '<path onload="1" d="M0 0"/>',
    "a page in it": "<foreignObject><p xmlns='http://www.w3.org/1999/xhtml'>1</p></foreignObject>",
    "a link": '<a href="https://evil.example/"><path d="M0 0"/></a>',
    "a link that comes to be": '<set attributeName="href" to="x"/>',
    "a picture of somebody else": '<image href="https://evil.example/pixel.gif"/>',
    "a picture by the older name": '<image xmlns:x="http://www.w3.org/1999/xlink" x:href="//evil.example/p.gif"/>',
    "a drawing within": '<image href="data:image/svg+xml;base64,AAAA"/>',
    "a style from elsewhere": "<style>@import url(https://evil.example/x.css)</style>",
    "a font from elsewhere": "<style>@font-face{src:url(https://evil.example/x)}</style>",
    "an address written otherwise": "<style>a{b:u\\72l(https://evil.example/x)}</style>",
    "a style in its place": '<path style="fill:url(//evil.example/x)" d="M0 0"/>',
    "a style in two": '<style>@im<desc/>port "x"</style>',
    "a style in long parts": f'<style>{" " * 8183}@&#105;mport "https://evil.example/x.css"</style>',
    "a set of pictures": '<style>svg{background:image-set("https:evil.example/x.png" 1x)}</style>',
    "a set of pictures by its older name": "<path style=\"background:-webkit-image-set('x.png' 1x)\"/>",
    "a font by its newer name": '<style>@font-face{src:src("x.woff")}</style>',
    "a picture by its newer name": "<path style=\"background:image('x.png')\"/>",
    "an address without its scheme": '<style>@namespace "//evil.example/x"</style>',
    "another ground of all addresses": '<g xml:base="https://evil.example/"/>',
    "thousands of shapes by eight lines": tenfold("<use href='#{}'/>"),
    "thousands of shapes by masks": tenfold("<path mask='url(#{})'/>"),
    "itself again": '<g id="a"><use href="#a"/></g>',
    "hundreds of elements in each other": "<g>" * 200 + "</g>" * 200,
    "an instruction": '<?xml-stylesheet href="https://evil.example/x.css"?>',
}


@pytest.mark.parametrize("part", UNSAFE.values(), ids=UNSAFE)
def test_a_drawing_that_does_more_than_draw_is_refused(tmp_path, part):
    with pytest.raises(SettingsRefused, match=r"\[site\] logo: the drawing "):
        drawn(tmp_path, blue_door.DRAWING.replace("<path", f"{part}<path").encode())


def drawn(folder, content):
    logo, file = folder / "logo.svg", folder / "mine.toml"
    logo.write_bytes(content)
    file.write_text(f'[site]\nlogo = "{logo}"')
    return brands_of(load_settings(file, {})).general.logo


SVG = blue_door.DRAWING.encode()
FILES = {
    "a type of its own": b'<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG,
    "another alphabet": blue_door.DRAWING.encode("utf-16"),
    "another alphabet by its word": b'<?xml version="1.0" encoding="iso-8859-1"?>' + SVG,
    "no end": SVG[:-6],
    "no namespace, without which browsers show nothing": b"<svg><path/></svg>",
    "a drawing in something else": b'<x xmlns="urn:x">' + SVG + b"</x>",
    "the beginning of a PNG": b"\x89PNG\r\n\x1a\n",
    "a PNG without a width": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\0\0\0\0\1" + b"\0" * 30,
    "the beginning of a JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "the beginning of a WebP": b"RIFF\0\0\0\0WEBP",
    "a page": b"<!doctype html><p>Hello",
    "a film": b"GIF89a",
    "too much": SVG + b" " * 2**18,
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_that_is_no_logo_is_refused(tmp_path, content):
    with pytest.raises(SettingsRefused, match=r"\[site\] logo: .*; write the path of an SVG, PNG, JPEG or WebP"):
        drawn(tmp_path, content)


def test_a_drawing_as_drawing_programs_write_it_is_taken(tmp_path):
    """Gradients, styles and references within the file, a title, and what the program noted for itself."""
    text = """<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:s="http://sodipodi.example/">
<!-- made by hand --><title>Door</title><s:namedview pagecolor="#fff"/><defs><linearGradient id="a"><stop offset="0"
style="stop-color:#123f8c"/></linearGradient><style type="text/css">.b{fill:url(#a)} .c{fill:url('#a')}</style></defs>
<g class="b"><path d="M0 0h9v9z"/></g><use xlink:href="#a"/><image href="data:image/png;base64,AAAA"/></svg>"""
    assert drawn(tmp_path, text.encode()).media_type == "image/svg+xml"


NOTES = {
    "where a program wrote it": '<g xmlns:inkscape="http://www.inkscape.org/x" inkscape:export-filename="C:\\me\\logo.png"/>',
    "a title with a backslash": "<title>AC\\DC, https://acdc.example</title>",
    "a note of its own": '<g data-name="C:\\layer//1"/>',
    "light": "<filter id='f'><feSpecularLighting><fePointLight x='1' y='1' z='1'/></feSpecularLighting></filter>",
    "what moves points": "<filter id='f'><feDisplacementMap/><feConvolveMatrix/></filter>",
    "a thousand paths of one gradient": '<linearGradient id="a"><stop/><stop/></linearGradient>'
    + '<path fill="url(#a)"/>' * 1000,
}


@pytest.mark.parametrize("part", NOTES.values(), ids=NOTES)
def test_what_draws_and_no_more_is_taken(tmp_path, part):
    assert drawn(tmp_path, blue_door.DRAWING.replace("<path", f"{part}<path", 1).encode()).media_type == "image/svg+xml"


PICTURES = {
    "image/png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0",
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\0" * 20 + b"\xff\xda\0\x0c",
    "image/webp": b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07",
}


@pytest.mark.parametrize(("media_type", "content"), PICTURES.items())
def test_a_picture_is_known_by_its_head(tmp_path, media_type, content):
    assert drawn(tmp_path, content).media_type == media_type


def test_a_logo_that_is_away_keeps_nobody_from_a_command_that_shows_no_page(tmp_path):
    """`config check` and the start refuse it, by name."""
    file = tmp_path / "mine.toml"
    file.write_text('[site]\nlogo = "/nowhere.svg"')
    assert load_settings(file, {}).site.logo == "/nowhere.svg"
    checked = CliRunner().invoke(group, ["config", "check", str(file)])
    assert isinstance(checked.exception, SettingsRefused)
    assert CliRunner().invoke(group, ["recipe", "nginx", "--config", str(file)]).exit_code == 0
