"""Which tests run in `make check`, `make more` and `make test`, and one table at the end of a run: what the tests
measured; in `make soak` also how each file of tests fared, in the first two which tests take too long for them. A report
brings what its test measured, so that several workers make one table.
"""

import gc
import re
import shutil
import subprocess
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from support import examples

SLOW_FILE = re.compile(r"^pytestmark = .*\bpytest\.mark\.slow\b", re.MULTILINE)
# Files of slow tests that take longest, in this order: each is one worker's from its beginning to its end, and one that
# came last would leave the others idle. A file that is not named here comes behind them.
LONGEST = (
    "tests/flows/test_several_hosts_at_once.py", "tests/flows/test_the_forms_time_tells_nothing.py",
    "tests/faults/test_power_cut.py", "tests/proxies/test_ways_in_chromium.py", "tests/cli/test_container.py",
    "tests/web/test_one_truth.py", "tests/machines/test_store_machine.py", "tests/machines/test_recorded_histories.py",
    "tests/cli/test_serving_together.py", "tests/rehearsal/test_rehearsal.py", "tests/machines/test_linearizable.py",
    "tests/faults/test_sync_that_failed.py", "tests/flows/test_rolling_restart.py", "tests/postgres/test_moving.py",
    "tests/state/test_stranger_forms.py", "tests/web/test_check_plans.py",
    "tests/ledger/test_erasure_of_people_near.py", "tests/browser/test_a_day_at_the_desk.py",
    "tests/flows/test_walkthrough.py", "tests/ledger/test_oracle.py",
    "tests/flows/test_share_without_end.py", "tests/rehearsal/test_schedule.py", "tests/proxies/test_edges.py",
    "tests/faults/test_refused.py", "tests/flows/test_spellings.py", "tests/flows/test_share_to_teemo.py",
    "tests/machines/test_replica_history.py", "tests/ledger/test_histories.py",
    "tests/proxies/test_a_shop_of_its_own.py", "tests/apps/test_react_native.py", "tests/web/test_protocol.py",
    "tests/faults/test_erased_read_raw.py", "tests/flows/test_installed_alone.py", "tests/cli/test_upgrade.py",
    "tests/faults/test_disk_errors.py", "tests/cli/test_witness.py", "tests/browser/test_choices_in_chromium.py",
    "tests/web/test_strangers.py", "tests/proxies/test_no_answer_crosses.py",
    "tests/browser/test_script_in_chromium.py", "tests/cli/test_recipe.py",
    "tests/apps/test_a_stranger_with_the_app_key.py", "tests/machines/test_travel_machine.py",
    "tests/faults/test_killed.py", "tests/faults/test_hang_ups.py",
    "tests/faults/test_files_killed.py", "tests/proxies/test_wordpress.py",
    "tests/fuzz/test_soak.py", "tests/replica/test_replica.py", "tests/flows/test_replica_record.py",
    "tests/state/test_crowded_accounts.py", "tests/apps/test_six_lives_of_a_phone.py",
    "tests/flows/test_closed_to_others.py", "tests/state/test_killed.py", "tests/rehearsal/test_live.py",
    "tests/machines/test_people_machine.py", "tests/fold/test_over_for_good.py",
    "tests/ledger/test_epoch_turn.py",
    "tests/flows/test_foreign_judges.py", "tests/browser/test_eight_tasks_in_chromium.py", "tests/cli/test_drop.py",
    "tests/browser/test_bidders_in_chromium.py", "tests/cli/test_old_list.py", "tests/choice/test_law_tables.py",
    "tests/choice/test_verdict_grid.py", "tests/client/test_client.py", "tests/ledger/test_erasure_verified.py",
    "tests/web/test_answers_as_described.py", "tests/machines/test_look_alike_machine.py",
)  # fmt: skip
ROWS = 6  # of the table of a slow test, in `make test`
TOO_LONG = 0.7  # seconds of processor time: such a test is marked slow
EACH = 15  # of a file's tests that open an installation one in so many is in `make check`
OPENS = frozenset({"anyio_backend", "tmp_path", "tmp_path_factory"})  # fixtures of a test that may

FIGURES: list[tuple[str, str, str]] = []
SECONDS: dict[str, float] = defaultdict(float)
FOUND: dict[str, Counter[str]] = defaultdict(Counter)
LONG: list[tuple[float, str]] = []


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc):
    """`make check`, `make more`: each test on the first row of its table."""
    if not examples.QUICK:
        return
    every = metafunc.parametrize

    def first(argnames, argvalues, *more, ids=None, **others):
        ids = ids if ids is None or callable(ids) else list(ids)[:1]
        every(argnames, list(argvalues)[:1], *more, ids=ids, **others)

    metafunc.parametrize = first


def pytest_configure():
    """Python looks for rings of dead objects so often that it took a tenth of a run: here thousands of tests stay."""
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_finish():
    gc.freeze()


def pytest_ignore_collect(collection_path):
    """`make check`: a file that says of itself that it is slow is not even imported."""
    if examples.QUICK and collection_path.suffix == ".py" and SLOW_FILE.search(collection_path.read_text()):
        return True
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Of a slow test with a long table rows from all of it, but where somebody names a file; of those that open an
    installation some in `make check`; in `make soak` whatever has a longer form, whole. Then the longest files first,
    behind them those with the most tests. Workers take files from both ends.
    """
    if all(Path(each).is_dir() for each in config.args):
        left_out = longer_than(ROWS, [item for item in items if item.get_closest_marker("slow")])
        if examples.FEW:
            left_out |= left_for_more(items, changed(config.rootpath))
        if examples.SOAK:
            left_out = without_long_form(items, left_out)
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]
    rank = {file: number for number, file in enumerate(LONGEST)}
    tests = Counter(map(file_of, items))
    items.sort(key=lambda item: (rank.get(file_of(item), len(rank)), -tests[file_of(item)]))


def longer_than(rows: int, items) -> set:
    """Those that are left out, so that of each test so many rows stay, the first and the last among them."""
    tables = defaultdict(list)
    for item in items:
        tables[name_of(item)].append(item)
    stays = {table[number * (len(table) - 1) // (rows - 1)] for table in tables.values() for number in range(rows)}
    return {item for table in tables.values() if len(table) > rows for item in table} - stays


def without_long_form(items, rows: set) -> set:
    """Those that are in a soak what they are in `make test`: no property, of no file that asks how much to look at
    (`support.examples`), of no table of which there are `rows` left out.
    """
    long = {file for file in {item.path for item in items} if "support.examples" in file.read_text(encoding="utf-8")}
    tables = {name_of(item) for item in rows}
    return {
        item
        for item in items
        if item.path not in long and name_of(item) not in tables and not hasattr(item.obj, "hypothesis")
    }


def left_for_more(items, at_work: set[Path]) -> set:
    """Those that open an installation, which takes a tenth of a second, without one in so many of each file; of a file
    at work all stay.
    """
    opening = defaultdict(list)
    for item in items:
        if not OPENS.isdisjoint(item.fixturenames):
            opening[item.path].append(item)
    return {item for path, of_one in opening.items() if path not in at_work for item in of_one} - {
        item for of_one in opening.values() for item in of_one[::EACH]
    }


def changed(root: Path) -> set[Path]:
    """Files that are not as they were committed; none where that is not to be known."""
    if not shutil.which("git"):
        return set()
    said = subprocess.run(["git", "status", "--porcelain", "-z"], cwd=root, capture_output=True, text=True, check=False)
    return {root / each[3:] for each in said.stdout.split("\0") if each}


def name_of(item):
    """A test's, without its row's."""
    return item.nodeid.partition("[")[0]


def file_of(item):
    return item.nodeid.partition("::")[0]


@pytest.fixture
def figure(request):
    """Keeps what a test measured for the table at the end of the run."""
    return lambda name, text: request.node.user_properties.append(("figure", (name, text)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    before = time.process_time()
    try:
        return (yield)
    finally:
        item.user_properties.append(("processor", time.process_time() - before))


def pytest_runtest_logreport(report):
    file = report.nodeid.partition("::")[0]
    SECONDS[file] += report.duration
    SECONDS[report.nodeid] += report.duration
    if report.when == "call" or report.outcome != "passed":
        FOUND[file][report.outcome] += 1
    if report.when != "teardown":
        return
    for kind, value in report.user_properties:
        if kind == "figure":
            FIGURES.append((*value, report.nodeid))
        elif kind == "processor" and value > TOO_LONG:
            LONG.append((value, report.nodeid))


def pytest_terminal_summary(terminalreporter):
    write = terminalreporter.write_line
    if FIGURES and not examples.QUICK:
        terminalreporter.section("figures")
        width = max(len(name) for name, *_ in FIGURES)
        for name, text, test in FIGURES:
            write(f"{name:{width}}  {text}" + (f"  {SECONDS[test]:.0f} s" if examples.SOAK else ""))
    if examples.SOAK:
        terminalreporter.section("what was found")
        for file, outcomes in FOUND.items():
            found = outcomes["failed"] or "nothing"
            write(f"{file:50} {outcomes['passed']:6} passed  found: {found}  {SECONDS[file]:.0f} s")
    if examples.QUICK and LONG:
        terminalreporter.section("too long for make check and make more: mark them slow")
        for seconds, test in sorted(LONG, reverse=True):
            write(f"{seconds:.1f} s  {test}")
