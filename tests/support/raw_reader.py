"""Reads every file under some folders as bytes, knowing no database, and opens with whatever key it finds there.

    python -m support.raw_reader FOLDER... < wanted.json

WANTED: `markers`, hex, to be looked for as they are, as hex and as base64url; `boxes`, each (label, wrapped key, then
label and box of what that key seals), hex; `shared`, boxes of epochs' keys that a server had, by number. It prints how many markers it finds, how many wrapped keys; and of these how
many open, and with them what they sealed, by a key that lies in the files as it is, and by one of an epoch.
"""

import base64
import contextlib
import json
import re
import sys
from pathlib import Path

from gateway.keys import seals, shared_epochs
from gateway.keys.epochs import LABEL

HEX = bytes(ord("h") if each in b"0123456789abcdef" else ord(".") for each in range(256))
EPOCH = re.compile(rb'"box": "([0-9a-f]{120})"')
NUMBERS = range(64)  # of epochs


def everything(folders):
    """Each content once, without the zeros at its end: most files of a server are those of its templates."""
    paths = (path for each in folders for path in sorted(Path(each).rglob("*")) if path.is_file())
    return b"\n".join({content: None for path in paths if (content := path.read_bytes().rstrip(b"\0"))})


def keys_in(content):
    """Whatever stands there as 64 hexadecimal digits."""
    mask = content.translate(HEX) + b"."  # a regular expression takes five times as long
    at, found = mask.find(b"h" * 64), set()
    while at >= 0:
        end = mask.index(b".", at)
        if end - at == 64:
            found.add(bytes.fromhex(content[at:end].decode()))
        at = mask.find(b"h" * 64, end)
    return sorted(found)


def epochs_of(content, keys):
    """Keys of epochs that any of these opens."""
    found = set()
    for box in EPOCH.findall(content):
        for number in NUMBERS:
            with contextlib.suppress(seals.OpeningFailed):
                found.add(seals.open_seal(keys, LABEL + number.to_bytes(8), bytes.fromhex(box.decode())))
    return sorted(found)


def shared_by(epochs, shared, content):
    """With those that these open, one the next, where their boxes lie in the files."""
    found = set(epochs)
    for number, box in sorted(shared):
        if box in content:
            with contextlib.suppress(seals.OpeningFailed):
                found.add(seals.open_seal(sorted(found), shared_epochs.LABEL + number.to_bytes(8), box))
    return sorted(found)


def opened(keys, lie_there):
    """How many of the sealed boxes open by a key that one of these opens."""
    count = 0
    for label, wrapped, inner, box in lie_there:
        with contextlib.suppress(seals.OpeningFailed):
            seals.open_seal([seals.open_seal(keys, label, wrapped)], inner, box)
            count += 1
    return count


def forms(marker):
    return marker, marker.hex().encode(), base64.urlsafe_b64encode(marker).rstrip(b"=")


def main(folders):
    asked, content = json.load(sys.stdin), everything(folders)
    keys = keys_in(content)
    wanted = [[bytes.fromhex(part) for part in each] for each in asked["boxes"]]
    shared = [(number, bytes.fromhex(box)) for number, box in asked.get("shared", [])]
    epochs = shared_by(epochs_of(content, keys), shared, content)
    wrapped = [each for each in wanted if each[1] in content]
    both = [each for each in wrapped if each[3] in content]
    told = {
        "markers": sum(any(form in content for form in forms(bytes.fromhex(each))) for each in asked["markers"]),
        "wrapped": len(wrapped),
        "opened": opened(keys, both),
        "opened by an epoch": opened(epochs, both) if epochs else 0,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
