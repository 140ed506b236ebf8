"""`gateway receipt`: receipts checked offline with the log's public key alone, or shown; `gateway ledger key`; and
`gateway ledger anchor`: a time-stamp authority dates the last checkpoint (RFC 3161), for who has no witness.

The authority learns a hash and nothing else. Its token shows that the log stood so on that day: whoever rewrites the
log later cannot show a token for the rewritten one. It does not show that nobody was shown another log.
"""

import contextlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import orjson
from cryptography import x509

from gateway.app.composition import lasting_of
from gateway.cli import options
from gateway.delivery.guard import may_send_to
from gateway.delivery.outgoing import NoHttpAnswer, ask_blocking
from gateway.desk import history
from gateway.disk import make_folder, write_durably
from gateway.keys.secret_files import Secrets
from gateway.ledger.proof import mldsa, note, policy, verifier_keys
from gateway.ledger.proof import receipt as receipts
from gateway.ledger.proof.ed25519 import Ed25519Signer
from gateway.ledger.proof.merkle import Unproved
from gateway.ledger.proof.note import Checkpoint, Verifier
from gateway.ledger.proof.policy import PolicyRefused, TrustPolicy
from gateway.ledger.proof.receipt import Opening, Receipt

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"  # RFC 3161 3.4
SECONDS = 30.0  # authorities answer in one or two
MISSING = "rfc3161-client is not installed: pip install 'gateway[anchor]'"


@click.command(
    help="Have a time-stamp authority date the last checkpoint (RFC 3161). Writes SIZE.checkpoint and SIZE.tsr into"
    " --out; check them with `openssl ts -verify -data SIZE.checkpoint -in SIZE.tsr -CAfile ROOT`."
)
@options.installation
@click.option("--tsa", required=True, help="The authority's address; https, or http on loopback.")
@click.option(
    "--root",
    required=True,
    type=options.FILE,
    help="The authority's root certificate (PEM): a token that it did not issue is refused.",
)
@click.option("--out", required=True, type=options.PATH, help="Folder for the two files.")
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
    except NoHttpAnswer as none:
        raise click.ClickException(f"the authority did not answer: {none.why}") from None
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not answer.is_success or media_type != REPLY or not answer.whole:
        raise click.ClickException(f"the authority answered {answer.status}, and no time-stamp")
    return answer.body


MAX_BYTES = 4 * 2**20  # of a file that is checked: a thousand receipts
NO_WITNESS = (
    "  no witness was asked for: that the log shows everybody the same entries, and always did, rests on its\n"
    "  operator's word"
)
NO_SECOND = f"no ML-DSA-44 key: {mldsa.NOT_HERE}, or the log's name is longer than {mldsa.LONGEST} bytes"
Pair = tuple[Receipt, Opening | None]


@click.group(help="Receipts of choices: check them without the log, or show one.")
def receipt() -> None:
    pass


@receipt.command(
    help="Check a receipt (a tlog-proof), or the download with receipts and openings. Needs no data folder and no"
    " network. Exit code 0: all of it is proved; 1: something is not."
)
@click.argument("file", type=options.FILE)
@click.option("--opening", "opened", type=options.FILE, help="The opening: JSON with kind, value and rs.")
@click.option(
    "--log",
    "keys",
    multiple=True,
    metavar="VKEY",
    help="The log's verifier key, Ed25519 or ML-DSA-44; repeatable, and either of them is enough.",
)
@click.option(
    "--policy",
    "stated",
    type=options.FILE,
    help="A trust policy (C2SP tlog-policy): which logs, and how many of which witnesses.",
)
@click.option(
    "--witness", "witnesses", multiple=True, metavar="VKEY", help="A witness that must have signed too; repeatable."
)
def verify(
    file: Path, opened: Path | None, keys: tuple[str, ...], stated: Path | None, witnesses: tuple[str, ...]
) -> None:
    try:
        trusted = policy.parse_policy(stated.read_bytes()) if stated else TrustPolicy((), {}, {}, policy.NONE)
        logs = [*trusted.logs, *(verifier_keys.log_key(key) for key in keys)]
        beside = [verifier_keys.witness_key(key) for key in witnesses]
    except PolicyRefused as error:
        raise click.UsageError(str(error)) from None
    except ValueError as error:
        raise click.UsageError(f"not a verifier key: {error}") from None
    if not logs:
        raise click.UsageError("which log is believed? --log VKEY, or --policy FILE with a log in it")
    try:
        told = _all_told(_pairs(file, opened), replace(trusted, logs=tuple(logs)), beside)
    except (note.NoteRefused, Unproved, ValueError) as error:
        click.echo(_shown(f"NOT PROVED: {error}"))
        sys.exit(1)
    asked = beside or trusted.quorum != policy.NONE
    click.echo(_shown("\n".join(told)) + ("" if asked else f"\n{NO_WITNESS}"))


def _shown(text: str) -> str:
    """Names as they stand, but what a terminal would obey, and a policy's bytes that are no UTF-8, by their numbers."""
    return "".join(each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in text)


def _all_told(pairs: list[Pair], trusted: TrustPolicy, witnesses: list[Verifier]) -> list[str]:
    """What each receipt proves, in words. Raises where one does not, or where two are of two pasts of one log."""
    roots: dict[tuple[str, int], bytes] = {}
    told = []
    for pair in pairs:
        signed = receipts.verify_receipt(pair[0], trusted.logs)
        if roots.setdefault((signed.origin, signed.size), signed.root) != signed.root:
            raise Unproved(
                f"equivocation: {signed.origin} signed two trees of {signed.size} entries, and these receipts show it"
            )
        told.append(_told(pair, signed, trusted, witnesses))
    return told


def _pairs(file: Path, opened: Path | None) -> list[Pair]:
    """What is to be checked. Raises ValueError."""
    text = _read(file)
    beside = receipts.opening(orjson.loads(_read(opened))) if opened else None
    if text.startswith(receipts.HEADER):
        return [(receipts.parse_receipt(text), beside)]
    stated = orjson.loads(text)
    listed = stated.get("proofs") if isinstance(stated, dict) else None
    if not listed or not isinstance(listed, list):
        raise ValueError("neither a receipt nor a download with proofs in it")
    return [_pair(each, beside) for each in listed]


def _pair(stated: Any, beside: Opening | None) -> Pair:
    members = stated if isinstance(stated, dict) else {}
    own = members.get("opening")
    return receipts.parse_receipt(str(members.get("receipt"))), receipts.opening(own) if own is not None else beside


def _read(file: Path) -> str:
    if file.stat().st_size > MAX_BYTES:
        raise ValueError(f"{file} is too large to be a receipt")
    return file.read_bytes().decode()


def _told(pair: Pair, signed: Checkpoint, trusted: TrustPolicy, witnesses: list[Verifier]) -> str:
    """What one receipt proves, in words. Raises where it does not."""
    shown, opening = pair
    counted = trusted.check_witnesses(shown.note)
    for witness in witnesses:
        note.open_note(shown.note, [witness])
    lines = [
        f"proved: {_entry(shown)}",
        f"  is entry {shown.index} of the log {signed.origin}, signed at {signed.size}",
        f"  by the log's key of {_algorithms(shown, trusted)}",
    ]
    lines += [f"  and the policy's witness {name} has seen the same log" for name in counted]
    lines += [f"  and the witness {witness.name} has seen the same log" for witness in witnesses]
    if opening is None:
        return "\n".join([*lines, "  whom it is about is not shown: a receipt names nobody"])
    if not receipts.is_about(shown, opening):
        raise Unproved(f"the entry is not about the {opening.kind} of the opening")
    return "\n".join([*lines, f"  and it is about the {opening.kind} {opening.value!r}"])


def _algorithms(shown: Receipt, trusted: TrustPolicy) -> str:
    verified = {each.key_id for each in note.open_note(shown.note, trusted.logs).verified}
    found = dict.fromkeys(each.algorithm for each in trusted.logs if each.key_id in verified)
    return " and ".join(found)


def _entry(shown: Receipt) -> str:
    leaf = orjson.loads(shown.entry or b"{}")
    if not isinstance(leaf, dict):
        raise Unproved("the entry is none that this version knows")
    what = f"{leaf.get('e')} {', '.join(leaf.get('p', []))}".strip()
    more = [("to", "to"), ("by", "src"), ("at", "t"), ("in", "j")]
    return " ".join([what, *(f"{word} {leaf[name]}" for word, name in more if name in leaf)])


@receipt.command(
    context_settings=options.TAKES_EVENT,
    help="Print the receipt of an event. With the identifier of somebody who proved that it is theirs: receipt and"
    " opening, as the download has them.",
)
@click.argument("event")
@options.installation
@options.identifiers
def show(event: str, data: Path, file: Path | None, **values: Any) -> None:
    wanted = options.id_of(event, "an event is what the answer to a choice calls one")
    listed = options.listed(values)
    with options.house(data, file) as house, contextlib.closing(house.vault()) as vault:
        (found,) = house.consent.log_reader.receipts([wanted])
        subjects, now = house.consent.people.name(listed).subjects, house.consent.clock()
        opened = [history.openings_of(data, [wanted], subject, vault.keys, now) for subject in subjects]
    opening = next((each[wanted] for each in opened if each), None)
    if found is None or (listed and opening is None):
        click.echo("no such event" if found is None else "this entry is not theirs, or was forgotten", err=True)
        sys.exit(1)
    click.echo(_download(found, opening) if opening else found.text(), nl=False)


def _download(found: Receipt, opening: Opening) -> bytes:
    proofs = [{"receipt": found.text(), "opening": opening.to_json()}]
    return orjson.dumps({"proofs": proofs}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


@click.group(help="The log itself.")
def ledger() -> None:
    pass


ledger.add_command(anchor)


@ledger.command(help="Print the log's verifier key; two while a key is replaced. Publish it where people find it.")
@options.installation
@click.option("--ml-dsa", "lasting", is_flag=True, help="That of its ML-DSA-44 signature instead: 1,800 characters.")
def key(data: Path, file: Path | None, *, lasting: bool) -> None:
    with options.house(data, file) as house:
        origin = house.consent.log_reader.origin()
        found = _keys(house.secrets, origin, lasting=lasting)
    if not found:
        raise click.ClickException(NO_SECOND)
    click.echo("\n".join(found))


def _keys(secrets: Secrets, origin: str, *, lasting: bool) -> list[str]:
    if lasting:
        return [each.vkey for each in lasting_of(secrets.signing, origin)]
    return [Ed25519Signer(origin, seed).vkey for seed in secrets.signing]


@ledger.command(
    "policy",
    help="Print the trust policy of this log (C2SP tlog-policy), for `gateway receipt verify --policy`: all of its"
    " keys, and the configured witnesses. Publish it where people find it.",
)
@options.installation
@click.option("--quorum", type=click.IntRange(1), help="So many of the witnesses must have signed; without it all.")
def policy_(data: Path, file: Path | None, quorum: int | None) -> None:
    witnesses = {name: item.key for name, item in options.stated_settings(file).witnesses.items()}
    with options.house(data, file) as house:
        origin = house.consent.log_reader.origin()
        logs, second = (_keys(house.secrets, origin, lasting=lasting) for lasting in (False, True))
    if not second:
        click.echo(f"gateway: {NO_SECOND}", err=True)
    try:
        text = policy.write_policy([*logs, *second], witnesses, quorum or len(witnesses))
    except PolicyRefused as refused:
        raise click.UsageError(str(refused)) from None
    click.echo(text, nl=False)
