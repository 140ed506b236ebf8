"""`gateway drop`: a state's deletion list taken in and answered, for an officer. Files in, files out; they come and go
by the state's own doors (`fetch`, `send`), or by hand (`gateway help drop`).
"""

import asyncio
import contextlib
import json
import sys
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from io import FileIO
from itertools import groupby, islice
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, TypeVar, cast

import click

from gateway.app.composition import House
from gateway.choice import identity
from gateway.choice.deletion_list import (
    OPERATORS,
    UNVERIFIED,
    DeletionFile,
    DeletionKind,
    DeletionRequest,
    DeletionStatus,
    answer_lines,
    read_requests,
)
from gateway.choice.deletion_periods import ListDue, due, mechanism_of, mechanisms
from gateway.choice.identity.device import digest_of_nothing
from gateway.choice.identity.kinds import LAST_TEN, TELEVISION, TEN_ABROAD
from gateway.cli import options
from gateway.cli.progress import Progress
from gateway.delivery.deletion_platform import ADDRESS, DeletionPlatform, PlatformRefused
from gateway.desk import deletion_orders
from gateway.desk.deletion_orders import AGAIN, AMENDED, FRESH, STILL_OPEN, AnswerRow, Matched, NotDecided
from gateway.disk import write_durably
from gateway.ledger.acts import office_acts
from gateway.ledger.acts.office_acts import PART, ListedRequest, ListPart, PartTaken
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.folder_store import store_in
from gateway.ledger.subjects import Subject
from gateway.ledger.transaction import Job, Transaction
from gateway.signals import lines
from gateway.signals.lines import Columns, ListRow, NoHeader, RefusedLine

T = TypeVar("T")
TRIES, PAUSE = 20, 1.0  # of a part whose ledger is busy; each try waits some seconds itself
LOOKED_AT = 50  # digests of one job: a deletion takes some milliseconds, for which an opt-out may wait
# By which name of an identifier each kind of list means it.
NAMES = {
    DeletionKind.EMAIL: "email_sha256",
    DeletionKind.PHONE: LAST_TEN,
    DeletionKind.MAID: "ad_id_sha256",
    DeletionKind.CTVID: TELEVISION,
}
OPERATORS_OWN = "names and vehicles are nothing that is known here: this list is the operator's own to match"
UNKNOWN = "was never taken, or with another hash: nothing is over"
NOBODYS = "its hash is that of nothing, or of an id that stands for none"
FETCH_AGAIN = "the archive cannot be read to its end: fetch it again, what was entered is entered once"
# Of an archive that is cut off, broken, or locked.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)
OPEN = "open.csv"
DECISIONS = Columns(("id", "status"), ("id", "status"), others=True)
PROPOSED = {Matched.ACCOUNT: str(int(DeletionStatus.EXEMPTED))}
WHY = {
    Matched.ACCOUNT: "somebody has an account here: keep what the account needs (2), or delete it (3)",
    Matched.ORDERED: "not all who were told to delete have yet (gateway deliveries, gateway systems list), or nobody"
    " could be told",
}


@click.group(help="Take in and answer a state's deletion list, as California's DROP (gateway help drop).")
def drop() -> None:
    pass


@drop.command(
    "take",
    help="Take in lists as they were downloaded: the ZIP, or CSV files of it. Each request is a no to everything from"
    " then on, and is looked for among whoever is known here. What a list takes back is over. Lists of names and"
    " vehicles are refused. Rows that cannot be read are listed by number, and then the exit code is 1. A file may be"
    " taken again, also where a run was ended in the middle.",
)
@click.argument("files", nargs=-1, required=True, type=options.FILE)
@options.installation
@click.option("--place", default="US-CA", show_default=True, help="Whose list it is.")
def take(files: tuple[Path, ...], data: Path, file: Path | None, place: str) -> None:
    if place not in (known := sorted({each.place for each in mechanisms()})):
        raise click.UsageError(f"--place is a state with such a list: {', '.join(known)}")
    tally = ListsTally()
    with options.house(data, file) as house, contextlib.ExitStack() as stack:
        opened = (each for path in files for each in _opened(stack, path, tally))
        listed = sorted(opened, key=lambda each: each.file.kind is DeletionKind.REMOVED)
        with Progress("requests entered:") as progress:
            for each in listed:
                try:
                    _take(house, each, place, tally, progress)
                except DAMAGED:
                    tally.refuse(each.file.name, FETCH_AGAIN)
            found = _look(house, data, progress)
    click.echo(f"looked for everybody: {_told(found)}")
    sys.exit(0 if tally.whole else 1)


@dataclass(slots=True)
class ListsTally:
    """Whether everything could be read that was given."""

    whole: bool = True

    def refuse(self, what: str, why: str) -> None:
        self.whole = False
        click.echo(f"{what}: {why}", err=True)


class OpenedList(NamedTuple):
    """A file of a download, whose name was read."""

    file: DeletionFile
    opened: BinaryIO


def _opened(stack: contextlib.ExitStack, path: Path, tally: ListsTally) -> list[OpenedList]:
    """The lists in a file: itself, or what its archive holds."""
    if not zipfile.is_zipfile(path):
        return [*_named(path.name, partial(FileIO, path), stack, tally)]
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
        held = [(info.filename.rpartition("/")[2], info) for info in archive.infolist() if not info.is_dir()]
        return [each for name, info in held for each in _named(name, partial(archive.open, info), stack, tally)]
    except DAMAGED:
        tally.refuse(path.name, FETCH_AGAIN)
        return []


def _named(
    name: str, opens: Callable[[], IO[bytes]], stack: contextlib.ExitStack, tally: ListsTally
) -> Iterator[OpenedList]:
    try:
        file = DeletionFile.named(name)
    except ValueError as error:
        tally.refuse(name, str(error))
        return
    if file.kind in OPERATORS:
        tally.refuse(name, OPERATORS_OWN)
        return
    yield OpenedList(file, cast("BinaryIO", stack.enter_context(opens())))


def _take(house: House, listed: OpenedList, place: str, tally: ListsTally, progress: Progress) -> None:
    """One file, some requests at a time, each part durable before the next."""
    file, refused, sums = listed.file, 0, PartTaken()
    received = min(file.made, datetime.now(UTC).date())
    ends = file.kind is DeletionKind.REMOVED
    try:
        rows = read_requests(file, lines.of_text(listed.opened))
    except NoHeader as error:
        tally.refuse(file.name, str(error))
        return
    while part := [*islice(rows, PART)]:
        requests = list[DeletionRequest]()
        for row in part:
            why = (
                row.why if isinstance(row, RefusedLine) else _unusable(row) if isinstance(row, DeletionRequest) else ""
            )
            if why:
                refused += 1
                tally.whole = False
                progress.tell(f"  {file.name} line {row.number}: {why}")
            elif isinstance(row, DeletionRequest):
                requests.append(row)
        taken = _enter(house, ListPart(place, file.name, file.kind, received, datetime.now(UTC)), requests, ends=ends)
        sums.add(taken)
        number_of = {each.id: each.number for each in requests}
        for unknown in taken.unknown:
            refused += 1
            tally.whole = False
            progress.tell(f"  {file.name} line {number_of[unknown]}: {UNKNOWN}")
        progress.count = (progress.count or 0) + len(requests)
    unverified = " (how these ids are spelled before they are hashed is unverified)" if file.kind in UNVERIFIED else ""
    done = f"{sums.done} taken back" if ends else f"{sums.done} new"
    click.echo(f"{file.name}: {done}, {sums.before} before, {refused} refused{unverified}")


def _unusable(request: DeletionRequest) -> str:
    if request.kind in OPERATORS:
        return OPERATORS_OWN
    return NOBODYS if digest_of_nothing(request.digest.hex()) else ""


def _enter(house: House, part: ListPart, requests: list[DeletionRequest], *, ends: bool) -> PartTaken:
    keys = house.secrets.keys((NAMES[each.kind], each.digest.hex()) for each in requests)
    found = [ListedRequest(each.id, key) for each, key in zip(requests, keys, strict=True)]
    if ends:
        ended = _written(house, lambda tx: office_acts.end_part(tx, part, found))
        asyncio.run(house.consent.leases.all_of_now())
        return ended
    by_ten = {
        each.digest.hex(): key for each, key in zip(requests, keys, strict=True) if each.kind is DeletionKind.PHONE
    }
    looser = dict(zip(house.secrets.keys(("phone_sha256", ten) for ten in by_ten), by_ten.values(), strict=True))
    abroad = dict(zip(by_ten.values(), house.secrets.keys((TEN_ABROAD, ten) for ten in by_ten), strict=True))

    def enter(tx: Transaction) -> PartTaken:
        office_acts.know_numbers(tx, looser, part.at)
        return office_acts.take_part(tx, part, found, abroad)

    return _written(house, enter)


def _written(house: House, job: Job[T]) -> T:
    """What a job gives, once it is durable. A list of an hour is not given up for a busy minute."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(StoreUnavailable):
            return house.writer.submit(job).result()
        time.sleep(PAUSE)
    return house.writer.submit(job).result()


def _look(house: House, data: Path, progress: Progress) -> Counter[Matched]:
    """Looks for everybody behind a list again, by what is known now. Returns what is known of how many digests."""
    found, after = Counter[Matched](), b""
    while True:
        with contextlib.closing(store_in(data).open_to_read()) as db:
            keys = deletion_orders.candidates(db, after)
        if not keys:
            return found
        for start in range(0, len(keys), LOOKED_AT):
            some, at = keys[start : start + LOOKED_AT], datetime.now(UTC)
            reads = partial(_reads, house)
            found.update(_written(house, partial(deletion_orders.look_all, keys=some, at=at, reads=reads)))
            progress.count = (progress.count or 0) + len(some)
        after = keys[-1]


def _reads(house: House, kind: str, value: str) -> Subject | None:
    """Whom an identifier names, as a recipient has it."""
    return next(iter(house.consent.people.name([identity.as_called(kind, value)]).subjects), None)


def _told(found: Counter[Matched]) -> str:
    return (
        f"{found[Matched.ACCOUNT]} have an account and are the officer's, {found[Matched.SEVERAL]} belong to several"
        f" accounts, of {found[Matched.ORDERED]} whatever left is to be deleted"
    )


@drop.command(
    "answer",
    help="Write what the state is to be told into the new FOLDER, a CSV for each list that was taken: 2 exempted, 3"
    " deleted, 4 opted out, 5 not found. Requests that are open are named in open.csv, with what is proposed. --amend:"
    " those whose answer is another one since they were answered; --again: the last answer once more.",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@options.installation
@click.option("--amend", is_flag=True, help="What changed since it was answered.")
@click.option("--again", is_flag=True, help="What was answered last, once more.")
def answer_(folder: Path, data: Path, file: Path | None, *, amend: bool, again: bool) -> None:
    if amend and again:
        raise click.UsageError("one of --amend and --again at a time")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise click.UsageError(f"{folder} is not empty, and nothing is overwritten; name another one")
    which, at = AMENDED if amend else AGAIN if again else FRESH, datetime.now(UTC)
    with options.house(data, file) as house:
        with Progress("looked for:") as progress:
            _look(house, data, progress)
        with contextlib.closing(store_in(data).open_to_read()) as db:
            written = _write_answers(folder, deletion_orders.answer_rows(db, which))
            click.echo(f"{sum(written.values())} answered in {len(written)} files in {folder}")
            click.echo(_write_open(folder, deletion_orders.answer_rows(db, STILL_OPEN), at.date()))
        for path in written if not again else ():
            _mark(house, path, at)


def _write_answers(folder: Path, rows: Iterable[AnswerRow]) -> dict[Path, int]:
    """The settled ones, each file durable. Returns how many stand in which."""
    written = dict[Path, int]()
    for name, listed in groupby(rows, key=lambda each: each.file):
        settled = [(each.id, each.status) for each in listed if each.status is not None]
        if settled:
            write_durably(folder / name, "".join(answer_lines(settled)).encode(), exclusive=True)
            written[folder / name] = len(settled)
    return written


def _write_open(folder: Path, rows: Iterable[AnswerRow], today: date) -> str:
    """Which requests are open, and why, for the officer; what is said of them in a line."""
    count, officers = Counter[Matched](), 0
    listed = ["Id,Status,Why,File,Day\n"]
    for each in rows:
        day, law = (today - each.received).days, mechanism_of(each.place, today)
        late = law is not None and day >= law.officer_day
        count[each.matched] += 1
        officers += late or each.matched is Matched.ACCOUNT
        listed.append(f'{each.id},{PROPOSED.get(each.matched, "")},"{WHY[each.matched]}",{each.file},{day}\n')
    if len(listed) > 1:
        write_durably(folder / OPEN, "".join(listed).encode(), exclusive=True)
    named = f", named in {folder / OPEN}; {officers} of them are the officer's" if count else ""
    return f"{count.total()} open: {count[Matched.ACCOUNT]} of accounts, {count[Matched.ORDERED]} being deleted{named}"


def _mark(house: House, path: Path, at: datetime) -> None:
    """What stands in a file that is durable is what the state is told."""
    with path.open(encoding="utf-8") as opened:
        rows = (line.strip().split(",") for line in islice(opened, 1, None))
        while part := [(id_, int(status)) for id_, status in islice(rows, PART)]:
            _written(house, partial(deletion_orders.mark_answered, rows=part, at=at))


@drop.command(
    "decide",
    help="Take in what the officer decided: a CSV with Id,Status, as open.csv has it. 2: what is held is exempt; 3:"
    " delete, which is answered once everybody has who was told; 4; 5. A row without a status is passed over.",
)
@click.argument("decisions", type=options.FILE)
@options.installation
def decide(decisions: Path, data: Path, file: Path | None) -> None:
    tally, taken = ListsTally(), 0
    with options.house(data, file) as house, decisions.open("rb") as opened:
        try:
            rows = DECISIONS.rows(lines.of_text(opened))
        except NoHeader as refused:
            raise click.UsageError(str(refused)) from None
        for row in rows:
            if isinstance(row, RefusedLine):
                tally.refuse(f"  line {row.number}", row.why)
            elif isinstance(row, ListRow) and row.cells["status"].strip():
                try:
                    _decide(house, row)
                    taken += 1
                except NotDecided as refused:
                    tally.refuse(f"  line {row.number}", str(refused))
    click.echo(f"{taken} decided")
    sys.exit(0 if tally.whole else 1)


def _decide(house: House, row: ListRow) -> None:
    """Raises `NotDecided`."""
    try:
        status = DeletionStatus(int(row.cells["status"]))
    except ValueError:
        raise NotDecided(f"a status is one of {', '.join(f'{each:d}' for each in DeletionStatus)}") from None
    id_, at = row.cells["id"].strip(), datetime.now(UTC)
    _written(house, lambda tx: deletion_orders.decide(tx, id_, status, at, partial(_reads, house)))


@drop.command(
    "status", help="What stands, what is open, and what is due when; exit code 1 where something is late or due soon."
)
@options.data
@options.as_json
def status_(data: Path, *, as_json: bool) -> None:
    with contextlib.closing(store_in(data).open_to_read()) as db:
        counted, fetched = deletion_orders.counts(db), deletion_orders.downloads(db)
    today = datetime.now(UTC).date()
    dues = [*due(fetched, today)]
    for count in counted:
        click.echo(json.dumps(count._asdict()) if as_json else "  ".join(map(str, count)))
    for each in dues:
        click.echo(json.dumps({**each._asdict(), "by": each.by.isoformat()}) if as_json else _due_line(each, today))
    sys.exit(1 if any(each.soon for each in dues) else 0)


def _due_line(each: ListDue, today: date) -> str:
    what = f"{each.open} requests are to be answered" if each.what == "answer" else "the next list is to be fetched"
    return f"{each.place}: {what} by {each.by}{', LATE' if each.by < today else ', soon' if each.soon else ''}"


BY_KEY = click.option(
    "--key", "key_file", required=True, type=options.FILE,
    help="The file that holds the key, and nothing else; it is nobody's to read but yours (chmod 600).",
)  # fmt: skip
TO = click.option("--address", default=ADDRESS, show_default=True, help="Of the state's service, or its sandbox.")
OTHERS = 0o077  # bits of whoever is not the owner


def _platform(address: str, key_file: Path) -> DeletionPlatform:
    if key_file.stat().st_mode & OTHERS:
        raise click.UsageError(f"others may read {key_file}: chmod 600 {key_file}")
    try:
        return DeletionPlatform(address, key_file.read_bytes().strip())
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@drop.command(
    "fetch",
    help="Fetch what the state has for you into the new FILE, a ZIP for `gateway drop take`. Waits until it is made.",
)
@click.argument("file", type=options.PATH)
@BY_KEY
@TO
def fetch(file: Path, key_file: Path, address: str) -> None:
    platform = _platform(address, key_file)
    if file.exists():
        raise click.UsageError(f"{file} is there, and nothing is overwritten; name another one")
    if not file.parent.is_dir():
        raise click.UsageError(f"there is no folder {file.parent}")
    try:
        content = platform.download()
    except PlatformRefused as error:
        raise click.ClickException(str(error)) from None
    write_durably(file, content, exclusive=True)
    click.echo(f"{len(content)} bytes in {file}")


@drop.command(
    "send",
    help="Send the answers of a FOLDER that `gateway drop answer` wrote; open.csv, which is yours, stays. --amend:"
    " those of `answer --amend`. What the state did not say that it took may be sent again.",
)
@click.argument("folder", type=options.FOLDER)
@click.option("--amend", is_flag=True, help="They are other answers than before.")
@BY_KEY
@TO
def send(folder: Path, key_file: Path, address: str, *, amend: bool) -> None:
    platform, files = _platform(address, key_file), sorted(each for each in folder.iterdir() if _is_answer(each))
    if not files:
        raise click.UsageError(f"{folder} holds no answers")
    try:
        platform.send({each.name: each.read_bytes() for each in files}, amend=amend)
    except PlatformRefused as error:
        raise click.ClickException(f"the state did not say that it took them: {error}") from None
    click.echo(f"{len(files)} files sent")


def _is_answer(path: Path) -> bool:
    try:
        return path.is_file() and bool(DeletionFile.named(path.name))
    except ValueError:
        return False
