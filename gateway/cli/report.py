"""`gateway report`: how often the answer was no, to whom, why and where."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path

import click

from gateway import decision_log
from gateway.cli import options


@click.group(help="Numbers for whoever runs ads: counts only, of nobody.")
def report() -> None:
    pass


@report.command(
    help="Noes by recipient, reason and place, with how many answers there were; dry runs apart. Counts of the last ten"
    " seconds are not in it yet."
)
@options.data
@click.option("--since", "moment", type=options.DAY, required=True, help="From this day on (UTC).")
@options.as_json
def denies(data: Path, moment: datetime, as_json: bool) -> None:
    counted = decision_log.counted(options.answered_from(data), moment.date())
    answers: Counter[tuple[str, str]] = Counter()
    for cell, count in counted.items():
        answers[cell.recipient, cell.mode] += count
    rows = [
        (cell, count, answers[cell.recipient, cell.mode])
        for cell, count in counted.most_common() if cell.verdict != "allowed"
    ]  # fmt: skip
    if as_json:
        click.echo(json.dumps([{**cell._asdict(), "count": count, "of": of} for cell, count, of in rows]))
        return
    for cell, count, of in rows:
        share = f"{count:>10} of {of:<10}"
        mode = "" if cell.mode == "live" else f"  ({cell.mode})"
        click.echo(f"{share}  {cell.recipient:<20} {cell.verdict:<7} {cell.reason:<24} {cell.place}{mode}")
    if not rows:
        click.echo("no answer was no")
