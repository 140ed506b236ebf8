"""`gateway keys`: API keys, and the pepper."""

import os
import time
from pathlib import Path

import click

from gateway import app as composition
from gateway import credentials
from gateway import keys as secrets_of
from gateway import settings as settings_of
from gateway.cli import options


@click.group(help="API keys for callers, and the keys of the installation.")
def keys() -> None:
    pass


@keys.command(help="Make a key and print it, the only time it is seen.")
@options.data
@click.option("--name", required=True)
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice([*credentials.SCOPES]))
@click.option("--publishable", is_flag=True, help="For apps: may opt out and limit, and proves nothing.")
def add(data: Path, name: str, scopes: tuple[str, ...], publishable: bool) -> None:
    try:
        click.echo(credentials.add(data, name, scopes, publishable=publishable))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@keys.command("list", help="Names and scopes; never secrets.")
@options.data
def list_(data: Path) -> None:
    for key in credentials.read(data):
        state = "revoked" if key.revoked else "publishable" if key.publishable else "secret"
        click.echo(f"{key.id}  {key.name}  {state}  {' '.join(key.scopes)}")


@keys.command(help="End a key. A revoked publishable key still opts out: apps in the field keep their promise.")
@options.data
@click.argument("name")
def revoke(data: Path, name: str) -> None:
    if not credentials.revoke(data, name):
        raise click.UsageError(f"no live key is called {name}")


@keys.command("account", help="Print a Gateway-Account assertion, for trying out the site's side.")
@options.data
@click.argument("account")
@click.option("--seconds", default=600, show_default=True)
def account_(data: Path, account: str, seconds: int) -> None:
    secret = secrets_of.load(data).accounts[-1]
    click.echo(credentials.assert_account(secret, account, int(time.time()) + seconds))


@keys.command(
    "rotate-pepper",
    help="Wrap every stored key with a new pepper, in one pass. Stop the service first:"
    " one that runs on denies everything until it is restarted.",
)
@options.data
@options.config
def rotate_pepper(data: Path, file: Path | None) -> None:
    standings, peppers = composition.rotate_pepper(data, settings_of.load(file, os.environ))
    click.echo(f"{standings} standings are wrapped by {peppers} peppers; start the service again")
