"""`gateway rehearse`: every way to opt out tried against every recipient, now; and what was found before. `gateway
hosts`: whom the site's pages talk to, beside the recipients that are registered.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from gateway.app import rehearsal_process
from gateway.app.in_force import in_force
from gateway.app.rehearsal_process import RehearsalOrder
from gateway.cli import options
from gateway.cli.progress import Progress
from gateway.desk import evidence
from gateway.evidence.rehearsing import enter_rehearsal
from gateway.keys import secret_files
from gateway.ledger.folder_store import store_in
from gateway.records import day as days
from gateway.rehearsal import outside
from gateway.web.site import hosts as seen


@click.command(
    help="Try every way to opt out that the configuration has open against every recipient, with made-up people in an"
    " installation that is made for it and thrown away. What was found is an entry of the ledger. Exit code 1 where"
    " anything failed. `gateway help rehearsal`."
)
@options.installation
@options.dev
@click.option("--only", default="", help="The ways whose name has this in it; such a run is not put on record.")
@click.option("--unrecorded", is_flag=True, help="Put nothing on record; no installation is needed.")
@click.option(
    "--live",
    "address",
    help="Rehearse nothing: ask the running service at its internal address, http://10.0.0.5:8081,"
    " whether it runs on this configuration and heeds each signal. Dry runs, which leave nothing behind.",
)
@click.option("--key-file", type=click.Path(path_type=Path, exists=True), help="With --live: a key of scope check.")
@click.option("--show", is_flag=True, help="Rehearse nothing: tell what is on record of a day.")
@click.option("--on", type=options.DAY, help="With --show: the day (UTC); without it the last one on record.")
@options.as_json
def rehearse(
    data: Path,
    file: Path | None,
    dev: bool,
    only: str,
    unrecorded: bool,
    address: str | None,
    key_file: Path | None,
    show: bool,
    on: date | None,
    as_json: bool,
) -> None:
    if show:
        found = list(_on_record(data, file, on))
        for told in found:
            _tell(told, as_json=as_json)
        if not found:
            click.echo("no rehearsal is on record" + (f" for {on}" if on else ""))
        sys.exit(0 if found and all(told["passed"] for told in found) else 1)
    settings = options.stated_settings(file, dev=dev)
    if address:
        if key_file is None:
            raise click.UsageError("--live asks with a key: --key-file")
        told = asyncio.run(outside.ask(address, key_file.read_text(encoding="utf-8").strip(), settings, dev=dev))
        told = {"from": datetime.now(UTC).isoformat(timespec="seconds"), **told}
    else:
        told = _now(RehearsalOrder(settings, dev, only), None if only or unrecorded else data, file)
    _tell(told, as_json=as_json)
    sys.exit(0 if told["passed"] else 1)


def _now(order: RehearsalOrder, data: Path | None, file: Path | None) -> dict[str, Any]:
    """What one finds that is made now; on record in `data`, where there is one."""
    if data:
        store_in(data).open_to_read().close()  # refuses now what could not be written to afterwards
    with Progress("rehearsing, which takes a minute or two"):
        made = rehearsal_process.rehearse(order)
    told = {"from": made.start.isoformat(timespec="seconds"), **made.content}
    if order.only and not (told.get("ways") or told.get("closed") or told["failed"]):
        raise click.UsageError(f"no way has {order.only!r} in its name")
    if data:
        with options.house(data, file, dev=order.dev) as house:
            documents = in_force(order.settings, dev=order.dev)
            told["seq"] = enter_rehearsal(house.writer, made, documents, datetime.now(UTC))
    return told


def _on_record(data: Path, file: Path | None, on: date | None) -> Iterator[dict[str, Any]]:
    with options.house(data, file) as house:
        with contextlib.closing(store_in(data).open_to_read()) as db:
            last = evidence.last_rehearsal(db)
        day = on or (last.until.date() if last else None)
        for item in days.told_that_day(data, house.consent.log_reader, day) if day else ():
            if "told" in item.content and (on or (last and item.seq == last.seq)):
                yield {"from": item.content["from"], "seq": item.seq, **item.content["told"]}


def _tell(told: Mapping[str, Any], *, as_json: bool) -> None:
    click.echo(json.dumps(told) if as_json else "\n".join(lines(told)))


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """What a rehearsal found, for a person to read."""
    word, entry = "passed" if told["passed"] else "FAILED", f", entry {told['seq']}" if "seq" in told else ""
    yield f"rehearsal of {told['from']}: {word}{entry}"
    for way, recipient, purpose, door, why in told["failed"]:
        yield "  failed: " + ", ".join(filter(None, (way, recipient, purpose, door, why)))
    if told["failures"] > len(told["failed"]):
        yield f"  and {told['failures'] - len(told['failed'])} more"
    if "live" in told:
        yield "  heeded by the running service: " + (", ".join(told["live"]) or "nothing could go before")
    if "ways" not in told:
        return
    yield f"  {len(told['ways'])} ways, the slowest no after {told['slowest_ms']} ms"
    for name, (proved, own, never, failed, took) in told["ways"].items():
        counts = f"{own} of yours proved, {proved - own} made up, {never} not allowed, {failed} failed"
        yield f"    {name:<40} {counts}, {took} ms"
    yield "  proved: " + (", ".join(told["proved"]) or "nothing")
    yield from (f"  could not be allowed here: {name} {purpose} ({why})" for name, purpose, why in told["not_allowed"])
    yield from (f"  not open here: {name} ({why})" for name, why in told["closed"].items())
    yield f"  {told['pages']} pages looked at from outside"


@click.command(
    help="List the hosts that pages were seen to talk to, with the first and the last day, and which recipient each is"
    " registered as. With [site] inventory on, the page's script tells them (gateway help script)."
)
@options.installation
@options.as_json
def hosts(data: Path, file: Path | None, as_json: bool) -> None:
    settings = options.stated_settings(file)
    # Refuses a folder that is none of a gateway's: "none was seen" would not be true of it.
    secret_files.load_secrets(data)
    recipients = {name: (str(item.role), item.hosts) for name, item in settings.recipients.items()}
    rows = [
        (each.host, each.first, each.last, seen.registered(each.host, recipients)) for each in seen.read_hosts(data)
    ]
    if as_json:
        named = [dict(zip(("host", "first", "last", "registered"), row, strict=True)) for row in rows]
        click.echo(orjson.dumps(named).decode())
        return
    width = max((len(host) for host, *_ in rows), default=4)
    for host, first, last, what in [("host", "first seen", "last seen", "registered as"), *rows]:
        click.echo(f"{host:{width}}  {first!s:10}  {last!s:10}  {what}")
    if not rows:
        click.echo("none was seen" if settings.site.inventory else "none was seen: [site] inventory is off")
