"""`gateway ledger anchor`: a time-stamp authority dates the last checkpoint (RFC 3161), for who has no witness.

The authority learns a hash and nothing else. Its token shows that the log stood so on that day: whoever rewrites the
log later cannot show a token for the rewritten one. It does not show that nobody was shown another log.
"""

from pathlib import Path
from typing import Any

import click
from cryptography import x509

from gateway.addresses import may_send_to
from gateway.cli import options
from gateway.delivery.outgoing import NoAnswer, ask_blocking
from gateway.wal import make_folder, write_durably

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"  # RFC 3161 3.4
SECONDS = 30.0  # authorities answer in one or two
MISSING = "rfc3161-client is not installed: pip install 'gateway[anchor]'"


@click.command(
    help="Have a time-stamp authority date the last checkpoint (RFC 3161). Writes SIZE.checkpoint and SIZE.tsr into"
    " --out; check them with `openssl ts -verify -data SIZE.checkpoint -in SIZE.tsr -CAfile ROOT`."
)
@options.data
@options.config
@click.option("--tsa", required=True, help="The authority's address; https, or http on loopback.")
@click.option("--root", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="The authority's root certificate (PEM): a token that it did not issue is refused.")  # fmt: skip
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the two files.")
def anchor(data: Path, file: Path | None, tsa: str, root: Path, out: Path) -> None:
    if not may_send_to(tsa):
        raise click.BadParameter("https, or http on this machine, is asked for", param_hint="--tsa")
    trusted = _certificate(root)
    with options.house(data, file) as house:
        signed = house.consent.log_reader.checkpoint()
    if signed is None:
        raise click.UsageError("nothing was signed yet")
    size = signed.split("\n")[1]
    token = _dated(signed.encode(), tsa, trusted)
    make_folder(out)
    write_durably(out / f"{size}.checkpoint", signed.encode())
    write_durably(out / f"{size}.tsr", token)
    click.echo(f"{out / size}.tsr dates the log at {size} entries")


def _certificate(root: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(root.read_bytes())
    except ValueError:
        raise click.BadParameter(f"{root} holds no certificate in PEM", param_hint="--root") from None


def _dated(signed: bytes, tsa: str, root: x509.Certificate) -> bytes:
    """The authority's answer, checked against its root. Raises click.ClickException."""
    try:
        import rfc3161_client as rfc3161  # noqa: PLC0415 - optional
    except ImportError:
        raise click.ClickException(MISSING) from None
    asked = rfc3161.TimestampRequestBuilder().data(signed).build()
    body = _post(tsa, asked.as_bytes())
    verifier: Any = rfc3161.VerifierBuilder.from_request(asked)
    verifier = verifier.add_root_certificate(root).build()
    try:
        verifier.verify_message(rfc3161.decode_timestamp_response(body), signed)
    except (rfc3161.VerificationError, ValueError) as error:
        raise click.ClickException(f"the authority's token does not hold: {error}") from None
    return body


def _post(tsa: str, body: bytes) -> bytes:
    try:
        answer = ask_blocking("POST", tsa, headers={"Content-Type": QUERY}, body=body, seconds=SECONDS)
    except NoAnswer as none:
        raise click.ClickException(f"the authority did not answer: {none.why}") from None
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not answer.is_success or media_type != REPLY or not answer.whole:
        raise click.ClickException(f"the authority answered {answer.status}, and no time-stamp")
    return answer.body
