"""Pages are the operator's own: nothing of the shipped example is on another one's, and nothing that is not there."""

import re

import msgspec
import pytest
from support import blue_door, inside
from support.blue_door import ACCENT, ACCENT_DARK, ACCOUNT, CAFE, CAFE_NAME, FOOTER, NAME, OTHERS, SHOP
from support.people import email, named

from gateway.consent.codes import ACCESS
from gateway.settings.load import SettingsRefused, load_settings
from gateway.web.shell import words
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


def of_the_example(text):
    return [word for word in OTHERS if word in text.lower()]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_is_the_shops_own_in_each_language(at, language):
    async with at(SHOP) as client:
        pages = await every_page(client, language)
    for text in pages:
        assert of_the_example(text) == []
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
    assert of_the_example(text) == ["talkatone", "ooma"]


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
            assert of_the_example(answer.text) == [], path


def test_a_letter_says_whose_it_is_and_nobody_elses():
    for language in LANGUAGES:
        for kind in ("email", "phone"):
            letter = words.written(language, NAME, ACCESS, kind)("12345678")
            assert NAME in letter.text
            assert of_the_example(letter.text) == []
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
    assert "It covers this browser." in text
    assert re.findall('<(?:input|select) [^>]*name="(\\w+)"', text) == ["token", "purpose", "purpose", "purpose"]
    assert "sign in" not in text


@pytest.mark.parametrize(("sdks", "told"), [((), False), (("teemo",), True)])
async def test_an_app_is_known_by_the_sdks_in_it_where_nobody_said(tmp_path, sdks, told):
    text = await shown(tmp_path, "", "", sdks)
    assert ("You find the same choice in our app, in its settings." in text) is told
    assert "<header>" not in text, "without a name or a logo there is none"
    assert "Your phone number" in text
    assert of_the_example(text) == []


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


# --- what refuses to start -----------------------------------------------------------------------------------------

REFUSED = [
    ('[site]\nlogo = "/nowhere/logo.svg"', r":2: \[site\] logo: there is no such file; write the path of an SVG"),
    ('[site]\naccent = "#ffcc00"', r":2: \[site\] accent: 1\.5 to 1 against the page's #ffffff.*; write \"#[0-9a-f]{6}\""),
    ('[site]\naccent_dark = "#123f8c"', r":2: \[site\] accent_dark: 1\.8 to 1 against the page's #16181c.*; write \"#"),
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
        load_settings(file, {})


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
    return load_settings(file, {})


SVG = blue_door.DRAWING.encode()
FILES = {
    "a type of its own": b'<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG,
    "another alphabet": blue_door.DRAWING.encode("utf-16"),
    "another alphabet by its word": b'<?xml version="1.0" encoding="iso-8859-1"?>' + SVG,
    "no end": SVG[:-6],
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
    assert drawn(tmp_path, text.encode()).site.logo
