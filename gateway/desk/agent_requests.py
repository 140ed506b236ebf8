"""What authorized agents asked for by the Data Rights Protocol, each on record once: rows beside the ledger, with what
became of them. `gateway.consent.agents` and `gateway.consent.verbs` call it, in a transaction.

An opt-out is done when its row is written, and told as such from when it is effective. Access and deletion wait until
whoever has the mailbox or number that was named shows it here and does the act: then every request is fulfilled that
waits for that address since nobody else had it (R5). A row never holds the address: while it waits, a keyed digest, or
bytes that are nobody's; afterwards nothing. What nobody came for is denied at its last day. An agent with a callback is
told of each change by the outbox, as `agent:NAME`. So many wait of one agent and no more; what waits for nobody, as an
opt-out, is never too much.
"""

import contextlib
import hmac
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from gateway.desk import answered_requests, outbox, own_systems
from gateway.desk.answered_requests import AnsweredRequest
from gateway.keys import seals
from gateway.keys.secret_files import Secrets
from gateway.ledger.acts.confirmed_time import sure_by
from gateway.ledger.acts.holders import passed_at
from gateway.ledger.store import Store, ledger_snapshot
from gateway.ledger.subjects import Subject, moment, second_of
from gateway.ledger.transaction import Transaction
from gateway.terms import DAY_MS, Manner, Source

CALLED, MAILBOX = b"agent-request/1", b"agent-mailbox/1\x00"
ANSWERED_DAYS = 45  # 11 CCR 7021(b): from the day of a request to know or to delete
KEPT_DAYS = 731  # 11 CCR 7101: records of requests, 24 months
MOST_WAITING = 10_000  # of one agent; what each names waits for its 45 days
OVER_AT_ONCE = 200  # of those denied in one transaction, some 10 ms: opt-outs wait for it
NOT_VERIFIED = "not_verified"  # the year's report's word for what nobody came for
WORD = "status"  # of a message in the outbox


class TooManyWaiting(Exception):
    """As many requests of this agent wait for their people as may."""


class RequestStatus(StrEnum):
    """The protocol's words."""

    IN_PROGRESS = "in_progress"
    FULFILLED = "fulfilled"
    DENIED = "denied"
    REVOKED = "revoked"


class StatusReason(StrEnum):
    """Of a status, as far as we give one; the protocol's words."""

    NONE = ""
    VERIFY = "need_user_verification"
    UNVERIFIED = "insuf_verification"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """`id`: its UUID's bytes; `message`: a keyed digest of what was signed; times are Unix milliseconds; `unread`:
    members that nothing could be done with; `called`: what the agent calls it; `mailbox`: see `digest_of`; `settled`:
    since when, or of an opt-out from when, nothing more becomes of it.
    """

    agent: str
    message: bytes
    exercise: str
    at: int
    until: int
    status: RequestStatus
    reason: StatusReason = StatusReason.NONE
    unread: tuple[str, ...] = ()
    called: str = ""
    mailbox: bytes | None = None
    id: bytes = b""
    settled: int | None = None

    def as_of(self, now: int) -> "AgentRequest":
        """What is told of it at a moment: an opt-out is in progress for as long as a send on an older answer, as of a
        file, may start.
        """
        waits = self.exercise == OPT_OUT and self.settled is not None and now < self.settled
        return replace(self, status=RequestStatus.IN_PROGRESS) if waits else self

    @property
    def due(self) -> int:
        """The last moment at which it is answered, in Unix milliseconds."""
        return self.at + ANSWERED_DAYS * DAY_MS if self.settled is None else self.settled

    @property
    def is_open(self) -> bool:
        return self.status is RequestStatus.IN_PROGRESS

    def told(self, site: str) -> dict[str, object]:
        """The protocol's status object. `site`: the origin of our pages."""
        found: dict[str, object] = {
            "request_id": str(uuid.UUID(bytes=self.id)),
            "received_at": second_of(self.at),
            "status": self.status.value,
        }
        if self.called:
            found["agent_request_id"] = self.called
        if self.reason:
            found["reason"] = self.reason.value
        if self.is_open:
            found |= {"expected_by": second_of(self.due), "expires_at": second_of(self.due)}
        if self.is_open and self.mailbox:
            found["user_verification_url"] = f"{site}{PAGES[self.exercise]}"
        elif self.exercise == ACCESS and self.status is RequestStatus.FULFILLED:
            found["results_url"] = f"{site}{PAGES[ACCESS]}"
        return found | {"processing_details": " ".join(self._details(site))}

    def _details(self, site: str) -> list[str]:
        forgotten = self.is_open and self.exercise == DELETION and not self.mailbox
        said = [FORGOTTEN if forgotten else DETAILS[self.exercise, self.status].format(site=site)]
        if self.unread:
            said.append(f"Nothing could be done with: {', '.join(self.unread)}.")
        return said


OPT_OUT, OPT_IN, ACCESS, DELETION = "sale:opt_out", "sale:opt_in", "access", "deletion"
PAGES = {ACCESS: "/privacy-choices/data", DELETION: "/privacy-choices/erase"}
WAITS = "The person asks for a code to the address that was named, and does it themselves, at user_verification_url."
FORGOTTEN = "Forgotten here, and whoever got it from us is told. Our other systems have not all deleted yet."
NOBODY = "Nobody showed in time that the address that was named is theirs."
DETAILS: Mapping[tuple[str, RequestStatus], str] = {
    (
        OPT_OUT,
        RequestStatus.FULFILLED,
    ): "Opted out of sale, sharing, targeted ads, profiling and use of sensitive data.",
    (OPT_OUT, RequestStatus.IN_PROGRESS): "On record, and denied. Files that were made before may be sent until then.",
    (OPT_IN, RequestStatus.DENIED): "Only the person opts in, in two steps of their own: {site}/privacy-choices/opt-in",
    (ACCESS, RequestStatus.IN_PROGRESS): WAITS,
    (DELETION, RequestStatus.IN_PROGRESS): WAITS,
    (ACCESS, RequestStatus.FULFILLED): "The person was shown what is held. It is shown to nobody else.",
    (DELETION, RequestStatus.FULFILLED): "Forgotten here, and whoever got it from us is told.",
    (ACCESS, RequestStatus.DENIED): NOBODY,
    (DELETION, RequestStatus.DENIED): NOBODY,
    (ACCESS, RequestStatus.REVOKED): "Taken back by the agent.",
    (DELETION, RequestStatus.REVOKED): "Taken back by the agent.",
}


def digest_of(secrets: Secrets, subject: Subject) -> bytes:
    """By which a request that waits is found again: of the first pepper, which never changes."""
    return hmac.digest(secrets.peppers[0], MAILBOX + f"{subject.kind}\x00{subject.value}".encode(), "sha256")


@dataclass(frozen=True, slots=True)
class WaitingRequests:
    """What waits for an address: `own` was asked since somebody else had it last, and is its holder's; `others` was
    asked before that (R5).
    """

    own: list[AgentRequest]
    others: list[AgentRequest]


WAITS_ALL = "SELECT id, event FROM agent_deletion"
WAITS_ONE = "SELECT id, event FROM agent_deletion WHERE id = ?"
COLUMNS = "id, agent, message, exercise, at, until, status, reason, unread, called, mailbox, settled"


@dataclass(frozen=True, slots=True)
class AgentRequests:
    """The rows of one installation. `site`: the origin of its pages; `callbacks`: agents with one."""

    secrets: Secrets
    site: str = ""
    callbacks: frozenset[str] = frozenset()

    def add(self, tx: Transaction, request: AgentRequest, now: int) -> AgentRequest | None:
        """With the id that it has from now on; None where the same message was taken before. What is settled later than
        it is told here is told to the agent then.
        """
        kept = replace(request, id=uuid.uuid4().bytes)
        settled = kept.settled or (None if kept.is_open else kept.at)
        box = seals.seal_box(self.secrets.seals[-1], CALLED + kept.id, kept.called.encode()) if kept.called else None
        row = (
            kept.id, kept.agent, kept.message, kept.exercise, kept.at, kept.until, kept.status, kept.reason,
            json.dumps(kept.unread), box, kept.mailbox, settled,
        )  # fmt: skip
        sql = f"INSERT INTO agent_request ({COLUMNS}) VALUES ({', '.join('?' * len(row))})"  # noqa: S608 - ours
        if not tx.db.execute(f"{sql} ON CONFLICT DO NOTHING", row).rowcount:
            return None
        if kept.settled is not None and kept.as_of(now).is_open:
            self._tell(tx, kept, kept.settled)
        return kept

    def find(self, tx: Transaction, *, name: bytes = b"", message: bytes = b"") -> AgentRequest | None:
        """By its id, or by what was signed."""
        sql = f"SELECT {COLUMNS} FROM agent_request WHERE id = ? OR message = ?"  # noqa: S608 - ours
        row = tx.db.execute(sql, (name, message)).fetchone()
        return self._read(row) if row else None

    def revoke(self, tx: Transaction, request: AgentRequest, now: int) -> AgentRequest | None:
        """None where it waits for the person no more: it is settled, or they are forgotten but for our own systems."""
        waits = request.is_open and request.mailbox is not None
        return self._settle(tx, request, RequestStatus.REVOKED, now, tell=False) if waits else None

    def fulfil(self, tx: Transaction, proved: Sequence[Subject], exercise: str, now: int) -> None:
        """Those who showed these addresses did, or had done, what was asked for them."""
        for each in self.waiting(tx, proved, now).own:
            if each.exercise == exercise:
                self._settle(tx, each, RequestStatus.FULFILLED, now)

    def waiting(self, tx: Transaction, proved: Sequence[Subject], now: int) -> WaitingRequests:
        """What waits for these addresses. To be asked before anything of them is forgotten: who had them goes too."""
        found, accounts = WaitingRequests([], []), {each.key for each in proved if each.is_account}
        for subject in proved:
            sql = f"SELECT {COLUMNS} FROM agent_request WHERE mailbox = ?"  # noqa: S608 - ours
            rows = tx.db.execute(sql, (digest_of(self.secrets, subject),)).fetchall()
            since = max(passed_at(tx.db, key, now, accounts) for key in subject.keys) if rows else 0
            for each in map(self._read, rows):
                (found.own if each.at > since else found.others).append(each)
        return found

    def forgotten(self, tx: Transaction, waiting: WaitingRequests, event: bytes, now: int) -> None:
        """Those for whom this waits are forgotten by an act: their requests for it are fulfilled, once each own system
        that the act asks has deleted. What others asked is found by no address from now on, and ends on its day.
        """
        complete, named = own_systems.is_complete(tx.db, event), "UPDATE agent_request SET mailbox = ? WHERE id = ?"
        tx.db.executemany(named, [(os.urandom(len(each.mailbox or b"")), each.id) for each in waiting.others])
        for each in waiting.own:
            if each.exercise == DELETION and complete:
                self._settle(tx, each, RequestStatus.FULFILLED, now)
            elif each.exercise == DELETION:
                tx.db.execute("UPDATE agent_request SET mailbox = NULL, reason = '' WHERE id = ?", (each.id,))
                tx.db.execute("INSERT INTO agent_deletion VALUES (?, ?)", (each.id, event))

    def expire(self, tx: Transaction, now: int, name: bytes = b"") -> bool:
        """What nobody came for in time is denied, and counted as that for the year's report; what was settled long ago
        is forgotten: once entries confirm that the time is over, for one clock that was ahead would deny all that wait.
        So many at a time, the one of a name among them: whether more are over.
        """
        sure = sure_by(tx, now) or 0
        over = f"SELECT {COLUMNS} FROM agent_request WHERE mailbox IS NOT NULL AND at < ?1"  # noqa: S608 - ours
        sql = f"SELECT * FROM ({over} ORDER BY at LIMIT ?2) AS oldest UNION {over} AND id = ?3"  # noqa: S608 - ours
        rows = tx.db.execute(sql, (sure - ANSWERED_DAYS * DAY_MS, OVER_AT_ONCE, name)).fetchall()
        for each in map(self._read, rows):
            days = moment(each.at).date(), moment(now).date()
            denied = AnsweredRequest(each.exercise, *days, Source.AGENT, Manner.AGENT, denied=NOT_VERIFIED)
            answered_requests.count_answered(tx.db, denied)
            self._settle(tx, each, RequestStatus.DENIED, now, StatusReason.UNVERIFIED)
        tx.db.execute("DELETE FROM agent_request WHERE settled < ? AND until < ?", (sure - KEPT_DAYS * DAY_MS, sure))
        return len(rows) >= OVER_AT_ONCE

    def fulfil_deleted(self, tx: Transaction, now: int, *, only: bytes = b"") -> None:
        """What waited for our own systems alone is fulfilled; one request, or all."""
        rows = tx.db.execute(WAITS_ONE, (only,)) if only else tx.db.execute(WAITS_ALL)
        for name, event in rows.fetchall():
            if own_systems.is_complete(tx.db, event):
                tx.db.execute("DELETE FROM agent_deletion WHERE id = ?", (name,))
                if (request := self.find(tx, name=name)) and request.is_open:
                    self._settle(tx, request, RequestStatus.FULFILLED, now)

    def _settle(
        self, tx: Transaction, request: AgentRequest, status: RequestStatus, now: int,
        reason: StatusReason = StatusReason.NONE, *, tell: bool = True,
    ) -> AgentRequest:  # fmt: skip
        sql = "UPDATE agent_request SET status = ?, reason = ?, mailbox = NULL, settled = ? WHERE id = ?"
        tx.db.execute(sql, (status, reason, now, request.id))
        settled = replace(request, status=status, reason=reason, mailbox=None, settled=now)
        if tell:
            self._tell(tx, settled, now)
        return settled

    def _tell(self, tx: Transaction, request: AgentRequest, at: int) -> None:
        if request.agent in self.callbacks:
            outbox.queue(tx, recipient_of(request.agent), request.told(self.site), at, word=WORD)

    def _read(self, row: tuple[Any, ...]) -> AgentRequest:
        name, agent, message, exercise, at, until, status, reason, unread, box, mailbox, settled = row
        called = ""
        with contextlib.suppress(seals.OpeningFailed):  # its key was retired: what the agent calls it is gone
            called = seals.open_seal(self.secrets.seals, CALLED + name, box).decode() if box else ""
        said = RequestStatus(status), StatusReason(reason), tuple(json.loads(unread))
        return AgentRequest(agent, message, exercise, at, until, *said, called, mailbox, name, settled)


def count_waiting(store: Store, agent: str) -> int:
    """How many requests of an agent wait for their people. Looks at all that wait, of every agent: nothing for the
    writer's time. Raises `StoreUnavailable`.
    """
    with ledger_snapshot(store) as db:
        sql = "SELECT count(*) FROM agent_request WHERE mailbox IS NOT NULL AND agent = ?"
        return int(db.execute(sql, (agent,)).fetchone()[0])


def recipient_of(agent: str) -> str:
    """What an agent is called among those who are told something; no recipient has a colon in its name."""
    return f"agent:{agent}"
