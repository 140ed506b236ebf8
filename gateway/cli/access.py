"""`gateway access`: what is held about somebody and who received it, for the desk (R5, R12, R22)."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.cli import options
from gateway.web import access_report

OUTCOMES = {"sent": "sent", "possible": "may have been sent", "unknown": "nobody can tell whether it arrived"}


@click.command(
    help="What is held about whoever has these identifiers, and who received what and when. Only after you made sure"
    " that they are theirs: it shows nothing of who had a number before."
)
@options.data
@options.config
@options.identifiers
@options.as_json
def access(data: Path, file: Path | None, as_json: bool, **values: Any) -> None:
    with options.house(data, file) as house:
        named = house.consent.people.name(options.listed(values))
        if not named.subjects or named.ignored:
            raise click.UsageError("name identifiers that can be used, and no others")
        found = asyncio.run(access_report.of(house.consent, named.subjects))
    click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() if as_json else "\n".join(_told(found)))


def _told(found: Mapping[str, Any]) -> Iterator[str]:
    for each in found["standing"]:
        stands = {purpose: word for purpose, word in each["purposes"].items() if word != "none"}
        listed = ", ".join(f"{purpose} {word}" for purpose, word in stands.items())
        yield f"{each['type']}: {listed or 'nothing was chosen'}"
    yield from _part("Said and kept", [_entry(each) for each in found["entries"]])
    yield from _part("Who received what", [_received(each) for each in found["disclosures"]])


def _part(title: str, lines: list[str]) -> Iterator[str]:
    yield from ("", title, *(f"  {line}" for line in lines or ["nothing"]))


def _entry(each: Mapping[str, Any]) -> str:
    if each["what"] is None:
        return f"{each['at'][:16]}  {each['type']}: an entry whose body went by retention"
    return f"{each['at'][:16]}  {each['type']}: {each['what']} {', '.join(each['purposes'])} ({each['source'] or '-'})"


def _received(each: Mapping[str, Any]) -> str:
    what, why = ", ".join(each["data"]), ", ".join(each["purposes"])
    times = "once" if each["count"] == 1 else f"{each['count']} times"
    span = f"{each['first'][11:19]} to {each['last'][11:19]}"
    return f"{each['day']}  {each['recipient']}: {what} ({why}), {OUTCOMES[each['outcome']]}, {times}, {span} UTC"
