"""The release after this one, for whoever tries an upgrade: a copy of the package with a number and a migration of its
own, and the way back from it.
"""

import re
import shutil
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
    """Makes it in an empty folder; its first process compiles it."""
    for name in ("gateway", "static"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "config.toml", here / "config.toml")
    init = here / "gateway" / "__init__.py"
    text, changed = re.subn(r'__version__ = ".*"', f'__version__ = "{NUMBER}"', init.read_text())
    assert changed == 1
    init.write_text(text)
    sql = here / "gateway" / "ledger" / "sql"
    sql.joinpath(f"{VERSION:03d}_second.sql").write_text(FORTH)
    sql.joinpath(f"{VERSION:03d}_second.back.sql").write_text(BACK)
    return here
