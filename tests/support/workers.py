"""`pytest --workers 4`: the tests in several processes that are forked once all of them are collected, so that modules
are imported and tests collected once. A file's tests share what it started: each file is one worker's from its
beginning to its end, and whoever is free takes the next: every other worker from the front, where the longest files
lie, which wait for processes and browsers, the others from the back, where those lie that compute, so that neither kind
is left for last. What is printed is printed by the first process alone.
"""

import atexit
import contextlib
import itertools
import multiprocessing
import traceback
from multiprocessing.connection import Connection, wait

import pytest

FORK = multiprocessing.get_context("fork")
NEXT, STARTED, REPORT, BROKEN = range(4)  # what a worker says


def pytest_addoption(parser):
    parser.addoption("--workers", type=int, default=1, help="processes that run tests, each file in one of them")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    option = session.config.option
    if option.workers < 2 or option.collectonly or session.testsfailed:
        return None  # pytest's own loop, which also says what cannot be collected
    Foreman(session).work()
    return True


def by_file(items) -> list[list[int]]:
    """The numbers of the tests of each file."""
    files = itertools.groupby(range(len(items)), lambda number: items[number].nodeid.partition("::")[0])
    return [list(numbers) for _, numbers in files]


class Worker:
    """A process of its own, as the first one sees it. `left`: the tests it was given and has not ended. `place`: in
    the row of files, from where it takes its next.
    """

    def __init__(self, session, stop, others):
        self.place = min((0, -1), key=[each.place for each in others.values()].count)
        self.line, theirs = FORK.Pipe()
        self.left = []
        self.process = FORK.Process(target=Loop(session, theirs, stop).live, args=([self.line, *others],))
        self.process.start()
        theirs.close()


class Foreman:
    def __init__(self, session):
        self.session, self.hook, self.stop = session, session.config.hook, FORK.Event()
        self.files, self.workers = by_file(session.items), {}

    def work(self):
        try:
            for _ in range(min(self.session.config.option.workers, len(self.files))):
                self.begin()
            while self.workers:
                for line in wait(self.workers):
                    self.hear(self.workers[line])
        finally:
            self.stop.set()
            for line in self.workers:
                line.close()
            for each in self.workers.values():
                each.process.join()

    def begin(self):
        begun = Worker(self.session, self.stop, self.workers)
        self.workers[begun.line] = begun

    def hear(self, worker):
        try:
            kind, said = worker.line.recv()
        except EOFError:
            self.end(worker)
            return
        if kind == NEXT:
            given = self.files.pop(worker.place) if self.files else []
            worker.left += given
            worker.line.send(given)
        elif kind == STARTED:
            self.hook.pytest_runtest_logstart(nodeid=said[0], location=said[1])
        elif kind == REPORT:
            self.reported(worker, self.hook.pytest_report_from_serializable(config=self.session.config, data=said))
        else:
            raise RuntimeError(said)

    def reported(self, worker, report):
        if report.failed:
            why = [line for line in report.longreprtext.splitlines() if line.startswith("E ")][:12]
            print("", f"fails: {report.nodeid}", *why, sep="\n", flush=True)  # whoever waits for half an hour asks now
        self.hook.pytest_runtest_logreport(report=report)
        if report.when == "teardown":
            worker.left.pop(0)
        if self.session.shouldfail:
            raise self.session.Failed(self.session.shouldfail)
        if self.session.shouldstop:
            raise self.session.Interrupted(self.session.shouldstop)

    def end(self, worker):
        """A worker that has something left died of it; another one does the rest."""
        worker.process.join()
        del self.workers[worker.line]
        worker.line.close()
        if worker.left:
            died, *rest = worker.left
            test, why = self.session.items[died], f"the process that ran this ended with {worker.process.exitcode}"
            report = pytest.TestReport(test.nodeid, test.location, {}, "failed", why, "call")
            self.hook.pytest_runtest_logreport(report=report)
            self.files += [rest] if rest else []
            self.begin()


class Loop:
    """The worker itself: tells the first process what becomes of each test."""

    def __init__(self, session, line: Connection, stop):
        self.session, self.config, self.line, self.stop = session, session.config, line, stop

    def live(self, theirs):
        for each in theirs:  # the first process's ends: what ends with it is seen to end
            each.close()
        try:
            self.settle_in()
            try:
                self.run()
            finally:
                failed = self.session.testsfailed > 0
                self.config.hook.pytest_sessionfinish(session=self.session, exitstatus=int(failed))
        except BaseException:
            with contextlib.suppress(OSError):  # the first process is gone
                self.line.send((BROKEN, traceback.format_exc()))
        finally:
            atexit._run_exitfuncs()

    def settle_in(self):
        """Nothing here prints, keeps what failed for the next run, or shares a file of output with another worker."""
        self.config.workerinput = {}
        self.config.pluginmanager.unregister(name="terminalreporter")
        self.config.pluginmanager.register(self)
        capture = self.config.pluginmanager.getplugin("capturemanager")
        capture.stop_global_capturing()
        capture.start_global_capturing()

    def run(self):
        """What lasts for all tests stays from file to file: behind a file's last test comes the session itself."""
        while tests := self.ask():
            for test, after in itertools.pairwise([*tests, self.session]):
                self.one(test, after)

    def ask(self):
        self.line.send((NEXT, None))
        return [self.session.items[each] for each in self.line.recv()]

    def one(self, test, after):
        if not self.stop.is_set():
            self.config.hook.pytest_runtest_protocol(item=test, nextitem=after)

    def pytest_runtest_logstart(self, nodeid, location):
        self.line.send((STARTED, (nodeid, location)))

    def pytest_runtest_logreport(self, report):
        data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        self.line.send((REPORT, data))
