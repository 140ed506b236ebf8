"""A replica: checks answered beside the ad server, from a copy that the gateway's feed keeps, while a lease is held.
`gateway replica` runs it.

In the ad server's own process (`Replica`), or as a sidecar with the gateway's own doors (`application`). Without a
lease every check is a deny with the reason `stale`. What it lets go, and what its callers say became of it, it puts
into a spool and hands over to the gateway, whose record it is (`gateway.replica.recording`); it writes no choice.
"""

import asyncio
import contextlib
import functools
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx2
from prometheus_client import Gauge
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.app import routes
from gateway.app.composition import Clock, now
from gateway.app.from_settings import hearing, office_of, people_of, places_of
from gateway.app.law_tables import law_table, log_own_rows
from gateway.choice.recipient import Recipient
from gateway.client.asking import begins_again
from gateway.consent.asked import Ask, Checked
from gateway.consent.check import Checks
from gateway.consent.decisions import Decisions, Stands
from gateway.delivery.outgoing import AS_IT_IS, authorities
from gateway.disk import boot_id, boot_seconds
from gateway.keys import seals
from gateway.keys.api_keys import Credentials
from gateway.keys.seals import Enrolment
from gateway.keys.secret_files import Secrets
from gateway.ledger.watch import log
from gateway.replica.feed import Feed, Tags
from gateway.replica.follower import Follower
from gateway.replica.recording import HandingOver, Recording, ReplicaSpool, Wait, at_once
from gateway.settings import load as settings_of
from gateway.settings.load import Settings
from gateway.state.environment import StateRefused
from gateway.state.lookup import StateLookup
from gateway.web.api import answering_clock
from gateway.web.api.check_answer import Answering
from gateway.web.api.health import itself, live
from gateway.web.api.inside import Inside
from gateway.web.shell import auth, edge, page, wire
from gateway.web.shell.door_router import DoorRouter
from gateway.web.shell.edge import INTERNAL, METRICS, Calls, Edge
from gateway.web.shell.lifespan import Service
from gateway.web.shell.metrics import Metrics

EVERYWHERE = frozenset({INTERNAL, METRICS})


class NoEntries:
    """What a replica knows of the log's entries: nothing, so that its answers name none."""

    def event(self, _: int) -> None:
        return None

    def began(self, *_: object) -> None:
        return None


class Replica:
    """One replica, in its own process or an ad server's. `of`: the gateway's internal address; `folder`: where copy and
    spool lie, one a process. A context manager: it follows from its beginning to its end. Raises `ReplicaRefused` where
    the folder is another process's.
    """

    def __init__(
        self,
        of: str,
        folder: Path,
        enrolled: Enrolment,
        settings: Settings,
        *,
        dev: bool = False,
        clock: Clock = now,
        boot_clock: Callable[[], float] = boot_seconds,
        tell: Callable[[str], None] = log,
    ) -> None:
        self._settings, self.clock, self._boot_clock = settings, clock, boot_clock
        self.environment = "dev" if dev else settings.environment.name
        self._client = httpx2.Client(base_url=of, trust_env=False, verify=authorities(), headers=AS_IT_IS)
        self.recipients: Mapping[str, Recipient] = settings.registry(dev=dev)
        self._window, peppers = timedelta(milliseconds=settings.share.send_window_ms), enrolled.peppers
        feed = Feed(self._client, enrolled.key, Tags(enrolled.decisions, peppers))
        self.follower = Follower(folder, feed, len(peppers), boot_clock, clock, tell=tell)
        lookup = StateLookup(self.follower.moment, self.follower, clock, NoEntries())
        people = people_of(settings, _secrets(peppers), clock)
        office, said_in = office_of(settings, law_table(settings), clock), settings.signals.gpp_sections
        self.checks = Checks(lookup, people, office, self.recipients, places_of(settings), hearing(settings), said_in)
        log_own_rows(settings)
        self.spool = ReplicaSpool(folder, settings.replicas.spool_mib * 2**20, boot_id(), self.recipients)
        self.handing_over = HandingOver(
            self.spool, self._client, enrolled.key, tell, settings.replicas.hand_over_seconds
        )
        self._decisions = Decisions.of_replica(enrolled, self.recipients)
        self._recording = self.recording(Metrics())
        self._child = False
        begins_again(self)

    def forked(self) -> None:
        """The child of a fork is told `stale`, and leaves alone what is the parent's."""
        self._child = True
        self.follower.forked()
        self.spool.forked()

    @classmethod
    def open(
        cls, of: str, folder: str | Path, enrolment_file: str | Path, secret: str, *, config: str | Path | None = None
    ) -> "Replica":
        """By the file and the secret of `gateway replica enrol`; `config`: the gateway's own configuration. Raises
        `EnrolmentRefused`, `SettingsRefused`.
        """
        enrolled = seals.open_enrolment(Path(enrolment_file).read_text(encoding="utf-8"), secret)
        return cls(of, Path(folder), enrolled, settings_of.load_settings(Path(config) if config else None, os.environ))

    def __enter__(self) -> Self:
        self.follower.start()
        self.handing_over.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            return
        self.follower.stop()  # nobody is answered from here on
        self.handing_over.stop()
        self._client.close()

    @property
    def send_window(self) -> timedelta:
        """How long a send may start, for whoever counts from before the asking: never beyond the lease."""
        return min(self._window, timedelta(seconds=self.follower.left()))

    def place(self) -> tuple[int, str]:
        """How many entries of which log are known here, whether or not that may be answered from."""
        with contextlib.suppress(StateRefused), self.follower.moment() as moment:
            return moment.head.entries, moment.head.log.partition(" ")[0]
        return 0, ""

    def check(self, ask: Ask) -> Checked:
        """One verdict a recipient, as the gateway gives it, good `until` a moment of CLOCK_BOOTTIME: a window from
        before the look-up, and no longer than the lease, however long this thread was stopped meanwhile. What may go is
        on record as what may have been sent; to say what became of it, ask by `checker`.
        """
        until = min(self._boot_clock() + self._window.total_seconds(), self.follower.fresh_until)
        checked = self.checks.check(ask)._replace(until=until)
        self._recording.record(ask, checked, Stands.POSSIBLE)
        return checked

    @functools.cached_property
    def checker(self) -> Inside:
        """For `gateway.client.Client.over`: asks and sends as one thing, as over HTTP."""
        metrics = Metrics()
        recording = self.recording(metrics)
        answering = Answering(self, recording, metrics, None)
        return Inside(answering, routes.bids(answering, self._settings), self.environment, recording)

    def recording(self, metrics: Metrics, wait: Wait = at_once) -> Recording:
        """Who puts answers into the spool, counted there."""
        return Recording(self, self._decisions, self.spool, wait, metrics.disclosed)


def application(replica: Replica, settings: Settings, folder: Path, *, dev: bool = False) -> Any:
    """The sidecar: /v1/check, /v1/checks, /v1/openrtb, /v1/disclosures and /v1/self as the gateway has them. Its
    callers' API keys lie in the replica's folder (`gateway keys add --data`).
    """
    metrics = Metrics()
    credentials = Credentials(folder, dev=dev)
    recording = replica.recording(metrics, asyncio.to_thread)
    answering = Answering(replica, recording, metrics, None)
    waiting = Gauge(
        "gateway_replica_spool_bytes", "What waits to be handed over to the gateway", registry=metrics.registry
    )

    async def of_itself(request: Request) -> Response:
        body = itself(replica, auth.anybody(request, credentials), replica.environment)
        return wire.wire_answer(body, headers=answering_clock.said_now())

    async def ready(_: Request) -> Response:
        """200 while it answers: what it has, and for how long."""
        position, left = replica.checks.position(), replica.follower.left()
        spool = {"bytes": replica.spool.waiting, "lost": replica.spool.lost, "why": replica.handing_over.why}
        body = {"position": position, "lease_ms": int(left * 1000), "why": replica.follower.why, "spool": spool}
        good = position is not None
        return wire.wire_answer({"status": "ready" if good else "stale", "replica": body}, 200 if good else 503)

    async def counted(_: Request) -> Response:
        metrics.healthy.set(replica.checks.position() is not None)
        waiting.set(replica.spool.waiting)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    served = [
        *routes.ad_routes(answering, recording, settings, credentials),
        Route("/v1/self", of_itself),
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/metrics", counted),
    ]
    doors, calls = DoorRouter(served, page.handle_with_page, redirects=True), Calls()

    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[Any]:
        with replica:
            calls.add(routes.calls_among(served))
            yield doors

    guard = edge.loopback_only if dev else None
    return Edge(Service(running), metrics, lambda _: EVERYWHERE, guard=guard, shield=lambda _: None, calls=calls)


def _secrets(peppers: tuple[bytes, ...]) -> Secrets:
    """Those that keys are made with; of all others none that anybody has: a browser's token is malformed here."""
    nobodys = (secrets.token_bytes(32),)
    return Secrets(peppers, nobodys, nobodys, nobodys, nobodys, nobodys)
