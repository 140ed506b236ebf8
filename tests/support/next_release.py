"""The release after this one, for whoever tries an upgrade: a copy of the package with a number and a migration of its
own, and the way back from it.
"""

import contextlib
import re
import shutil
import sys
from pathlib import Path

from gateway.ledger import schema

ROOT = Path(__file__).parent.parent.parent
NUMBER = "99.1.0"
VERSION = schema.version_wanted() + 1
# What a next release may have changed: a table, an index, and a column that is filled for those who are there.
FORTH = """CREATE TABLE second (seq INTEGER PRIMARY KEY, word TEXT NOT NULL) STRICT;
INSERT INTO second SELECT seq, 'said before' FROM entry;
CREATE INDEX second_word ON second (word);
ALTER TABLE side ADD COLUMN told INTEGER NOT NULL DEFAULT 1;
"""
BACK = "ALTER TABLE side DROP COLUMN told;\nDROP INDEX second_word;\nDROP TABLE second;\n"


def next_release(here: Path) -> Path:
    """Makes it in an empty folder; what of it is compiled already stays so, for it is the same text of the same time."""
    for name in ("gateway", "static"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    _compiled(here)
    shutil.copyfile(ROOT / "config.toml", here / "config.toml")
    init = here / "gateway" / "__init__.py"
    text, changed = re.subn(r'__version__ = ".*"', f'__version__ = "{NUMBER}"', init.read_text())
    assert changed == 1
    init.write_text(text)
    sql = here / "gateway" / "ledger" / "sql"
    sql.joinpath(f"{VERSION:03d}_second.sql").write_text(FORTH)
    sql.joinpath(f"{VERSION:03d}_second.back.sql").write_text(BACK)
    return here


def _compiled(here: Path) -> None:
    """Where bytecode is kept in a folder of its own (`make` has it so), that of ours for the copy's files, too."""
    if not sys.pycache_prefix:
        return
    kept, theirs = (Path(sys.pycache_prefix, *(each / "gateway").parts[1:]) for each in (ROOT, here))
    for file in kept.rglob("*.pyc"):  # what another process writes has another ending until it is whole
        copy = theirs / file.relative_to(kept)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            shutil.copyfile(file, copy)
