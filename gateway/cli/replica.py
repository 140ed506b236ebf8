"""`gateway replica`: a sidecar that answers checks beside an ad server, and what it is given once."""

import os
import socket
from pathlib import Path

import click

from gateway import credentials, decisions, enrolment, keys
from gateway import settings as settings_of
from gateway.cli import logs, options
from gateway.cli.serve import bind_one, bind_unix, run
from gateway.enrolment import Enrolment
from gateway.replica import Replica, application
from gateway.wal import write_durably


@click.group(
    invoke_without_command=True,
    help="Answer checks here from a copy of the gateway's standings: /v1/check, /v1/checks and /v1/openrtb, on a socket"
    " or on this machine's loopback. See `gateway help replica`.",
)
@click.option("--of", "of", help="The gateway's internal address: http://10.0.0.5:8081.")
@click.option("--unix", type=click.Path(path_type=Path), help="Serve on this socket.")
@click.option("--port", type=int, help="Serve on this port of 127.0.0.1.")
@click.option("--enrolment", "file_of", type=click.Path(path_type=Path, exists=True), help="What `enrol` has made.")
@click.option("--secret-file", type=click.Path(path_type=Path, exists=True), help="What it opens with.")
@click.option("--dev", is_flag=True, help="For trying out: the key `dev.dev` calls it, contracts are filled in.")
@options.data
@options.config
@click.pass_context
def replica(
    context: click.Context, of: str | None, unix: Path | None, port: int | None, file_of: Path | None,
    secret_file: Path | None, dev: bool, data: Path, file: Path | None,
) -> None:  # fmt: skip
    if context.invoked_subcommand:
        return
    if not of or not file_of or not secret_file or (unix is None and port is None):
        raise click.UsageError("--of, --enrolment, --secret-file and one of --unix and --port are needed")
    logs.configure()
    settings = settings_of.load(file, os.environ)
    enrolled = enrolment.open_(file_of.read_text(encoding="utf-8"), secret_file.read_text(encoding="utf-8"))
    made = Replica(of, data, enrolled, settings, dev=dev, tell=lambda why: logs.log.warning("stale", why=why))
    sockets: list[socket.socket] = [bind_unix(unix)] if unix else []
    sockets += [bind_one(f"127.0.0.1:{port}")] if port is not None else []
    for bound in sockets:
        logs.log.info("listening", on=str(bound.getsockname()), serves="replica")
    run(application(made, settings, data, dev=dev), sockets, settings)


@replica.command(
    help="Make what a replica is given once: a file, and a secret that is printed once and opens it. Send them on two"
    " ways. End the replica with `gateway keys revoke NAME`."
)
@options.data
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to make.")
def enrol(data: Path, name: str, out: Path) -> None:
    if out.exists():
        raise click.UsageError(f"{out} is there already")
    if not (data / keys.SECRETS).exists():
        raise click.UsageError(f"{data} is no gateway's folder: name the one that the replica is to follow (--data)")
    secrets = keys.load(data)
    try:
        key = credentials.add(data, name, ["replica"], publishable=False)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    maker = key.partition(".")[0]
    enrolled = Enrolment(name, key, secrets.peppers, decisions.key_of_replica(secrets, maker))
    text, secret = enrolment.seal(enrolled)
    write_durably(out, text.encode(), exclusive=True)
    click.echo(secret)
