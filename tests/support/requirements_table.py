"""Prints what the gateway owes and by how many tests each is proved, for auditors and whoever reviews; `make requirements`
calls it.
"""

import sys
import tomllib
from collections import Counter
from pathlib import Path

FILE = Path(__file__).parent.parent / "requirements.toml"


def table() -> str:
    """A line an id: its tests by number, or why it is proved later; then the sums."""
    rows = tomllib.loads(FILE.read_text())
    proved = Counter("later" if "later" in row else "proved" for row in rows.values())
    told = [
        f"{name:4} {row.get('later') or len(row['tests']):>3}  {row['text']}"
        for name, row in sorted(rows.items(), key=lambda each: (each[0][0], int(each[0][1:])))
    ]
    return "\n".join([*told, f"\n{len(rows)} requirements: {proved['proved']} proved, {proved['later']} later"])


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
