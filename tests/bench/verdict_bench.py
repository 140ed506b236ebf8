"""The verdict alone, law looked up, nothing remembered: microseconds, beside one `orjson.loads` of 1 kB of the same
run.

Questions: the shipped recipients' own (teemo: two pairs of purpose and class; advertisers: twelve), of people with and
without a record, and every row of verdicts.json, of which the median and the 95th percentile are told.
"""

import statistics
from itertools import product

import orjson
from signals_bench import BASELINE, micro, table
from support import verdicts

from gateway.choice.question import Question
from gateway.choice.standing import Standing, out_bits
from gateway.choice.verdict import decide
from gateway.settings import load
from gateway.terms import SIGNAL_PURPOSES

RECORDS = {"no record": (), "opted out": (Standing(own=out_bits(SIGNAL_PURPOSES), seq=7),)}
BAR = 10.0  # us, the median of the rows (the verdict's acceptance)


def rows() -> list[tuple[str, float]]:
    """(name, microseconds), the baseline first."""
    undecorated = decide.__wrapped__
    body = orjson.dumps({"text": "x" * 560, "numbers": list(range(120))})
    found = [(f"{BASELINE} ({len(body)} B)", micro(lambda: orjson.loads(body)))]
    recipients = load.load_settings(load.example_file(), {}).registry(dev=True)
    for name, (record, standings) in product(("teemo", "advertisers"), RECORDS.items()):
        recipient = recipients[name]
        asked = Question(recipient, recipient.purposes, recipient.data, frozenset({"US-CA"}), standings=standings)
        found.append((f"{name}, {record}", micro(lambda asked=asked: undecorated(asked, verdicts.OFFICE))))
        found.append((f"{name}, {record}, remembered", micro(lambda asked=asked: decide(asked, verdicts.OFFICE))))
    asked_of = [(verdicts.question(row["ask"]), verdicts.office(row["ask"])) for row in verdicts.rows()]
    times = [micro(lambda pair=pair: undecorated(*pair), runs=3, number=200) for pair in asked_of]
    middle = statistics.median(times)
    found.append((f"{len(times)} rows of verdicts.json, median (bar: {BAR:.0f} us)", middle))
    found.append((f"{len(times)} rows of verdicts.json, 95th percentile", statistics.quantiles(times, n=20)[-1]))
    return found


if __name__ == "__main__":
    print("\n".join(table(rows())))
