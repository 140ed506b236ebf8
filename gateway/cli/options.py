"""Options that several commands share, and opening an installation for one command."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.app.composition import House, open_house
from gateway.choice.identity import UUIDS
from gateway.choice.place import PLACE
from gateway.consent import decision_log
from gateway.consent.asked import Ask
from gateway.consent.people import Named
from gateway.desk.answered_requests import EARLIEST, HowItCame
from gateway.keys import seals
from gateway.settings import load as settings_of
from gateway.settings.load import Settings
from gateway.terms import Manner

F = TypeVar("F", bound=Callable[..., Any])


class Day(click.DateTime):
    """A day that has another one after it: the calendar's last day has no end that could be asked about."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx).date()
        if found == date.max:
            self.fail(f"no day comes after {date.max}", param, ctx)
        return found


class Moment(click.DateTime):
    """A moment in UTC, or with its own zone."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        try:
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        except OverflowError:
            self.fail(f"no calendar has {value} in UTC", param, ctx)


PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)  # that is there, as is the folder
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


def time_in_utc(at: datetime) -> str:
    """A moment as commands print it for a person, to the second, and in which zone."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


data = click.option(
    "--data",
    type=PATH,
    envvar="GATEWAY_DATA",
    default=Path("data"),
    show_default=True,
    help="The installation's folder.",
)
config = click.option(
    "--config",
    "file",
    type=FILE,
    help="The operator's config.toml; without it the one that GATEWAY_CONFIG names.",
)


def installation(command: F) -> F:
    """--data and --config: the folder, and what its operator says."""
    return data(config(command))


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
DAY = Day(["%Y-%m-%d"])
MOMENT = Moment(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M%z"])
AT = "UTC, or with its zone: 2026-11-29T09:00-08:00"
dev = click.option("--dev", is_flag=True, help="As in development: what an operator vouches for is filled in.")
# Of commands that take an event: one id in 64 begins with a hyphen (base64url), and is no option.
TAKES_EVENT = {"ignore_unknown_options": True}
PLAIN = ("account", "email", "phone", *UUIDS)


def identifiers(command: F) -> F:
    """--email, --phone, --gaid and so on, each repeatable, and --id TYPE=VALUE for the other kinds."""
    for kind in PLAIN:
        command = click.option(f"--{kind}", multiple=True, help=f"A {kind}; repeatable.")(command)
    return click.option("--id", "other", multiple=True, help="TYPE=VALUE of any other kind.")(command)


def came(command: F) -> F:
    """--received, --manner and --place: how a request came that the desk answers."""
    command = click.option("--place", default="", help="US-CA, DE.")(command)
    command = click.option("--manner", type=click.Choice([manner.value for manner in Manner]), help="How it came.")(
        command
    )
    return click.option("--received", type=MOMENT, help=f"The day it came ({AT}).")(command)


def how_it_came(values: dict[str, Any]) -> HowItCame:
    """What these say; takes them out of `values`."""
    received, manner, place = (values.pop(name) for name in ("received", "manner", "place"))
    check_place(place)
    if received and received > datetime.now(UTC):
        raise click.UsageError("--received lies in the future")
    if received and received < EARLIEST:
        raise click.UsageError("--received is in 2018 at the earliest")
    return HowItCame(received, manner or "", place)


def check_place(place: str) -> None:
    """A usage error where it is none."""
    if place and not PLACE.fullmatch(place):
        raise click.UsageError("--place is an ISO 3166 code: US-CA, DE")


def days(command: F) -> F:
    """--from and --to: from a day to another, both included."""
    command = click.option("--to", "end", type=DAY, required=True)(command)
    return click.option("--from", "start", type=DAY, required=True)(command)


def question(command: F) -> F:
    """--purpose, --class and --place of a check."""
    command = click.option("--place", multiple=True, help="US-CA, DE; repeatable, the strictest holds.")(command)
    command = click.option("--class", "classes", multiple=True, help="A data class; without it the recipient's.")(
        command
    )
    return click.option("--purpose", help="One purpose; without it the recipient's, strictest wins.")(command)


def asked(recipient: str, values: dict[str, Any], **more: Any) -> Ask:
    """What these say, of the identifiers of a command line; takes all of them out of `values`."""
    purpose, classes, place = (values.pop(name) for name in ("purpose", "classes", "place"))
    return Ask((recipient,), listed(values), purpose=purpose, data=classes or None, place=list(place) or None, **more)


def listed(values: dict[str, Any]) -> list[dict[str, object]]:
    """The identifiers of a command line; takes them out of `values`."""
    found: list[dict[str, object]] = []
    for kind in PLAIN:
        found += [{"type": kind, "value": value} for value in values.pop(kind)]
    for text in values.pop("other"):
        kind, marked, value = text.partition("=")
        if not marked:  # a value alone: it is not taken for a kind, which is named where it cannot be used
            raise click.UsageError("--id is TYPE=VALUE")
        found.append({"type": kind, "value": value})
    return found


def id_of(text: str, what: str) -> bytes:
    """An id as we write them; `what` is said of a text that is none."""
    try:
        return seals.unb64(text)
    except seals.OpeningFailed:
        raise click.UsageError(what) from None


def all_used(named: Named, stated: Sequence[Mapping[str, object]]) -> None:
    """Ends a command with 1 that did what it could with some of what was listed, and says with which it could not."""
    if named.ignored:
        click.echo(unused(named, stated), err=True)
        sys.exit(1)


def unused(named: Named, stated: Sequence[Mapping[str, object]]) -> str:
    """Which of the listed identifiers cannot be used and why, by kind and place: their values stay out of logs."""
    kinds = [each["type"] for each in stated]
    told = [f"{kinds[index]} {kinds[: index + 1].count(kinds[index])} is {why}" for index, why in named.ignored]
    return f"not usable of what you listed: {', '.join(told)}" if told else "nothing was listed"


def answered_from(folder: Path) -> Path:
    """The folder, where a gateway has answered from it. Of any other one "nothing" would be said, and not be true."""
    if not (folder / decision_log.FOLDER).is_dir():
        msg = f"{folder / decision_log.FOLDER} is not there: no gateway answered from this folder; name its --data"
        raise click.UsageError(msg)
    return folder


def is_stated(file: Path | None) -> bool:
    """Whether the operator has a file of their own, by an option or by GATEWAY_CONFIG."""
    return file is not None or bool(os.environ.get(settings_of.FILE_VARIABLE))


def stated_settings(file: Path | None, *, dev: bool = False) -> Settings:
    """What the operator said; in development, where nobody said anything, the example. Raises `SettingsRefused`."""
    example = dev and not is_stated(file)
    return settings_of.load_settings(settings_of.example_file() if example else file, os.environ)


@contextlib.contextmanager
def house(folder: Path, file: Path | None, *, dev: bool = False) -> Iterator[House]:
    with open_house(folder, stated_settings(file, dev=dev), dev=dev) as opened:
        yield opened
