"""Asking witnesses: each checkpoint that is new is shown to them, and their signatures are kept under it (C2SP
tlog-witness).

Runs beside the service; nobody's answer waits for it. A witness that has signed a larger tree of this log, or another
one, stops the log: nothing is signed and nobody is answered from it until that is settled.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

import structlog

from gateway.delivery.background import beside
from gateway.delivery.outgoing import NoHttpAnswer, ask_blocking
from gateway.ledger import cosigning, note
from gateway.ledger.cosigning import KnownWitness, Post, WitnessDisagrees, WitnessUnavailable
from gateway.ledger.errors import StoreUnavailable
from gateway.ledger.log_reader import LogReader, size_of

log = structlog.get_logger("gateway")
SECONDS = 12.0  # for one witness; it answers in tenths
PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
MISSED = 10  # looks in a row: with the default a quarter of an hour, longer than a witness takes to start again


class Witnessing:
    """`witnesses` by the operator's names for them; `every`: seconds between two looks."""

    def __init__(
        self, folder: Path, reader: LogReader, witnesses: Mapping[str, KnownWitness], post: Post, every: float
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._witnesses = witnesses
        self._post = post
        self._every = every
        self._known: dict[str, int] = {}
        self._disagrees: dict[str, str] = {}
        self._missed: dict[str, tuple[int, str]] = {}

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Asks while the context is open."""
        return beside(self._run, wanted=bool(self._witnesses))

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(StoreUnavailable):
                await asyncio.to_thread(self.ask)
            await asyncio.sleep(self._every)

    def alarms(self) -> list[str]:
        """Witnesses that give no signature any more, with what they said last: without one nobody outside finds out
        that the whole of it was put back.
        """
        missed = {name: why for name, (times, why) in list(self._missed.items()) if times >= MISSED}
        return [f"the witness {name!r} does not sign ({why}): gateway help proofs" for name, why in missed.items()]

    def ask(self) -> None:
        """Asks every witness once. Raises `StoreUnavailable`. Blocks."""
        signed = self._reader.to_be_witnessed()
        if signed is None:
            return
        bare = note.text_of(signed)
        seen = {name: self._asked(name, witness, signed) for name, witness in self._witnesses.items()}
        self._reader.publisher.refuse(" ".join(self._disagrees.values()))
        lines = [each for given in seen.values() if given for each in note.split(given)[1]]
        if lines and not self._disagrees:
            own = note.split(signed)[1]
            kept = {(each.name, each.key_id): each for each in [*own, *lines]}
            self._reader.keep_cosigned(note.add(bare + "\n", kept.values()))

    def _asked(self, name: str, witness: KnownWitness, signed: str) -> str | None:
        """The checkpoint with this witness's signature; None where it gave none."""
        size = size_of(signed)
        try:
            given = cosigning.cosigned(
                signed, witness, lambda old: self._reader.consistency(old, size), self._post, self._known.get(name, 0)
            )
        except WitnessUnavailable as away:
            log.warning("witness", witness=name, why=str(away))
            self._missed[name] = self._missed.get(name, (0, ""))[0] + 1, str(away)
            return None
        except WitnessDisagrees as disagrees:
            newest = self._reader.to_be_witnessed()
            if newest is None or size_of(newest) == size:  # else another process of ours has shown it a newer one since
                log.warning("witness disagrees", witness=name, why=str(disagrees))
                self._disagrees[name] = self._text(name, disagrees)
            return None
        self._known[name] = size
        self._disagrees.pop(name, None)
        self._missed.pop(name, None)
        return given

    def _text(self, name: str, disagrees: WitnessDisagrees) -> str:
        return (
            f"{disagrees} (the witness {name!r}): nothing is signed, and nobody is answered from it. Put back the newer"
            f" folder; if it is lost for good, go on as a new log: gateway restore --new-log --data {self._folder}"
        )


def submit(url: str, body: bytes) -> tuple[int, str, bytes]:
    """(status, media type, body) of what a witness answers to a checkpoint: hashes and a signature, nothing personal.
    Raises OSError for whatever the network or the witness does. Blocks.
    """
    try:
        answer = ask_blocking("POST", url, headers=PLAIN, body=body, seconds=SECONDS)
    except NoHttpAnswer as none:
        raise OSError(none.why) from none
    if not answer.whole:
        raise OSError("the answer is too long")
    return answer.status, answer.headers.get("content-type", ""), answer.body
