"""`gateway init`: six operators who are nobody's example write their own configuration, are told what is missing, and
share nothing until they said it.
"""

import contextlib
import json
import os
import re
import sys
import time
import urllib.request
from datetime import date

import anyio
import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs
from support import forked, inside
from support.people import GAID, named
from support.ports import free_port

from gateway.app.service import in_front_of
from gateway.cli import init as command
from gateway.cli.options import stated_settings
from gateway.cli.root import group
from gateway.keys import api_keys
from gateway.settings.load import SettingsRefused, example_file, load_settings
from gateway.settings.unsaid import unsaid

pytestmark = pytest.mark.anyio

ADS = "adnet:third_party:targeted_ads,sharing:ad_id,device_id,ip"
OPERATORS = {
    "shop": "--name|Example Shop|--site|https://www.shop.example|--place|US|--front|nginx|--mail|mail.shop.example"
    f"|--mail-from|privacy@shop.example|--recipient|{ADS}|--recipient|till:service_provider:service:contact,account",
    "newspaper": "--name|The Example Post|--site|https://www.post.example|--site|https://m.post.example|--place|US-CA"
    f"|--place|US|--front|asgi|--recipient|{ADS}",
    "app only": f"--name|Example Game|--app|--place|US|--recipient|{ADS}",
    "ad server only": f"--name|Example Ads|--place|US|--recipient|{ADS}|--recipient|bidder-2:third_party:sale:ad_id",
    "Canada": f"--name|L'Exemple|--site|https://www.exemple.example|--place|CA|--place|CA-QC|--front|caddy|--recipient|{ADS}",
    "EEA": f"--name|Beispiel «Ü»|--site|https://www.beispiel.example|--place|DE|--place|FR|--recipient|{ADS}",
}
SITES = ("https://www.shop.example", "https://m.shop.example")
DAY = date(2026, 11, 29)
PLACE = {"Canada": "CA", "EEA": "DE"}  # where the person is who is asked about; the others' is in New York
ANOTHERS = re.compile("talkatone|teemo|flurry|ooma|notice-for-california|colorado-resident", re.IGNORECASE)
# What an operator fills in, in the order in which a verdict asks, and what the check says then.
STEPS = (("contract", '"C-2026-17"'), ("announced", "2026-06-01"), ("told_everyone", "2026-07-01"))
REASONS = ["no_contract", "not_notified", "not_notified"]


@pytest.fixture(autouse=True)
def nobodys_example(monkeypatch):
    """These operators have files of their own."""
    monkeypatch.delenv("GATEWAY_CONFIG")


def run(*words, **more):
    return CliRunner().invoke(group, [str(word) for word in words], catch_exceptions=False, **more)


def begun(operator, folder):
    """(the file that they wrote, what they were told)"""
    done = run("init", folder / "gateway.toml", *OPERATORS[operator].split("|"))
    assert done.exit_code == 0, done.output
    return folder / "gateway.toml", done.output


def say(file, option, value):
    """Fills in the first line that waits for it, as an operator would."""
    text, count = re.subn(rf"^# {option} = \S+", f"{option} = {value}", file.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1, option
    file.write_text(text)


def shut(file):
    """What `gateway config check` says is shut."""
    told = run("config", "check", file)
    assert told.exit_code == 0, told.output
    part = told.output.partition("shut until you say more:\n")[2].partition("left out until")[0]
    return re.findall(r"^  (\[\S+\](?: \w+)?): .+; write .+$", part, re.MULTILINE)


class Gateway:
    """What a service says that is started with a file, each time anew on one folder."""

    def __init__(self, folder, file):
        self.data, self.file = inside.install(folder / "data"), file
        self.key = api_keys.add_api_key(self.data, "ads", ["check"], publishable=False)

    async def asked(self, place):
        """(the answer to one and the same check, the pages of choices and of one's data, gpc.json)"""
        settings = load_settings(self.file, {"GATEWAY_LISTEN__LEVEL_ANSWERS": "false"})
        body = {"identifiers": [named("gaid", GAID)], "recipient": "adnet", "purpose": "targeted_ads", "place": place}
        async with (
            inside.application(self.data, settings, dev=False) as app,
            inside.client(app, Authorization=f"Bearer {self.key}") as client,
        ):
            answer = await client.post("/v1/check", json={**body, "data": ["ad_id"]})
            for _ in range(100):  # a machine that does much else has a lease run out now and then
                if answer.json()["reason"] != "stale":
                    break
                await anyio.sleep(0.1)
                answer = await client.post("/v1/check", json={**body, "data": ["ad_id"]})
            pages = [(await client.get(f"/privacy-choices{path}")).text for path in ("", "/data")]
            gpc = (await client.get("/.well-known/gpc.json")).json()
        return answer.json(), "".join(pages), gpc


@pytest.mark.parametrize("operator", OPERATORS)
async def test_an_operator_begins_with_a_file_of_their_own_and_shares_nothing_before_they_said_all_of_it(
    tmp_path, operator
):
    file, told = begun(operator, tmp_path)
    assert not ANOTHERS.search(file.read_text() + told)
    gateway, place = Gateway(tmp_path, file), PLACE.get(operator, "US-NY")
    missing, reasons = shut(file), []
    for step, reason in zip(STEPS, REASONS, strict=True):
        answer, page, gpc = await gateway.asked(place)
        assert (answer["allowed"], answer["reason"]) == (False, reason)
        reasons.append(answer["reason"])
        say(file, *step)
        assert len(shut(file)) == len(missing) - 1, "one thing less is missing"
        missing = shut(file)
    assert gpc == {"gpc": True}
    assert 'href=""' not in page
    assert "Notice to residents" not in page
    assert "Privacy Policy" not in page
    answer, *_ = await gateway.asked(place)
    if operator == "EEA":
        assert (answer["allowed"], answer["reason"]) == (False, "no_transfer_basis")
        say(file, "transfer_basis", '"scc"')
        answer, *_ = await gateway.asked(place)
    opens = operator not in {"EEA", "Canada"}  # there the person is asked first
    assert (answer["allowed"], answer["reason"]) == (opens, "no_choice" if opens else "opt_in_required")


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
def test_the_service_itself_starts_with_it_and_says_what_is_missing(tmp_path, operator):
    file, _ = begun(operator, tmp_path)
    data = inside.install(tmp_path / "data")
    ports = {name: free_port() for name in ("PUBLIC", "INTERNAL", "METRICS")}
    listen = {f"GATEWAY_LISTEN__{name}": f"127.0.0.1:{port}" for name, port in ports.items()}
    words = [sys.executable, "-m", "gateway", "serve", "--data", str(data)]
    running = forked.start(words, tmp_path / "log", os.environ | listen | {"GATEWAY_CONFIG": str(file)})
    try:
        assert ready(ports["INTERNAL"], running)
    finally:
        running.terminate()
        running.wait(60)
    lines = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert [line["rule"] for line in lines if line["event"] == "shut until it is said"] == shut(file)


def ready(port, running):
    until = time.monotonic() + 60
    while running.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10).status == 200
        time.sleep(0.05)
    return False


async def test_whoever_names_no_recipient_has_none_and_is_told_so(tmp_path):
    file = tmp_path / "new" / "config.toml"
    done = run("init", tmp_path / "new", "--name", "Example Shop")
    assert (done.exit_code, shut(file), load_settings(file, {}).recipients) == (
        0,
        ["[recipients]", "[phone] country"],
        {},
    )
    assert "[recipients]: none is named, so nothing may be shared with anybody; write [recipients.NAME]" in done.output
    answer, *_ = await Gateway(tmp_path, file).asked("US-NY")
    assert "allowed" not in answer or answer["allowed"] is False


@pytest.mark.parametrize("operator", OPERATORS)
def test_what_waits_behind_a_sign_is_refused_or_opens_nothing_until_it_is_filled_in(tmp_path, operator):
    """Whoever takes the signs away and fills in nothing has said nothing."""
    file, _ = begun(operator, tmp_path)
    text, before = file.read_text(), unsaid(load_settings(file, {}), DAY)
    waiting = re.findall(r"^# (\w+ = .+)$", text, re.MULTILINE)
    assert len(waiting) > 12
    for line in waiting:
        file.write_text(text.replace(f"# {line}", line, 1))
        with contextlib.suppress(SettingsRefused):
            after = unsaid(load_settings(file, {}), DAY)
            assert [each for each in before if each.shuts] == [each for each in after if each.shuts], line


def test_what_is_there_is_never_overwritten_and_what_cannot_be_meant_is_not_begun(tmp_path):
    file, _ = begun("shop", tmp_path)
    kept = file.read_text()
    again = run("init", file, "--name", "Another")
    assert (again.exit_code, file.read_text()) == (2, kept)
    assert "is there already, and stays as it is" in again.output
    new = tmp_path / "new.toml"
    for words, why in [
        (("--site", "http://www.shop.example"), r"new\.toml:\d+: \[site\] url: is no exact origin.*; write "),
        (("--recipient", "adnet:friend:sale:ad_id"), r"new\.toml:\d+: \[recipients\.adnet\] role: .*; write "),
        (("--recipient", "a b:third_party:sale:ad_id"), r"new\.toml:\d+: \[recipients\.'a b'\]: .*; write "),
        (("--mail", "mail.shop.example"), r"\[mail\] from_address: "),
    ]:
        with pytest.raises(SettingsRefused, match=why):
            run("init", new, "--name", "Example", *words)
    for words in (("--place", "UK"), ("--place", "US\n[site]"), ("--recipient", "adnet"), ("--front", "apache")):
        assert run("init", new, "--name", "Example", *words).exit_code == 2
    assert run("init", new).exit_code == 2, "nobody is there to be asked for a name"
    assert not new.exists()


def test_on_a_terminal_it_asks(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "is_terminal", lambda: True)
    answers = ["Example Shop", "https://www.shop.example https://m.shop.example", "y", "UK", "US CA", "nginx",
               "mail.shop.example", "privacy@shop.example", "adnet", "third_party", "sale sharing", "ad_id", ""]  # fmt: skip
    done = run("init", tmp_path / "mine.toml", input="\n".join(answers) + "\n")
    assert done.exit_code == 0, done.output
    mine = load_settings(tmp_path / "mine.toml", {})
    assert (mine.site.name, mine.site.url, mine.site.origins) == ("Example Shop", SITES[0], SITES[1:])
    assert (mine.phone.country, mine.phone.countries, mine.mail.from_address) == ("US", ("CA",), "privacy@shop.example")
    assert [*mine.recipients] == ["adnet"]
    assert (mine.recipients["adnet"].role, mine.recipients["adnet"].data) == ("third_party", ("ad_id",))
    assert "[recipients.adnet] contract: without one nothing goes there" in done.output


def test_who_tries_it_out_without_a_file_has_the_example_and_whoever_has_one_their_own(tmp_path, monkeypatch):
    file, _ = begun("shop", tmp_path)
    assert stated_settings(None, dev=True) == load_settings(example_file(), {})
    assert stated_settings(None).recipients == {}
    assert stated_settings(file, dev=True) == load_settings(file, {})
    monkeypatch.setenv("GATEWAY_CONFIG", str(file))
    assert stated_settings(None, dev=True) == stated_settings(None) == load_settings(file, {})


async def test_a_site_that_it_is_mounted_in_is_told_what_is_missing_too(tmp_path):
    file, _ = begun("newspaper", tmp_path)
    with capture_logs() as lines:
        async with inside.lifespan(in_front_of(None, data=inside.install(tmp_path / "data"), config=file)):
            pass
    assert [line["rule"] for line in lines if line["event"] == "shut until it is said"] == shut(file)
