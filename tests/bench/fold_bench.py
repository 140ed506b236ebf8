"""The fold of a record, microseconds of processor time, beside one `orjson.loads` of 1 kB of the same run.

Of people alone (a browser, an ad id with its digest), of people in accounts (three lines and ids each, with their
names), and of a crowd of both: two in three alone, one in three in an account.
"""

import gc
import time
from collections.abc import Callable, Iterator

import orjson
from signals_bench import BASELINE, table

from gateway.fold import fold
from gateway.fold.record import LinkSaid, NamesLearnt, Record, Said, SaidIn, SaidOut
from gateway.terms import SIGNAL_PURPOSES, Purpose

BAR = 10.0  # us a record of the crowd (`gateway verify`'s acceptance)
PEOPLE = 3_000
RUNS = 5
Told = tuple[bytes, Said, bool]  # key, what is said, whether it is an account


def key(number: int, name: int) -> bytes:
    return b"%8d%8d" % (number, name)


def alone(number: int) -> Iterator[Told]:
    """A browser with GPC; every other one is an ad id, met with its digest, and one in eight takes it back."""
    me = key(number, 0)
    if number % 2:
        yield me, NamesLearnt((key(number, 1),)), False
    yield me, SaidOut(SIGNAL_PURPOSES, "gpc", signal=True), False
    if number % 8 == 0:
        yield me, SaidIn((Purpose.SALE,), "1"), False


def in_account(number: int) -> Iterator[Told]:
    """Phone, mail and ad id with their names; a no of the account, one of a thing, sometimes a yes."""
    account, things = key(number, 0), [key(number, name) for name in (1, 4, 7)]
    for thing in things:
        names = (thing[:-1] + b"a", thing[:-1] + b"b")
        yield thing, NamesLearnt(names[:1], looser=names[1:]), False
        yield thing, LinkSaid(account, 1_000), False
    yield account, SaidOut((Purpose.SALE,), "form"), True
    yield things[0], SaidOut((Purpose.SENSITIVE,), "app"), False
    if number % 4 == 0:
        yield account, SaidIn((Purpose.SALE,), "1"), True


def records_of(people: Iterator[Told]) -> list[Record]:
    return [Record(seq, 1_000 + seq, about, said, account) for seq, (about, said, account) in enumerate(people)]


def folded(records: list[Record]) -> None:
    state: dict[object, object] = {}
    for record in records:
        state.update(fold(record, state.get))


def spent(job: Callable[[], object], number: int) -> float:
    """The least of some runs, a piece."""
    found = []
    for _ in range(RUNS):
        began = time.process_time()
        job()
        found.append((time.process_time() - began) / number * 1e6)
    return min(found)


def rows() -> list[tuple[str, float]]:
    """(name, microseconds), the baseline first."""
    body = orjson.dumps({"text": "x" * 560, "numbers": list(range(120))})
    found = [(f"{BASELINE} ({len(body)} B)", spent(lambda: [orjson.loads(body) for _ in range(10_000)], 10_000))]
    crowds = {
        "people alone": [told for number in range(PEOPLE) for told in alone(number)],
        "people in accounts": [told for number in range(PEOPLE // 3) for told in in_account(number)],
        f"a crowd, one in three in an account (bar: {BAR:.0f} us)": [
            told for number in range(PEOPLE) for told in (alone(number) if number % 3 else in_account(number))
        ],
    }
    for name, people in crowds.items():
        records = records_of(iter(people))
        found.append((f"a record of {name}", spent(lambda records=records: folded(records), len(records))))
    return found


if __name__ == "__main__":
    gc.disable()  # as `verify` does
    print("\n".join(table(rows())))
