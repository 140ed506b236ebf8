"""Writes the generated rows of verdicts.json again and leaves those written by hand: python tests/vectors/generate.py

Owns which questions are asked: places x purposes x ages x records x signals, each as often as any other. The answers
are those of the code, so that whoever changes a rule or a table sees in the difference whom it meets.
"""

import itertools
import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from support.verdicts import FILE, PLACES, office, question

from gateway.choice.law import AGES
from gateway.choice.verdict import decide
from gateway.terms import CHOOSABLE, SIGNAL_PURPOSES

TOGETHER = [["CA", "US-NY"], ["DE", "US-CA"], ["FR", "GB"], ["US-MD", "US-NY"], ["US-OR", "US-WY"]]  # travellers
EVERYWHERE = [*([place] for place in PLACES), ["US-WY"], ["US"], [], ["ZZ"], *TOGETHER]  # [] is unknown
TOLD_TOGETHER = {purpose.value for purpose in SIGNAL_PURPOSES}  # on record a no to one of them is a no to all
WHO = dict(zip(AGES, ("a child below 13", "somebody of 13 to 15", "somebody of 16 or 17", "an adult"), strict=True))
RECORDS = ("none", "opted_out", "opted_in", "limited")
SAYS = {
    "none": "who said nothing of {}",
    "opted_out": "who opted out of {}",
    "opted_in": "who opted in to {}",
    "limited": "who limited sensitive data, asked of {}",
}
SIGNALS = {"without a signal": {}, "sending GPC": {"gpc": "1"}}
ASKED = ["ad_id", "precise_geo"]
A_PLACE = len(RECORDS) * len(SIGNALS)  # rows of one place: each record with and without the signal


def recorded(record: str, purpose: str) -> dict[str, object]:
    """What is on record: the members of a question. An opt-in names the recipient for the precise point, too."""
    if record == "opted_out":
        purposes = TOLD_TOGETHER if purpose in TOLD_TOGETHER else {purpose}
        return {"standings": [{"own": dict.fromkeys(sorted(purposes), "out")}]}
    if record == "limited":
        return {"standings": [{"own": {"sensitive": "out"}}]}
    if record == "opted_in":
        grant = {"recipient": "buyer", "purpose": purpose, "data_class": "precise_geo", "seq": 9}
        return {"standings": [{"own": {purpose: "in"}}], "grants": [grant]}
    return {}


def ask(places: list[str], purpose: str, age: str, record: str, signal: str) -> dict[str, object]:
    """A question to an operator without an age floor of its own, so that the law answers for the young."""
    asked: dict[str, object] = {"places": places, "data": ASKED, "purposes": [purpose], "age": age, "age_floor": 0}
    asked |= recorded(record, purpose)
    return asked | ({"signals": SIGNALS[signal]} if SIGNALS[signal] else {})


def sample():
    """(places, purpose, age, record, signal): eight of a place; purposes turn through all of them, ages with both."""
    for index in range(len(EVERYWHERE) * A_PLACE):
        place, cell = divmod(index, A_PLACE)
        turn, record = divmod(cell, len(RECORDS))
        purpose = index % len(CHOOSABLE)
        age = AGES[(record + 2 * turn + purpose + index // (A_PLACE * len(CHOOSABLE))) % len(AGES)]
        yield EVERYWHERE[place], CHOOSABLE[purpose].value, age, RECORDS[record], list(SIGNALS)[turn]


def generated():
    for places, purpose, age, record, signal in sample():
        asked = ask(places, purpose, age, record, signal)
        decided = decide(question(asked), office(asked))
        where = " and ".join(places) or "an unknown place"
        because = f"{WHO[age]} in {where} {SAYS[record].format(purpose.replace('_', ' '))}, {signal}"
        yield {
            "generated": True,
            "because": because,
            "rule": decided.rule,
            "ask": asked,
            "answer": {"data": decided.data, "reason": decided.reason},
        }


def written(kept: dict[str, object]) -> str:
    """The whole file: what it says of itself, then one row a line."""
    by_hand = [row for row in kept["rows"] if not row.get("generated")]
    lines = [json.dumps(row, ensure_ascii=False) for row in itertools.chain(by_hand, generated())]
    about = json.dumps(kept["about"], indent=1, ensure_ascii=False).replace("\n", "\n ")
    return f'{{\n "about": {about},\n "rows": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n"


if __name__ == "__main__":
    FILE.write_text(written(json.loads(FILE.read_text())))
