"""SQL stands in the ledger, its engines and the desk; where else, is named here with why."""

import ast
from pathlib import Path

import gateway

ROOT = Path(gateway.__file__).parent
ROOMS = ("ledger/", "desk/", "postgres/")
ELSEWHERE = {
    "app/composition.py": "opens a ledger: whose it is, and one moment of it",
    "app/maintenance.py": "rekey and restore, for which the service is stopped",
    "app/state_check.py": "one moment of the log and the state, compared",
    "app/state_keeper.py": "one moment of the log, folded",
    "cli/say.py": "the choices that an officer lists for a void",
    "consent/codes.py": "tables of codes that nothing else reads",
    "consent/files.py": "a file of its own, while a share waits",
    "consent/installations.py": "how many installations were claimed lately",
    "consent/leases.py": "the table of leases, which nothing else writes",
    "consent/still_out.py": "the kind and day of a no that still stands",
    "disk.py": "pragmas of an engine's file",
    "keys/person_keys.py": "the vault: a file of its own",
    "keys/shared_epochs.py": "the epochs' keys, as machines share them",
    "records/consent_records.py": "a report",
    "records/day.py": "a report",
    "records/requests.py": "a report, and how an appeal ended",
    "records/who_got_what.py": "a report",
    "records/year_report.py": "a report",
}


def says_sql(text):
    calls = (each.func for each in ast.walk(ast.parse(text)) if isinstance(each, ast.Call))
    return any(isinstance(each, ast.Attribute) and each.attr in {"execute", "executemany"} for each in calls)


def test_sql_stands_where_it_is_said_to():
    files = {str(each.relative_to(ROOT)): each for each in ROOT.rglob("*.py")}
    found = {name for name, each in files.items() if not name.startswith(ROOMS) and says_sql(each.read_text())}
    assert found == ELSEWHERE.keys()


def test_what_asks_a_database_is_found_and_what_asks_nobody_is_not():
    assert says_sql("def f(tx):\n    return tx.db.execute('SELECT 1').fetchone()")
    assert says_sql("db.executemany(SQL, rows)")
    assert not says_sql("execute = 1\nrun(execute)")
