"""`gateway verify`: whether the ledger is what it says; `gateway prune`: what retention no longer keeps."""

import os
import sys
from pathlib import Path

import click
import orjson

from gateway import app as composition
from gateway import settings as settings_of
from gateway.cli import options
from gateway.ledger.verify import Report

SHOWN = 20  # differences in words; --json has them all


@click.command(
    help="Read the whole ledger: the tree made again from the bytes of every entry, every standing made again from the"
    " entries. Exit code 0: all is as it should be; 1: something differs. `gateway help verify` says what that proves."
)
@options.data
@options.config
@click.option("--vault", "boxes", is_flag=True, help="Open the sealed boxes of every entry too.")
@options.as_json
def verify(data: Path, file: Path | None, boxes: bool, as_json: bool) -> None:
    report, keys = composition.verify(data, settings_of.load(file, os.environ), boxes=boxes)
    click.echo(_json(report, keys) if as_json else "\n".join(_words(report, keys)))
    sys.exit(0 if report.passed else 1)


def _json(report: Report, keys: tuple[str, ...]) -> str:
    last = report.checkpoint
    signed = {"origin": last.origin, "size": last.size, "root": last.root.hex()} if last else None
    body = {"passed": report.passed, "entries": report.entries, "pruned": report.pruned, "checkpoint": signed,
            "keys": keys, "standings": {"short": report.short, "lived": report.lived}, "boxes": report.opened,
            "different": report.different}  # fmt: skip
    return orjson.dumps(body).decode()


def _words(report: Report, keys: tuple[str, ...]) -> list[str]:
    last = report.checkpoint
    pruned = f", the first {report.pruned} of them by their hashes" if report.pruned else ""
    lines = [f"{report.entries} entries{pruned}"]
    lines.append(f"last checkpoint: {last.size} entries of {last.origin}" if last else "there is no last checkpoint")
    lines += [f"signed by: {key}" for key in keys]
    lines.append(f"standings made again: {report.short} the short way, {report.lived} by the real rules")
    if report.opened is not None:
        lines.append(f"boxes opened: {report.opened}")
    lines += [f"DIFFERENT: {text}" for text in report.different[:SHOWN]]
    if len(report.different) > SHOWN:
        lines.append(f"and {len(report.different) - SHOWN} more (--json)")
    return [*lines, "passed" if report.passed else "NOT PASSED"]


@click.command(
    help="Take away what [retention] no longer keeps: details, then bodies of entries. What a standing rests on is"
    " restated first; hashes stay, old receipts still verify, and the ledger verifies before and after."
)
@options.data
@options.config
@click.option("--dry-run", is_flag=True, help="Only tell what that would be.")
def prune(data: Path, file: Path | None, dry_run: bool) -> None:
    pruned = composition.prune(data, settings_of.load(file, os.environ), dry_run=dry_run)
    plan, verb = pruned.plan, "went" if pruned.done else "would go"
    click.echo(f"{plan.bodies} bodies below entry {plan.below} {verb}, {len(plan.needed)} of them restated")
    click.echo(f"details of {plan.details} entries {verb}")
