"""`gateway report`: how often the answer was no, to whom, why and where; and in shadow mode, how often it would be."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import click

from gateway.cli import options
from gateway.consent import decision_log
from gateway.consent.decision_log import ALLOWED, LIVE, PARTLY, SHADOW, Cell
from gateway.consent.shadow import is_held
from gateway.settings.sections import LONGEST_SHADOW
from gateway.terms import Reason

OF_CHECKS = frozenset({"", "check", "openrtb"})  # "": counted by an older version, which knew no other doors


@click.group(help="Numbers for whoever runs ads: counts only, of nobody.")
def report() -> None:
    pass


@report.command(
    help="Noes by recipient, reason and place, with how many answers there were; dry runs apart. Counts of the last ten"
    " seconds are not in it yet."
)
@options.data
@click.option("--from", "since", type=options.DAY, required=True, help="From this day on (UTC).")
@options.as_json
def denies(data: Path, since: date, as_json: bool) -> None:
    counted, answers = Counter[Cell](), Counter[tuple[str, str]]()
    for cell, count in decision_log.counted(options.answered_from(data), since).items():
        if cell.door in OF_CHECKS:
            counted[cell._replace(door="")] += count
            answers[cell.recipient, cell.mode] += count
    rows = [
        (cell, count, answers[cell.recipient, cell.mode])
        for cell, count in counted.most_common()
        if cell.verdict != ALLOWED
    ]
    if as_json:
        told = [{**cell._asdict(), "count": count, "of": of} for cell, count, of in rows]
        click.echo(json.dumps([{name: value for name, value in each.items() if name != "door"} for each in told]))
        return
    for cell, count, of in rows:
        share = f"{count:>10} of {of:<10}"
        mode = "" if cell.mode == LIVE else f"  ({cell.mode})"
        click.echo(f"{share}  {cell.recipient:<20} {cell.verdict:<7} {cell.reason:<24} {cell.place}{mode}")
    if not rows:
        click.echo("no answer was no")


ALREADY, WOULD = "denied_already", "would_be_denied"
COLUMNS = ("asked", ALLOWED, PARTLY, ALREADY, WOULD)
TITLES = ("door", "asked", "allowed", "in part", "denied already", "would be denied")
MOST_PLACES = 5  # of a line; JSON has all
HELPS: Mapping[str, str] = {
    Reason.OPT_IN_REQUIRED: "there silence is a no: whoever says yes on the choices page is allowed",
    Reason.PLACE_UNKNOWN: "nobody knows where they are: [places] header, or database",
    Reason.NOT_NOTIFIED: "nobody was told: [notice] told_everyone, and announced of the recipient",
    Reason.NOTICE_NOT_RIPE: "the notice is young: it opens by itself",
    Reason.NO_NOTICE_AT_COLLECTION: "taken while no notice was posted: [notice] gaps",
    Reason.NO_CONTRACT: "no contract is in force: [recipients.NAME] contract, contract_until",
    Reason.NO_TRANSFER_BASIS: "nothing lets it leave Europe: [recipients.NAME] transfer_basis",
    Reason.PURPOSE_NOT_REGISTERED: "not what the recipient is for: [recipients.NAME] purposes",
    Reason.CLASS_NOT_REGISTERED: "not what the recipient gets: [recipients.NAME] data",
    Reason.UNKNOWN_RECIPIENT: "nobody of that name: [recipients.NAME]",
    Reason.UNLINKED: "no account is known for them: POST /v1/links",
    Reason.UNDECLARED_IDENTIFIER: "a kind of id that nobody declared: [identifiers] declared",
    Reason.NO_IDENTIFIER: "the caller names nobody",
    Reason.MALFORMED: "the caller sends what cannot be read: gateway explain --request",
}


class ShadowReason(NamedTuple):
    """One reason at one door: how often something was denied for it, and where people were."""

    door: str
    recipient: str
    reason: str
    verdict: str
    places: Counter[str]

    @property
    def column(self) -> str:
        return PARTLY if self.verdict == PARTLY else ALREADY if is_held(self.reason) else WOULD


class ShadowReport(NamedTuple):
    """Counts of shadow mode: by door how many were asked and what became of them, and why, the most frequent first."""

    since: date
    doors: Mapping[str, Counter[str]]
    why: list[ShadowReason]


@report.command(
    help="What enforcement would deny, by door, recipient, reason and place, of what was asked in shadow mode ([shadow]"
    " until): for whoever decides when to end it (gateway help shadow). Counts of the last ten seconds are not in it"
    " yet."
)
@options.data
@click.option("--from", "since", type=options.DAY, help="From this day on (UTC); without it 90 days ago.")
@options.as_json
def shadow(data: Path, since: date | None, as_json: bool) -> None:
    since = since or datetime.now(UTC).date() - LONGEST_SHADOW - timedelta(days=1)
    found = _summed(decision_log.counted(options.answered_from(data), since), since)
    if as_json:
        click.echo(json.dumps(_plainly(found)))
    else:
        click.echo("\n".join(_page(found)))


def _summed(counted: Mapping[Cell, int], since: date) -> ShadowReport:
    doors, why = dict[str, Counter[str]](), dict[tuple[str, ...], ShadowReason]()
    for cell, count in counted.items():
        if cell.mode != SHADOW:
            continue
        door = doors.setdefault(cell.door, Counter())
        door["asked"] += count
        if cell.verdict == ALLOWED:
            door[ALLOWED] += count
            continue
        key = (cell.door, cell.recipient, cell.reason, cell.verdict)
        each = why.setdefault(key, ShadowReason(*key, Counter()))
        each.places[cell.place] += count
        door[each.column] += count
    return ShadowReport(since, dict(sorted(doors.items())), sorted(why.values(), key=lambda each: -each.places.total()))


def _plainly(found: ShadowReport) -> dict[str, Any]:
    return {
        "since": found.since.isoformat(),
        "doors": [{"door": name, **{each: door[each] for each in COLUMNS}} for name, door in found.doors.items()],
        "why": [
            {
                "door": each.door,
                "recipient": each.recipient,
                "reason": each.reason,
                "verdict": each.verdict,
                "held": is_held(each.reason),
                "count": each.places.total(),
                "of": found.doors[each.door]["asked"],
                "places": dict(each.places.most_common()),
            }
            for each in found.why
        ],
    }


def _page(found: ShadowReport) -> Iterator[str]:
    yield f"Shadow mode: what was asked since {found.since} (UTC), and what enforcement does with it"
    if not found.doors:
        yield "nothing was asked in shadow mode ([shadow] until)"
        return
    yield ""
    yield _row(TITLES)
    for name, door in found.doors.items():
        yield _row((name, *(f"{door[each]:,}{_part(door[each], door['asked'], each)}" for each in COLUMNS)))
    yield ""
    yield "denied already: somebody's no, an age or a ban. Pages are enforced already; whoever asks obeys each no."
    for title, column in (
        ("would be denied for want of something, once [shadow] is out:", WOULD),
        ("denied already:", ALREADY),
        ("allowed in part:", PARTLY),
    ):
        lines = [each for each in found.why if each.column == column]
        yield from ["", title] if lines else []
        for each in lines:
            yield from _lines_of(each, found.doors[each.door]["asked"])


def _lines_of(each: ShadowReason, asked: int) -> Iterator[str]:
    count = each.places.total()
    more = len(each.places) - MOST_PLACES
    places = ", ".join(f"{place} {number:,}" for place, number in each.places.most_common(MOST_PLACES))
    yield f"  {count:>11,}{_part(count, asked)}  {each.door}  {each.recipient}  {each.reason}"
    yield f"               in {places}{f' and {more} more' if more > 0 else ''}"
    if each.column == WOULD and each.reason in HELPS:
        yield f"               {HELPS[each.reason]}"


def _row(cells: tuple[str, ...]) -> str:
    return f"{cells[0]:<24}" + "".join(f"{each:>21}" for each in cells[1:])


def _part(count: int, of: int, column: str = "") -> str:
    """The share of what was asked; nothing of "asked" itself."""
    return "" if column == "asked" else f" ({100 * count / of:.1f} %)"
