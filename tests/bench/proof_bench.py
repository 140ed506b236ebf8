"""`python tests/bench/proof_bench.py`: what the log's two signatures cost, in microseconds of the processor and in bytes.

On the way of an answer stands the batch with one signature of Ed25519; that of ML-DSA-44 is made once for a checkpoint that
somebody fetches. Each in turns with the other, medians.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
from support import inside
from support.people import email, named
from support.witnessed import Log

from gateway.app.composition import House, open_house
from gateway.ledger.acts import records
from gateway.ledger.entry import b64
from gateway.ledger.proof.ed25519 import Ed25519Verifier
from gateway.ledger.proof.mldsa import MldsaSigner, MldsaVerifier
from gateway.ledger.subjects import Choice
from gateway.ledger.transaction import Transaction
from gateway.terms import ALL_PURPOSES, ChoiceKind

TURNS, BATCH = 300, 16
AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def spent_on(work: Callable[[], object]) -> float:
    """Microseconds of this process's processor."""
    began = time.process_time_ns()
    work()
    return (time.process_time_ns() - began) / 1000


def of_the_signatures() -> list[tuple[str, float, int]]:
    """(what, microseconds, bytes of its line)."""
    log = Log()
    text = log.checkpoint(40).text().encode()
    first, second = log.signer, MldsaSigner(log.signer.name, log.signer.seed)
    made = {signer: signer.sign(text) for signer in (first, second)}
    known = {
        first: Ed25519Verifier(first.name, first.public),
        second: MldsaVerifier(second.name, second.public),
    }
    lines = {signer: len(log.signed(40, signer)) - len(text) - 1 for signer in (first, second)}
    works = [
        ("Ed25519, signed", first, lambda: first.sign(text)),
        ("ML-DSA-44, signed", second, lambda: second.sign(text)),
        ("Ed25519, verified", first, lambda: known[first].verify(text, made[first])),
        ("ML-DSA-44, verified", second, lambda: known[second].verify(text, made[second])),
    ]
    took: dict[str, list[float]] = {name: [] for name, *_ in works}
    for _ in range(TURNS):
        for name, _, work in works:
            took[name].append(spent_on(work))
    return [(name, statistics.median(took[name]), lines[signer]) for name, signer, _ in works]


def of_a_batch(folder: Path) -> list[tuple[str, float, int]]:
    """A commit of some opt-outs with all that follows it in this process, the receipts of its answers, and one that is
    fetched: microseconds, bytes of a receipt.
    """
    took: dict[str, list[float]] = {name: [] for name in ("commit", "answers", "fetched", "again")}
    with open_house(folder, inside.settings(), dev=True) as house:
        log = house.consent.log_reader
        for turn in range(TURNS // 10):
            written = list[Any]()
            job = batch_of(house, turn)
            took["commit"].append(
                spent_on(lambda job=job, written=written: written.extend(house.writer.submit(job).result()))
            )
            places = [(b64(each.event), each.seq) for each in written]
            took["answers"].append(spent_on(lambda places=places: log.receipts_at_hand(places)))
            for name in ("fetched", "again"):
                took[name].append(spent_on(lambda event=written[0].event: log.receipts([event])))
        [small], [kept] = log.receipts_at_hand(places[:1]), log.receipts([written[0].event])
    lengths = {"answers": len(small.text()), "fetched": len(kept.text()), "again": len(kept.text())}
    return [(NAMES[name], statistics.median(times), lengths.get(name, 0)) for name, times in took.items()]


NAMES = {
    "commit": f"commit of {BATCH} opt-outs",
    "answers": f"the receipts of its {BATCH} answers",
    "fetched": "a receipt fetched, first of its checkpoint",
    "again": "a receipt fetched, any later",
}


def batch_of(house: House, turn: int) -> Callable[[Transaction], list[Any]]:
    """What the writer does in one transaction: so many people of this turn opt out."""
    choice = Choice(ChoiceKind.OPT_OUT, ALL_PURPOSES, "api", AT)
    people = range(turn * BATCH, (turn + 1) * BATCH)
    subjects = [(n, house.consent.people.name([named("email", email(n))]).subjects[0]) for n in people]
    return lambda tx: [records.write_choice(tx, each, choice, n.to_bytes(16, "big")) for n, each in subjects]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = [*of_the_signatures(), *of_a_batch(inside.install(Path(folder) / "data"))]
    print(f"{'':44}{'processor':>12}{'bytes':>9}")
    for name, took, length in found:
        print(f"{name:44}{took:>9.0f} us{length or '':>9}")


if __name__ == "__main__":
    main()
