"""`gateway init`: writes an operator's first configuration, by options or by asking on a terminal."""

import sys
import tomllib
from pathlib import Path

import click

from gateway.app.composition import now
from gateway.settings.first_file import ALONE, FRONTS, FirstRecipient, FirstSaid, first_text
from gateway.settings.load import Settings, built_settings
from gateway.settings.option_tree import SettingsRefused
from gateway.settings.shapes import PLACE_SHAPE
from gateway.settings.unsaid import unsaid
from gateway.terms import DataClass, Purpose, Role

FORM = "NAME:ROLE:PURPOSES:DATA"
NEXT = """
next:
  gateway config check {file}
  gateway migrate --data DATA --origin NAME --config {file}    NAME: the log's, for ever (gateway help proofs)
  gateway serve --data DATA --config {file}"""


class PlaceText(click.ParamType[str]):
    """A country, or a state of one."""

    name = "PLACE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if why := PLACE_SHAPE.wrong(str(value)):
            self.fail(f"{value!r} {why}", param, ctx)
        return str(value)


class RecipientText(click.ParamType[FirstRecipient]):
    """One who is to get data, on one line."""

    name = FORM

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> FirstRecipient:
        try:
            return value if isinstance(value, FirstRecipient) else FirstRecipient.read(str(value))
        except ValueError:
            self.fail(f"write {FORM}, adnet:third_party:targeted_ads,sharing:ad_id,ip", param, ctx)


@click.command(
    help="Write a configuration for your own case into a new FILE, or as config.toml into a new folder; without --name"
    " it asks, on a terminal. What you do not say is left out, and shut until you say it; nothing of anybody else is in"
    " it (gateway help config)."
)
@click.argument("file", default=Path("config.toml"), type=click.Path(path_type=Path))
@click.option("--name", default="", help="What people know you by.")
@click.option("--site", "sites", multiple=True, help="https://www.example.com; repeatable, the first has the page.")
@click.option("--app", is_flag=True, help="You have an app.")
@click.option(
    "--place", "places", multiple=True, type=PlaceText(), help="Where your people are: US, US-CA, CA, DE; repeatable."
)
@click.option(
    "--recipient",
    "recipients",
    multiple=True,
    type=RecipientText(),
    help="Who gets data, as what, what for and which: adnet:third_party:targeted_ads,sharing:ad_id,ip; repeatable.",
)
@click.option("--front", type=click.Choice(FRONTS), default=ALONE, help="What stands before the gateway.")
@click.option("--mail", default="", help="The mail server for people's codes.")
@click.option("--mail-from", default="", help="From whom those come: privacy@example.com.")
def init(file: Path, **options: str | bool | tuple[str, ...]) -> None:
    file = file if file.suffix == ".toml" else file / "config.toml"
    if file.exists():
        raise click.UsageError(f"{file} is there already, and stays as it is: name a new file")
    said = FirstSaid(**options)  # type: ignore[arg-type]
    if not said.name:
        if not is_terminal():
            raise click.UsageError("--name is needed: what people know you by")
        said = _asked()
    named = [each.name for each in said.recipients]  # as a table it would stand there twice
    if len({*named}) < len(named):
        raise click.UsageError("a recipient is named twice")
    day = now().date()
    text = first_text(said, day)
    settings = _checked(text, file)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as opened:
        opened.write(text)
    missing = unsaid(settings, day)
    click.echo(f"{file}: written")
    click.echo("\n".join(["shut until you say more:", *(f"  {each.line}" for each in missing if each.shuts)]))
    click.echo(f"left out until you say more: {', '.join(each.option for each in missing if not each.shuts)}")
    click.echo(NEXT.format(file=file))


def _checked(text: str, file: Path) -> Settings:
    """As a start would read it. Raises `SettingsRefused`, and nothing was written."""
    try:
        return built_settings(tomllib.loads(text), {}, file, text)
    except tomllib.TOMLDecodeError:
        raise SettingsRefused(f"{file}: a sign in what was said cannot stand in a file; write it without") from None


def is_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


def _asked() -> FirstSaid:
    return FirstSaid(
        name=click.prompt("What do people know you by"),
        sites=_several("Your sites, https://www.example.com; the first has the choices page"),
        app=click.confirm("Have you an app"),
        places=_several("Where are your people: US, US-CA, CA, DE", PlaceText()),
        front=click.prompt("What stands before the gateway", type=click.Choice(FRONTS), default=ALONE),
        mail=(mail := click.prompt("The mail server for people's codes", default="")),
        mail_from=click.prompt("From whom those mails come, privacy@example.com") if mail else "",
        recipients=tuple(iter(_recipient, None)),
    )


def _several(question: str, each: click.ParamType[str] = click.STRING) -> tuple[str, ...]:
    """Answers with blanks between."""

    def read(text: str) -> tuple[str, ...]:
        return tuple(each.convert(word, None, None) for word in text.split())

    asked = f"{question} (blanks between, empty: none)"
    return tuple(click.prompt(asked, default="", show_default=False, value_proc=read))


def _recipient() -> FirstRecipient | None:
    name = click.prompt("Who is to get data, by a short name (empty: nobody more)", default="", show_default=False)
    if not name:
        return None
    return FirstRecipient(
        name,
        click.prompt("  as what", type=click.Choice([role.value for role in Role])),
        _several(f"  what for: {', '.join(Purpose)}"),
        _several(f"  which data: {', '.join(DataClass)}"),
    )
