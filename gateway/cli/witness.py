"""`gateway witness`: watch other people's logs, so that none of them can show two different pasts."""

import time
from pathlib import Path

import click
import uvicorn
from starlette.applications import Starlette

from gateway.cli import logs
from gateway.ledger import witness as witnessing
from gateway.ledger import witness_key
from gateway.ledger.ed25519 import Ed25519Verifier
from gateway.ledger.witness import InUse, Witness
from gateway.ledger.witness_key import KeyRefused
from gateway.web import witness as door


@click.command(
    help="Run a witness: it signs a log's checkpoint when that grew out of the last one it signed. Makes its key at the"
    " first start and prints the verifier key, which the log's operator and the readers of receipts need. Its folder"
    " must not be within reach of the logs' operators, and never be put back from a backup."
)
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), required=True, help="The witness's own folder."
)
@click.option("--port", type=int, default=8090, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="TLS is for a proxy before it.")
@click.option("--log", "vkeys", multiple=True, required=True, metavar="VKEY", help="A log's verifier key; repeatable.")
@click.option("--name", required=True, help="The witness's name, a URL without a scheme: witness.example.com/w1.")
def witness(state: Path, port: int, host: str, vkeys: tuple[str, ...], name: str) -> None:
    logs.configure()
    try:
        with witnessing.held(state):
            app, vkey = _opened(state, vkeys, name)
            click.echo(vkey)
            _serve(app, host, port)
    except (InUse, OSError) as refused:
        raise click.ClickException(str(refused)) from refused


def _opened(state: Path, vkeys: tuple[str, ...], name: str) -> tuple[Starlette, str]:
    """The application, and the witness's verifier key."""
    try:
        watched = [Ed25519Verifier.from_vkey(text) for text in vkeys]
    except ValueError as refused:
        raise click.BadParameter(f"{refused}: <name>+<id>+<base64>", param_hint="--log") from refused
    try:
        signer = witness_key.load_or_make(state, name, lambda: int(time.time()))
    except ValueError as refused:
        raise click.BadParameter(str(refused), param_hint="--name") from refused
    except KeyRefused as refused:
        raise click.ClickException(str(refused)) from refused
    return door.application(Witness(state, [signer], watched)), signer.vkey


def _serve(app: Starlette, host: str, port: int) -> None:
    config = uvicorn.Config(
        app, host=host, port=port, http="httptools", loop="asyncio", ws="none", lifespan="off", log_config=None,
        access_log=False, proxy_headers=False, server_header=False,
    )  # fmt: skip
    uvicorn.Server(config).run()
