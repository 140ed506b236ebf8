"""The key of a witness: made once in its folder, 0600, and bound to the witness's name.

One line, as Go's note package writes private keys: PRIVATE+KEY+<name>+<key id>+<base64(kind || seed)>. The name stands
in it because the signed message does not hold it: one key must not serve two names (C2SP tlog-cosignature).
"""

import base64
import secrets
from pathlib import Path

from gateway.disk import write_durably
from gateway.ledger import note
from gateway.ledger.cosignature import KIND, Cosigner, Seconds

FILE = "witness.key"
PREFIX = "PRIVATE+KEY+"
SEED = 32


class KeyRefused(Exception):
    """The folder's key cannot be used. The text says what helps."""


def load_or_make(folder: Path, name: str, clock: Seconds) -> Cosigner:
    """The witness's signer; a new key where the folder, which must be there, has none. Raises `KeyRefused`, and
    ValueError for a name that no key can have.
    """
    path = folder / FILE
    if not path.exists():
        made = Cosigner(name, secrets.token_bytes(SEED), clock)
        write_durably(path, _line(made).encode(), exclusive=True)
    return _read(path, name, clock)


def _line(cosigner: Cosigner) -> str:
    note.check_name(cosigner.name)
    coded = base64.b64encode(bytes([KIND]) + cosigner.seed).decode()
    return f"{PREFIX}{cosigner.name}+{cosigner.key_id.hex()}+{coded}\n"


def _read(path: Path, name: str, clock: Seconds) -> Cosigner:
    try:
        stored, _, rest = path.read_text(encoding="utf-8").removesuffix("\n").removeprefix(PREFIX).partition("+")
        stated, _, coded = rest.partition("+")
        raw = note.unbase64(coded)
    except (OSError, ValueError):
        raise KeyRefused(f"{path} cannot be read as a key. Put back its backup.") from None
    found = Cosigner(stored, raw[1:], clock)
    if raw[:1] != bytes([KIND]) or len(found.seed) != SEED or stated != found.key_id.hex():
        raise KeyRefused(f"{path} holds no key of a witness. Put back its backup.")
    if stored != name:
        raise KeyRefused(f"{path} is the key of {stored}. Start with --name {stored}, or in another folder.")
    return found
