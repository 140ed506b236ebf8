"""What a page is given to paste in: the inline stub, the script's versioned address, and the policy's hashes."""

import base64
import hashlib
import json
import re
from importlib import resources
from pathlib import Path

import pytest
from support import node

from gateway.choice.downstream import READ, opted_out
from gateway.signals.gpp.layouts import BY_NAME
from gateway.web.shell.page import static, version

SCRIPT, STUB = "/privacy-choices/consent.js", Path(__file__).parent.parent.parent / "static" / "stub.js"
RECIPE = (resources.files("gateway") / "recipes" / "page.html").read_text()
CONTENT = static("consent.js")
INLINE = re.findall(r"<script>(.*?)</script>", RECIPE)
PROBE = "https://policy.invalid/"  # which nothing is asked of
KEEPS = 'BROWSER = "localStorage"'
STUB_BYTES = 800  # I11
SCRIPT_BYTES = 7150
SILENCE_BYTES = 3000  # loaded where the site enforces
TOOLS_BYTES = 1800  # loaded where a no is on record
SOURCE_BYTES = 16_000  # with comments; what is served before compression


@pytest.fixture(scope="module")
def esbuild(request):
    return node.packages(request.config.cache, "esbuild@0.28.2")


def test_the_inline_stub_is_small_as_printed():
    assert len(f"<script>{INLINE[0]}</script>".encode()) <= STUB_BYTES
    assert "\n" not in INLINE[0]


@pytest.mark.slow
def test_the_printed_stub_is_the_readable_one(esbuild):
    assert INLINE[0] == node.minified(esbuild, STUB.read_text())


@pytest.mark.slow
def test_the_pages_script_is_small(esbuild):
    assert len(node.minified(esbuild, CONTENT.decode()).encode()) <= SCRIPT_BYTES
    assert len(node.minified(esbuild, static("silence.js").decode()).encode()) <= SILENCE_BYTES
    assert len(node.minified(esbuild, static("tools.js").decode()).encode()) <= TOOLS_BYTES


def test_the_pages_script_is_small_with_its_comments():
    assert len(CONTENT) <= SOURCE_BYTES


def test_what_both_say_of_everybody_before_an_answer_is_what_the_gateway_says_of_whoever_is_out():
    out = opted_out()
    [said] = re.findall(r"const OUT = (\{.*\});", CONTENT.decode())
    full = json.loads(json.dumps(out.for_page()))
    assert json.loads(said) == {name: full[name] for name in ("gpp", "gpp_sid", "us_privacy", "consent_mode", "parsed")}
    for text in (INLINE[0], STUB.read_text()):
        assert re.findall(r'gppString: ?"([^"]*)"', text) == [out.gpp]
        assert re.findall(r"(?:sectionList|applicableSections): ?(\[\d+\])", text) == [str(out.gpp_sid)] * 2
        assert re.findall(r'uspString: ?"([^"]*)"', text) == [out.us_privacy]


def test_the_script_names_every_section_that_the_gateway_writes():
    [states] = re.findall(r'const STATES = "([a-z ]*)"', CONTENT.decode())
    named = {7: "usnat", **{at: f"us{state}" for at, state in enumerate(states.split(), 8)}}
    assert named == {section.id: section.name for section in BY_NAME.values() if section.id in READ}


def test_the_recipe_names_this_very_script():
    assert re.findall(rf'src="{SCRIPT}\?v=([0-9a-f]+)"', RECIPE) == [version(CONTENT)]


def test_the_recipe_prints_the_hashes_that_a_policy_needs():
    hashes = ["sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in INLINE]
    assert re.findall(r"'(sha256-[^']*)'", RECIPE) == hashes


def test_nothing_in_the_script_needs_leave_of_a_strict_policy():
    """No code made from text, no markup made from text, no style attribute, no other host."""
    for text in (
        CONTENT.decode(),
        STUB.read_text(),
        static("silence.js").decode().replace(PROBE, "").replace(KEEPS, ""),
        static("tools.js").decode(),
    ):
        for word in (
            "eval",
            "Function(",
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
            "http:",
            "https:",
            'setAttribute("style"',
            "localStorage",
            "document.cookie",
        ):
            assert word not in text


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["hosts.js", "silence.js", "tools.js"])
async def test_what_the_script_imports_is_there_for_the_operators_other_hosts(client, name):
    assert f'import(HOME + "{name}")' in CONTENT.decode()
    assert (await client.get(f"/privacy-choices/{name}")).headers["access-control-allow-origin"] == "*"


@pytest.mark.anyio
async def test_a_script_asked_for_by_its_version_is_kept_for_ever_and_without_it_for_an_hour(client):
    own = version(CONTENT)
    kept = {
        query: (await client.get(f"{SCRIPT}{query}")).headers["cache-control"] for query in ("", f"?v={own}", "?v=0")
    }
    assert kept == {
        "": "public, max-age=3600",
        f"?v={own}": "public, max-age=31536000, immutable",
        "?v=0": "public, max-age=3600",
    }
    answer = await client.get(f"{SCRIPT}?v={own}", headers={"Sec-GPC": "1", "Cookie": "usprivacy=1YYN"})
    assert (answer.content, "set-cookie" in answer.headers) == (CONTENT, False)
    assert answer.headers["content-type"].startswith("text/javascript")
