"""Measures the state: a look-up by processor time, bytes a row, what keeping it costs, and how long it takes to open.

    python tests/bench/state_bench.py [IDENTIFIERS] [FOLDER]
    python tests/bench/state_bench.py cut [IDENTIFIERS]

Every third identifier is in an account, two to each: a phone that opted out and a browser with one more name. Then
look-ups, each in a transaction of its own, beside one orjson.loads of 1 kB and the same of 10,000 identifiers: medians
of seven runs, which take turns.

`cut`: the start after a power cut, by the real start-up of an installation whose ledger so many came before. The last
copy lacks as many records as may come before one is due; meanwhile people opt out and are asked about.
"""

import contextlib
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path

import orjson
from support import inside
from support.people import gaid, named

from gateway.app import state_keeper
from gateway.app.composition import migrate, open_house
from gateway.app.state_keeper import COPY_AFTER, FOLDS
from gateway.consent.asked import Ask
from gateway.fold.reading import standing_of
from gateway.fold.record import LinkSaid, NamesLearnt, Record, SaidOut
from gateway.ledger import schema
from gateway.ledger.acts import records
from gateway.ledger.log_records import PLACES, LedgerLog
from gateway.ledger.subjects import Choice
from gateway.state import environment
from gateway.state.transactions import StateWrite
from gateway.state.upkeep import HostState
from gateway.terms import SIGNAL_PURPOSES, ChoiceKind, Purpose

AT, LATER = 1_790_000_000_000, 1_800_000_000_000
RUNS, TIMES = 7, 20_000
FEW = 10_000  # identifiers


def key(kind, number):
    return sha256(f"{kind}{number}".encode()).digest()[:16]


class MadeLog:
    """Records as they are asked for. Of six identifiers four are browsers with the signal, and two are in an
    account."""

    name = "bench.example.com"
    block = 9  # records of six identifiers

    def __init__(self, identifiers):
        self.blocks = identifiers // 6

    @property
    def head(self):
        return self.blocks * self.block

    def changed(self, after):
        return frozenset()

    def root(self, position):
        return position.to_bytes(32, "big")

    def kinds(self, keys):
        return ()

    def entries(self, position):
        return position

    def read(self, after):
        first, skip = divmod(after, self.block)
        for number in range(first, self.blocks):
            yield from list(enumerate(self.of(number), number * self.block + 1))[skip:]
            skip = 0

    def of(self, number):
        seq, account = number * self.block, key("account", number)
        phone, browser = key("phone", number), key("browser", number)
        heard = SaidOut(SIGNAL_PURPOSES, "gpc", signal=True)
        for each in range(4):
            yield Record(seq + each, AT, key("alone", number * 4 + each), heard)
        yield Record(seq + 4, AT, phone, SaidOut(SIGNAL_PURPOSES, "form"))
        yield Record(seq + 5, AT, browser, NamesLearnt((key("name", number),)))
        yield Record(seq + 6, AT, phone, LinkSaid(account, AT))
        yield Record(seq + 7, AT, browser, LinkSaid(account, AT))
        yield Record(seq + 8, AT, account, SaidOut(SIGNAL_PURPOSES, "form"), account=True)


class LibraryLog(MadeLog):
    """One tablet of so many accounts, each of which said no."""

    name = "library.example.com"

    def __init__(self, accounts):
        self.accounts = accounts

    @property
    def head(self):
        return self.accounts * 2

    def read(self, after):
        for number in range(after, self.accounts * 2):
            account = key("reader", number // 2)
            said = LinkSaid(account, AT) if number % 2 == 0 else SaidOut(SIGNAL_PURPOSES, "form")
            of = key("tablet", 0) if number % 2 == 0 else account
            yield number + 1, Record(number, AT, of, said, account=bool(number % 2))


class BrowsersLog(LibraryLog):
    """One account with so many browsers, each of which said no."""

    name = "browsers.example.com"

    def read(self, after):
        for number in range(after, self.accounts * 2):
            said = LinkSaid(key("account", 0), AT) if number % 2 == 0 else SaidOut(SIGNAL_PURPOSES, "form")
            yield number + 1, Record(number, AT, key("browser", number // 2), said)


def each_us(what, times=TIMES):
    """Processor time of one call, the median of some runs."""
    runs = []
    for _ in range(RUNS):
        runs.append(once_us(what, times))
    return statistics.median(runs)


def once_us(what, times):
    began = time.process_time_ns()
    for number in range(times):
        what(number)
    return (time.process_time_ns() - began) / times / 1000


def filled(folder, identifiers):
    state, began, wall = HostState(folder), time.process_time(), time.monotonic()
    folded = state.catch_up(MadeLog(identifiers))
    print(
        f"{identifiers} identifiers, {folded} records folded: {(used := time.process_time() - began):.1f} s of the processor, {used / folded * 1e6:.0f} us each, {time.monotonic() - wall:.1f} s"
    )
    held = state._current()
    entries = held.env.stat()["entries"]
    size = (held.env.info()["last_pgno"] + 1) * held.env.stat()["psize"]
    print(
        f"{entries} rows and edges: {size / entries:.0f} bytes each, {size / identifiers:.0f} an identifier, {size / 2**20:.0f} MiB in all"
    )
    began = time.monotonic()
    state.stop()
    print(f"clean stop: {time.monotonic() - began:.2f} s")
    state.close()


def anonymous():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return line.split()[1]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def opened(folder, identifiers):
    began = time.monotonic()
    state = HostState(folder)
    with state.moment() as moment:
        moment.standing(key("browser", 1), LATER)
    print(f"open and answer once: {(time.monotonic() - began) * 1000:.1f} ms; following on: ", end="")
    began = time.monotonic()
    state.catch_up(MadeLog(identifiers))
    print(f"{(time.monotonic() - began) * 1000:.1f} ms; anonymous memory {anonymous()} kB")
    return state


def asker(state, kind, times, blocks):
    keys = [key(kind, number * 7919 % blocks * times) for number in range(TIMES)]

    def ask(number):
        with state.moment() as moment:
            return moment.standing(keys[number], LATER)

    return ask


def look_ups(few, many):
    """Each of them a state and how many blocks it has."""
    document = orjson.dumps(
        {"members": [{"type": "phone", "value": f"+1415555{each:04}", "ok": True} for each in range(20)]}
    )
    print(f"orjson.loads of {len(document)} bytes: {each_us(lambda _: orjson.loads(document)):.2f} us")
    for words, kind, times in (
        ("nobody", "x", 1),
        ("alone", "alone", 4),
        ("in an account", "phone", 1),
        ("one name, one account", "browser", 1),
    ):
        asks = [lambda _: orjson.loads(document), *(asker(state, kind, times, blocks) for state, blocks in (few, many))]
        runs = zip(*([once_us(ask, TIMES) for ask in asks] for _ in range(RUNS)), strict=True)
        loads, small, large = (statistics.median(each) for each in runs)
        print(f"{words}: {large:.2f} us, {large / loads:.1f} times the loads, {large / small:.2f} times of few")


def library(accounts):
    with tempfile.TemporaryDirectory() as folder:
        state, log = HostState(Path(folder)), LibraryLog(accounts)
        state.catch_up(log)
        tablet, reader = key("tablet", 0), key("reader", accounts - 1)

        def ask(_):
            with state.moment() as moment:
                return moment.standing(tablet, LATER)

        with state.moment() as moment:
            read = each_us(lambda _: standing_of(tablet, moment.get, LATER), 10)
        print(f"a tablet in {accounts} accounts: {each_us(ask):.2f} us; read from rows and edges {read:.0f} us", end="")
        began, position = time.process_time(), log.root(log.accounts * 2)
        for number in range(10):
            said = SaidOut(SIGNAL_PURPOSES, "form")
            with StateWrite(state._current()) as write:
                write.fold(Record(10**9 + number, AT, reader, said, account=True), log.accounts * 2 + number)
                write.finish(position, log.accounts * 2, 0)
        print(f"; a no of one of the accounts, with its commit {(time.process_time() - began) * 1e5:.0f} us")
        state.close()


def browsers(count):
    with tempfile.TemporaryDirectory() as folder:
        state = HostState(Path(folder))
        state.catch_up(BrowsersLog(count))

        def ask(_):
            with state.moment() as moment:
                return moment.standing(key("browser", 1), LATER)

        def ask_all(_):
            with state.moment() as moment:
                return standing_of(key("browser", 1), moment.get, LATER)

        print(
            f"one of {count} browsers of an account: {each_us(ask, 100):.0f} us; read from all {each_us(ask_all, 1):.0f}"
        )
        state.close()


class JoinedLog:
    """What is made up comes first, then a real ledger's; `whole`: as far as that was written yet."""

    def __init__(self, made, real, *, whole=True):
        self.made, self.real = made, real
        self.name, self.peppers, self.before = real.name, real.peppers, made.head * PLACES
        self.head = self.before + (real.head if whole else 0)

    def changed(self, after):
        return self.real.changed(max(0, after - self.before))

    def root(self, position):
        if position <= self.before:
            return self.made.root(position // PLACES)
        return self.real.root(position - self.before)

    def kinds(self, keys):
        return ()

    def entries(self, position):
        return self.made.head + self.real.entries(max(0, position - self.before))

    def read(self, after):
        for position, record in self.made.read(after // PLACES) if after < self.before else ():
            yield position * PLACES, record
        for position, record in self.real.read(max(0, after - self.before)) if self.head > self.before else ():
            yield self.before + position, record


class PartOf(MadeLog):
    """As far as the last copy."""

    def __init__(self, identifiers, lacks):
        super().__init__(identifiers)
        self.blocks -= lacks // self.block


def cut(identifiers, lacks):
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/var/tmp"))) / "data"
    migrate(folder)
    began = time.monotonic()
    with contextlib.closing(schema.open_to_read(folder)) as db:
        real = LedgerLog(db)
        state = HostState(folder, real.peppers)
        state.catch_up(JoinedLog(PartOf(identifiers, lacks), real, whole=False))
        folded, copied = time.monotonic() - began, time.monotonic()
        state.copy()
        copied = time.monotonic() - copied
        state.catch_up(JoinedLog(MadeLog(identifiers), real))
    state._current().mark.begin_writing()
    state.close()
    for file in (folder / environment.STATE).glob(f"*/{environment.FILE}"):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # as after a boot
        print(f"{file.parent.name}: {os.fstat(descriptor).st_size / 2**20:.0f} MiB", end="; ")
        os.close(descriptor)
    print(f"folded in {folded:.0f} s, copied in {copied:.1f} s; the copy lacks {lacks} records")
    environment.boot_id = lambda: b"the next boot .."
    made, until = MadeLog(identifiers), state_keeper._LogUntil
    state_keeper.LedgerLog = lambda db: JoinedLog(made, LedgerLog(db))
    state_keeper._LogUntil = lambda db, stop: JoinedLog(made, until(db, stop))
    started(folder)
    shutil.rmtree(folder.parent)


def started(folder):
    """What people and ad servers see, from the beginning of the process on."""
    began, waits, denied, tells = time.monotonic(), [], 0, []
    with open_house(folder, inside.settings(), dev=True, patient=True, tell=tells.append) as house:
        opened = time.monotonic() - began
        for number in count(1):
            asked = time.monotonic()
            subject = house.consent.people.name([named("gaid", gaid(number))]).subjects[0]
            choice = Choice(ChoiceKind.OPT_OUT, (Purpose.SALE,), "api", house.consent.clock())
            house.writer.submit(
                partial(records.write_choice, subject=subject, choice=choice, request=os.urandom(16))
            ).result(60)
            waits.append(time.monotonic() - asked)
            for who in (number, number + 10**9):  # one who opted out, and a stranger
                found = house.consent.checks.check(
                    Ask(("teemo",), (named("gaid", gaid(who)),), data=("ad_id",), place="US-NY")
                )
                verdict = found.verdicts["teemo"]
                assert not verdict.allowed or who > 10**9, "an acknowledged opt-out was not heeded"
            if verdict.reason != "stale":
                break
            denied += 1
            time.sleep(0.02)
        took = time.monotonic() - began
        cuts = statistics.quantiles(waits, n=100) if len(waits) > 1 else [waits[0]] * 99
        print(
            f"after a power cut: open in {opened:.2f} s, answering in {took:.1f} s; meanwhile {len(waits)} opt-outs were"
            f" kept, in {cuts[49] * 1000:.0f} ms (99 %: {cuts[98] * 1000:.0f}, longest {max(waits) * 1000:.0f}), and"
            f" {denied} checks of a stranger denied; anonymous memory {anonymous()} kB; {tells}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["cut"]:
        identifiers = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
        cut(identifiers, min(int(COPY_AFTER * FOLDS), identifiers // 2))
        sys.exit()
    identifiers = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    where = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp(dir=os.environ.get("TMPDIR", "/var/tmp")))
    filled(where, identifiers)
    with tempfile.TemporaryDirectory() as few:
        filled(Path(few), FEW)
        look_ups((opened(Path(few), FEW), FEW // 6), (opened(where, identifiers), identifiers // 6))
    for readers in (1, 6, 500):
        library(readers)
    for held in (50, 500, 30_000):
        browsers(held)
