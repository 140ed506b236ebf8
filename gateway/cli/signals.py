"""`gateway decode` and `gateway encode`: what a signal says, with the numbers of a US section in words (their GPP
specification's), and how it is written.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.app import from_settings
from gateway.cli import options
from gateway.signals import adchoices, additional_consent, cookies, gpp, hear, tcf, usprivacy
from gateway.signals.cmp_cookies import read_tool as read_tools
from gateway.signals.cmp_cookies.values import ToolState
from gateway.signals.hear import Hearing
from gateway.signals.heard import Reading, stated

OPT_OUT = {0: "not applicable", 1: "opted out", 2: "did not opt out", 3: "reserved"}
NOTICE = {0: "not applicable", 1: "notice given", 2: "notice not given", 3: "reserved"}
CONSENT = {0: "not applicable", 1: "no consent", 2: "consent", 3: "reserved"}
YES_NO = {0: "not applicable", 1: "yes", 2: "no", 3: "reserved"}
MODE = {0: "not applicable", 1: "opt-out option mode", 2: "service provider mode", 3: "reserved"}
# The first ending that fits.
ENDINGS: tuple[tuple[str, Mapping[int, str]], ...] = (
    ("Notice", NOTICE),
    ("OptOut", OPT_OUT),
    ("Consent", CONSENT),
    ("Consents", CONSENT),
    ("SensitiveDataProcessing", CONSENT),
    ("MspaMode", MODE),
    ("MspaCoveredTransaction", YES_NO),
    ("Mode", YES_NO),
)
SENSITIVE_IS_OPT_OUT = frozenset({"usca", "usut", "usia"})


def meaning(section: str, field: str, value: object) -> str:
    """` (opted out)` behind a number of a US section; empty for everything else."""
    if not section.startswith("us") or isinstance(value, bool):
        return ""
    words: Mapping[int, str] = next((words for ending, words in ENDINGS if field.endswith(ending)), {})
    if field == "SensitiveDataProcessing" and section in SENSITIVE_IS_OPT_OUT:
        words = OPT_OUT
    values = value if isinstance(value, list) else [value]
    found = [words[each] for each in values if isinstance(each, int) and each in words]
    return f" ({', '.join(dict.fromkeys(found))})" if found else ""


LINES = "-"
FORMATS: Mapping[str, Callable[[str], Reading]] = {
    "gpp": gpp.read_gpp_string,
    "tcf": tcf.read_eu,
    "usp": usprivacy.read_usprivacy,
    "ac": additional_consent.read_additional_consent,
    "adchoices": adchoices.read_adchoices,
}


def _numbers(_context: click.Context, _option: click.Parameter, value: str | None) -> list[int] | None:
    try:
        return [int(item) for item in value.split(",")] if value else None
    except ValueError:
        raise click.BadParameter("numbers joined by commas, as 7 or 7,8") from None


@click.command(
    help="Show what a signal string, or a Cookie header, says, exactly as it stands. `-`: a value a line from standard"
    " input, a JSON object a line."
)
@click.argument("form", type=click.Choice([*FORMATS, "cookies"]))
@click.argument("value", required=False, default=LINES)
@options.config
@click.option("--gpp-sid", callback=_numbers, help="The applicable sections, as 7 or 7,8; -1: none. Without it all.")
@options.as_json
def decode(form: str, value: str, file: Path | None, gpp_sid: list[int] | None, as_json: bool) -> None:
    hearing = from_settings.hearing(options.stated_settings(file))

    def read(text: str) -> dict[str, Any]:
        if form == "cookies":
            return _cookies(text, hearing)
        return (gpp.read_gpp_string(text, gpp_sid) if form == "gpp" else FORMATS[form](text)).as_json()

    if value == LINES:
        for line in _lines():
            click.echo(orjson.dumps(read(line)))
        return
    found = read(value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
    click.echo(orjson.dumps(found) if as_json else "\n".join(_table(found)))
    sys.exit(0 if found["ok"] else 1)


@click.command(help="Write a GPP string from what `decode gpp --json` shows. `-`: a JSON object a line.")
@click.argument("form", type=click.Choice(["gpp"]))
@click.argument("value", required=False, default=LINES)
def encode(form: str, value: str) -> None:
    del form  # the one there is
    for line in _lines() if value == LINES else [value]:
        try:
            body = orjson.loads(line)
            click.echo(gpp.write_gpp_string(body["sections"], body.get("absent", ())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise click.UsageError(f"not a decoded GPP string: {error}") from None


def _lines() -> Iterable[str]:
    """Lines of standard input as they are; bytes that are no UTF-8 stay what they are, one code point a byte."""
    for line in sys.stdin.buffer:
        raw = line.rstrip(b"\r\n")
        try:
            yield raw.decode()
        except UnicodeDecodeError:
            yield raw.decode("latin-1")


def _cookies(header: str, hearing: Hearing) -> dict[str, Any]:
    raw = header.encode("latin-1", "replace")
    jar, _ = cookies.parse_cookies([raw])
    heard = hear.from_web([(b"cookie", raw)], hearing)
    said = [_tool(state) for state in read_tools(jar, hearing.categories) if isinstance(state, ToolState)]
    choices = {purpose.value: word.value for purpose, word in stated(heard.denied).items()}
    errors = [f"{item.channel}: {item.reason}" for item in heard.malformed]
    outcome = {"ok": False, "error": errors[0]} if errors else {"ok": True, "absent": []}
    return {**outcome, "cookies": said, "choices": choices}


def _tool(state: ToolState) -> dict[str, Any]:
    shown = "carried" if state.carried and not state.denied else state.shown.value  # what it says, its reader says
    return {
        "tool": state.tool,
        "cookie": state.cookie,
        "shown": shown,
        "act": state.act,
        "denied": sorted(state.denied),
        "carried": [each.channel for each in state.carried],
    }


def _table(found: Mapping[str, Any]) -> Iterable[str]:
    """The same for a person to read."""
    yield "valid" if found["ok"] else f"not valid: {found['error']}"
    yield from (f"  {purpose:<14} {word}" for purpose, word in found["choices"].items())
    for name, fields in found.get("sections", {}).items():
        yield f"{name}"
        yield from (f"  {field:<40} {_shown(value)}{meaning(name, field, value)}" for field, value in fields.items())
    for tool in found.get("cookies", ()):
        yield f"{tool['cookie']} ({tool['tool']}): {tool['shown']} {', '.join(tool['denied'])}".rstrip()
    if found.get("absent"):
        yield f"not there, shown with the specification's defaults: {', '.join(found['absent'])}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(int(item) if isinstance(item, bool) else item) for item in value) or "none"
    return str(value)
