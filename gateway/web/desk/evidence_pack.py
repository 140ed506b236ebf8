"""The evidence pack of a person, one zip: the receipts of what they said, the openings that show whom each is about,
the texts they were shown, who received what, and how a stranger verifies it without us and without a network. The
desk's page of a person hands it out.

It holds what was pasted in clear, in the openings: it is for the person, or for whoever may see all that it says.
"""

import asyncio
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import msgspec
from starlette.responses import Response

from gateway.consent.verbs import Consent
from gateway.desk import access, history
from gateway.desk.access import RecipientTold
from gateway.keys import seals
from gateway.keys.person_keys import Vault
from gateway.ledger.proof.ed25519 import Ed25519Signer
from gateway.ledger.proof.receipt import Opening, Receipt
from gateway.ledger.store import Store
from gateway.ledger.subjects import Subject
from gateway.web.desk.desk_page import as_file
from gateway.web.shell import access_report, wire
from gateway.web.shell.access_report import AccessReportBody
from gateway.web.shell.problem import Problem

MOST_ENTRIES = 5_000
SCRIPT = re.compile(r'(?:# fmt: off\n)?"""verify_receipt\.py .*?(?=^```)', re.DOTALL | re.MULTILINE)
README = """\
Evidence about one person{stood}, made on {day} (UTC){site}.

receipts/   one file an entry of the log: the entry and the proof that it is in it (c2sp.org/tlog-proof)
openings/   for whom each is about: the identifier and the secret that opens the entry, where both are known
texts/      what the person was shown, each named by its SHA-256, as the entries name it
report.json what held then, what was said, and who received what, as this gateway reads its own records
told.json   which recipients it wrote a message for, of what, and when last
proofs.json all receipts and openings in one file
log.vkey    the verifier keys of the log, a line each; a receipt is signed by one of them

How to verify it, without a network:

1. Nothing was changed since it was made:       sha256sum -c SHA256SUMS
2. The key is the log's. Compare log.vkey with what the company publishes, or with a key that you had before:
   a key that came with the evidence vouches for nothing by itself.
3. Each receipt, with Python and openssl alone:
     python3 verify_receipt.py receipts/N.tlog-proof "$(head -1 log.vkey)" openings/N.json
   or all of them with the gateway's own tool:  gateway receipt verify proofs.json --log "$(head -1 log.vkey)"
4. A text is the one that was shown where its name is the SHA-256 of its content, and the entry names it as `n`.

What is proved: that these entries stand in the log under that signature. That everybody is shown the same log is what
witnesses are for; their signatures stand in the receipts. What report.json and told.json say of deliveries rests on the
records of this gateway. A pack of an earlier day has the entries until its end, proved under the log as it was when the
pack was made; that there were no others until then, report.json alone says. Of several messages of one word to one
recipient the last is on record: told.json of an earlier day lacks whoever was told again since. The openings name the
person: hand this on to nobody who may not know whom it is about.
"""


class PersonFound(NamedTuple):
    """What the desk finds of a person: what holds, what was said, who received what, and which recipients were told.
    `until`: the end of the day as of which it was asked; None: now.
    """

    report: AccessReportBody
    told: Sequence[RecipientTold]
    until: datetime | None


async def person_found(
    consent: Consent, store: Store, subjects: Sequence[Subject], until: datetime | None
) -> PersonFound:
    """Raises `StoreUnavailable`."""
    report = await access_report.report_of(consent, subjects, until=until)
    now = consent.clock()
    told = await asyncio.to_thread(access.read_told, store, subjects, now, until or now)
    return PersonFound(report, told, until)


@dataclass(frozen=True)
class EvidencePack:
    """Those of one installation. `vault` opens the keys of its people; `seeds` are those of the log's own keys."""

    folder: Path
    consent: Consent
    vault: Callable[[], Vault]
    seeds: Sequence[bytes]

    async def answer(self, found: PersonFound, subjects: Sequence[Subject], site: str) -> Response:
        """The zip of whoever these identifiers are of, as a download. Raises `Problem`, `StoreUnavailable`."""
        if len(found.report.entries) > MOST_ENTRIES:
            raise Problem("malformed", f"There are more than {MOST_ENTRIES} entries: gateway receipt show takes each.")
        body = await asyncio.to_thread(self._zipped, found, subjects, site)
        day = f"-{found.until.date()}" if found.until else ""
        return as_file(body, f"evidence{day}.zip", "application/zip")

    def _zipped(self, found: PersonFound, subjects: Sequence[Subject], site: str) -> bytes:
        files = dict(self._files(found.report, subjects))
        files["told.json"] = _json([_told(each) for each in found.told])
        stood = f" as it stood at the end of {found.until.date()}" if found.until else ""
        about = {"day": self.consent.clock().date(), "site": f" by {site}" if site else "", "stood": stood}
        files["README.txt"] = README.format(**about).encode()
        sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items())]
        files["SHA256SUMS"] = "".join(sums).encode()
        return _zip(files, self.consent.clock().timetuple()[:6])

    def _files(self, report: AccessReportBody, subjects: Sequence[Subject]) -> Iterator[tuple[str, bytes]]:
        events = {entry.event: entry.seq for entry in report.entries if entry.event}
        receipts = self.consent.log_reader.receipts([seals.unb64(event) for event in events])
        openings = self._openings(list(events), subjects)
        proofs = []
        for (event, seq), found in zip(events.items(), receipts, strict=True):
            if found is None:  # by retention: the report names it, and nothing proves it any more
                continue
            yield f"receipts/{seq}.tlog-proof", found.text().encode()
            if event in openings:
                yield f"openings/{seq}.json", _json(openings[event].to_json())
            proofs.append(_proof(found, openings.get(event)))
        yield "proofs.json", _json({"proofs": proofs})
        for text in report.texts:
            yield f"texts/{text.sha256}", text.text.encode()
        yield "report.json", _json(msgspec.to_builtins(report))
        yield "log.vkey", "".join(f"{self._vkey(seed)}\n" for seed in self.seeds).encode()
        manual = (resources.files("gateway") / "manual" / "proofs.md").read_text(encoding="utf-8")
        script = SCRIPT.search(manual)
        assert script
        yield "verify_receipt.py", script[0].encode()

    def _openings(self, events: Sequence[str], subjects: Sequence[Subject]) -> Mapping[str, Opening]:
        """Those that are the person's own and were not forgotten, by event."""
        wanted = {seals.unb64(event): event for event in events}
        vault, found, now = self.vault(), dict[bytes, Opening](), self.consent.clock()
        try:
            for subject in subjects:
                found |= history.openings_of(self.folder, wanted.keys(), subject, vault.keys, now)
        finally:
            vault.close()
        return {wanted[event]: opening for event, opening in found.items()}

    def _vkey(self, seed: bytes) -> str:
        return Ed25519Signer(self.consent.log_reader.origin(), seed).vkey


def _proof(found: Receipt, opening: Opening | None) -> dict[str, object]:
    """As `gateway receipt verify` takes it."""
    return {"receipt": found.text(), **({"opening": opening.to_json()} if opening else {})}


def _told(each: RecipientTold) -> dict[str, str]:
    return {"recipient": each.recipient, "word": each.word, "at": wire.stamp(each.at)}


def _json(content: object) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode()


def _zip(files: Mapping[str, bytes], at: tuple[int, ...]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
        for name, content in sorted(files.items()):
            year, month, day, hour, minute, second = at
            into.writestr(zipfile.ZipInfo(name, (year, month, day, hour, minute, second)), content)
    return packed.getvalue()
