"""`gateway keys`: API keys; `gateway rekey`: the keys of the installation itself."""

import json
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click

from gateway.app import maintenance as rekeying
from gateway.app.composition import now
from gateway.app.maintenance import RekeyKind
from gateway.cli import options
from gateway.cli.progress import Progress
from gateway.keys import api_keys
from gateway.keys import secret_files as secrets_of
from gateway.ledger.audit import examination
from gateway.replica.follower import LOCK


@click.group(help="API keys for callers, and the keys of the installation.")
def keys() -> None:
    pass


@keys.command(
    help="Make a key and print it, the only time it is seen. Outside production ([environment] name) it begins with"
    " test_."
)
@options.installation
@click.option("--name", required=True)
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice([*api_keys.SCOPES]))
@click.option("--publishable", is_flag=True, help="For apps: may opt out and limit, and proves nothing.")
def add(data: Path, file: Path | None, name: str, scopes: tuple[str, ...], publishable: bool) -> None:
    _is_ours(data)  # nobody would know the key
    mark = "" if options.stated_settings(file).environment.is_production else api_keys.TEST
    try:
        click.echo(api_keys.add_api_key(data, name, scopes, publishable=publishable, mark=mark))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@keys.command("list", help="Names and scopes; never secrets.")
@options.data
def list_(data: Path) -> None:
    _is_ours(data)  # an empty list would not be true of it
    for key in api_keys.read_api_keys(data):
        click.echo(f"{key.id}  {key.name}  {_state(key)}  {' '.join(key.scopes)}")


def _state(key: api_keys.ApiKey) -> str:
    return "revoked" if key.revoked else "publishable" if key.publishable else "secret"


@keys.command(help="End a key. A revoked publishable key still opts out: apps in the field keep their promise.")
@options.data
@click.argument("name")
def revoke(data: Path, name: str) -> None:
    _is_ours(data)
    if not api_keys.revoke(data, name):
        raise click.UsageError(f"no live key is called {name}")


def _is_ours(data: Path) -> None:
    """Refuses a folder that is neither a gateway's nor a replica's, which has keys of its callers and no secrets."""
    if not (data / LOCK).exists() and not (data / secrets_of.SECRETS).exists():
        raise click.UsageError(
            f"{data} is neither a gateway's folder nor a replica's: name it (--data). A replica's is made at its first"
            " start"
        )
    if not (data / LOCK).exists():
        secrets_of.load_secrets(data)


@keys.command("account", help="Print a Gateway-Account assertion, for trying out the site's side.")
@options.data
@click.argument("account")
@click.option("--seconds", default=600, show_default=True)
def account_(data: Path, account: str, seconds: int) -> None:
    secret = secrets_of.load_secrets(data).accounts[-1]
    click.echo(api_keys.assert_account(secret, account, int(time.time()) + seconds))


@keys.command(
    help="Since when each key is there, the installation's own and the callers'; tells no key (gateway help rotation)."
)
@options.data
@options.as_json
def ages(data: Path, *, as_json: bool) -> None:
    _is_ours(data)
    found = [*_ages_of_secrets(data), *_ages_of_callers(data)]
    for key, state, day in found:
        if as_json:
            click.echo(json.dumps({"key": key, "state": state, "made": day}))
        else:
            click.echo(f"{key:<24}{state:<22}{_age(day)}")


def _ages_of_secrets(data: Path) -> Iterator[tuple[str, str, str | None]]:
    """Of a gateway's folder: which key, what it does, the day."""
    days = secrets_of.read_days(data) if (data / secrets_of.SECRETS).exists() else {}
    for kind, (name, _) in rekeying.ROTATED.items() if days else ():
        older = "stays, wrapped" if kind is RekeyKind.PEPPER else "older, until --retire"
        *before, newest = days[name]
        yield from ((kind.value, older, day) for day in before)
        yield kind.value, "in use", newest


def _ages_of_callers(data: Path) -> Iterator[tuple[str, str, str | None]]:
    days = api_keys.read_key_days(data)
    for key in api_keys.read_api_keys(data):
        yield f"API key {key.name}", _state(key), days.get(key.id)


def _age(day: str | None) -> str:
    try:
        return f"{day}  {(now().date() - date.fromisoformat(day or '')).days} days"
    except (TypeError, ValueError):  # a file that an older version or somebody's hand wrote
        return "its day is not known"


@click.command(
    help="Replace a key of the installation, as an entry of the log. A pepper wraps every stored key at once: stop the"
    " service first. The others overlap: restart the service with the newer key, and end the older one with --retire,"
    " that of persons' keys (key_encryption) with the service stopped. `gateway help rotation` says what each is for,"
    " and what ends with it."
)
@click.argument("kind", type=click.Choice([kind.value for kind in RekeyKind]))
@options.installation
@click.option("--retire", is_flag=True, help="End the older keys of this kind.")
@click.option("--early", is_flag=True, help="With --retire: before its time, for a key that got out.")
@click.option(
    "--lose-browsers",
    is_flag=True,
    help="The same for the key of cookies, which lives 400 days: every browser that comes with an older cookie is then"
    " one that nobody knows, opted out of everything; older unsubscribe links and app tokens end.",
)
def rekey(kind: str, data: Path, file: Path | None, retire: bool, early: bool, lose_browsers: bool) -> None:
    settings, which = options.stated_settings(file), RekeyKind(kind)
    if retire and which is RekeyKind.PEPPER:  # a new one would be made, and that cannot be taken back
        raise click.UsageError("a pepper is never retired: every later one wraps it")
    if (early or lose_browsers) and not retire:
        raise click.UsageError("--early and --lose-browsers are of --retire")
    if (early and which is RekeyKind.COOKIE) or (lose_browsers and which is not RekeyKind.COOKIE):
        raise click.UsageError(f"a {kind} key is ended before its time with {rekeying.early_option(which)}")
    try:
        if which is RekeyKind.PEPPER:
            # A service that knows the older ones denies everything from here on.
            with examination.nobody_else(data), Progress("wrapping every stored key"):
                standings, peppers = rekeying.pepper(data, settings)
            click.echo(f"{standings} standings are wrapped by {peppers} peppers; start the service again")
        elif retire:
            with Progress("ending the older keys"):
                wrapped = rekeying.retire(data, settings, which, early=early or lose_browsers)
            click.echo(f"the older {kind} keys are gone" + (f"; {wrapped} persons wrapped anew" if wrapped else ""))
        else:
            count = rekeying.replace_key(data, settings, which)
            then = "stop the service, then" if which is RekeyKind.KEY_ENCRYPTION else "restart the service, later"
            click.echo(f"{count} {kind} keys hold, the newest makes; {then}: --retire")
    except rekeying.RekeyRefused as refused:
        raise click.UsageError(str(refused)) from None
