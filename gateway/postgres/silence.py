"""A server that says nothing any more. TCP alone does not find out: a proxy, a tunnel or the kernel of a server that
stands still goes on acknowledging bytes, and whoever waits would wait for ever. Every connection waits by this.

Nobody may be cut off because a statement takes long, so time alone decides nothing: past some seconds of silence the
server is asked, on another connection, what became of ours. Where it works on, we wait on; where it has finished, knows
us no longer or does not answer, the connection is closed on our side, without asking it to cancel: a wait for a standby
that is cancelled passes for a commit. What became of a COMMIT is then not known, and it is asked again by its ids.
Where ours works on because it waits for a session that waits for its client, a machine stands still, and that is ended.
"""

import contextlib
import select
from typing import Any

import psycopg
from psycopg import OperationalError
from psycopg.waiting import Ready, Wait

PATIENCE = 2.0  # seconds of silence before the server is asked
GRACE = 0.3  # seconds more for an answer that was on its way while we asked
PROBE_SECONDS = 2  # a host
# Amid statements that were sent together a backend that has done them all counts as active: it waits for its client.
WORKING = "SELECT wait_event_type IS DISTINCT FROM 'Client' FROM pg_stat_activity WHERE pid = %s"
# Such a one holds what it locked for as long as its client stands still: `idle_in_transaction_session_timeout` is for
# those that were told that all is done. So whoever waits for it ends it; one that works, commits or sends is none.
STANDS_STILL = 3.0  # seconds
STANDING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = ANY(pg_blocking_pids(%s)) AND usename = current_user AND state = 'active' AND wait_event = 'ClientRead'
AND extract(epoch FROM clock_timestamp() - state_change) > %s
"""
EVENTS = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}


class ProbeConnection(psycopg.Connection[Any]):
    """One question, not waited for long."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = PROBE_SECONDS) -> Any:
        return super().wait(gen, interval, timeout)


class HeardConnection(psycopg.Connection[Any]):
    """What the gateway's statements go over. psycopg's own wait looks at the time nowhere between."""

    def heard(self, seconds: float) -> list[str]:
        """What others notified this session of, waited for so long at most: silence is no doubt here."""
        if _ready(self.pgconn.socket, Wait.R, seconds):
            self.pgconn.consume_input()
        return [said.extra.decode() for said in iter(self.pgconn.notifies, None)]

    def wait(self, gen: Any, interval: float = PATIENCE, timeout: float | None = None) -> Any:
        """Until `gen` has what it waits for. Raises `OperationalError` once the server says nothing any more, or past
        `timeout` seconds.
        """
        doubted, pause = False, interval if timeout is None else timeout
        descriptor = self.pgconn.socket  # before anything is begun: of a lost connection there is none
        try:
            wanted = next(gen)
            while True:
                ready = _ready(descriptor, wanted, GRACE if doubted else pause)
                if ready:
                    doubted = False
                elif doubted or timeout is not None:
                    self.pgconn.finish()
                    raise OperationalError("the server says nothing any more")
                else:
                    doubted = not self._works()
                wanted = gen.send(ready)
        except StopIteration as done:
            return done.value
        except KeyboardInterrupt:
            self.pgconn.finish()
            raise
        finally:
            with contextlib.suppress(psycopg.Error):  # what is left half done says so once more
                gen.close()

    def _works(self) -> bool:
        """Whether the server is at what we sent it. That one is asked, of all that the url names: another one leads by
        now, and the number of our session is somebody else's there.
        """
        try:
            where = {"host": self.info.host, "port": self.info.port, "target_session_attrs": "any"}
            if self.info.hostaddr:
                where["hostaddr"] = self.info.hostaddr
            said: dict[str, Any] = {**self.info.get_parameters(), "password": self.info.password, **where}
            with ProbeConnection.connect(**said | {"autocommit": True, "connect_timeout": PROBE_SECONDS}) as probe:
                found = probe.execute(WORKING, (self.pgconn.backend_pid,)).fetchone()
                works = bool(found and found[0])
                if works:
                    _end_what_stands(probe, self.pgconn.backend_pid)
        except Exception:  # noqa: BLE001 - what waits too long is no error of the library's
            return False
        return works


def _end_what_stands(probe: ProbeConnection, waits: int) -> None:
    """Whatever comes of that, as where a role may not ask it: whoever waits is no less at work."""
    try:
        probe.execute(STANDING, (waits, STANDS_STILL))
    except Exception:  # noqa: BLE001 - as above
        probe.close()


def _ready(descriptor: int, wanted: int, seconds: float) -> int:
    poll = select.poll()
    poll.register(descriptor, EVENTS[Wait(wanted)])
    found = sum(event for _, event in poll.poll(seconds * 1000))
    if found & ~(select.POLLIN | select.POLLOUT):  # it ended: whoever reads or writes is told
        return wanted
    return (Ready.R if found & select.POLLIN else 0) | (Ready.W if found & select.POLLOUT else 0)
