"""What goes wrong while a crowd lives: processes are stopped and go on, are killed anywhere and at chosen points, the
feed of a replica is cut, the wall clock is moved, and once all of them are killed and find a state of another root in
force.
"""

import contextlib
import random
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

from gateway.keys import secret_files
from gateway.ledger import schema
from gateway.ledger.log_records import LedgerLog
from gateway.state import environment
from gateway.state.packed_rows import StateHead
from gateway.state.transactions import write_copied
from support import under_nemesis

STEPS = (-3600.0, -60.0, 0.0, 60.0, 3600.0)  # seconds that the clock is ahead
MEETS = 4.0  # seconds in which somebody comes to a chosen point
DIES = 60.0
ROOT = b"the root of another ledger ....."


class Nemesis:
    """`acts` by name; `done`: what it did, how often. Acts until `over` is set."""

    once = 4  # the turn at which a state of another root is there

    def __init__(self, fleet, seed, *acts):
        self.fleet, self.random = fleet, random.Random(f"nemesis {seed}")
        self.over, self.done = threading.Event(), Counter()
        usual = (self.stops_one, self.kills_one, self.kills_at, self.cuts, self.steps, self.stops_one, self.kills_at)
        self.bare = bool(acts)
        self.acts = tuple(getattr(self, act) for act in acts) or usual

    @contextlib.contextmanager
    def at_work(self, pause=0.5):
        """For as long as what is within."""
        with ThreadPoolExecutor(1) as pool:
            working = pool.submit(self.go_on, pause)
            try:
                yield self
            finally:
                self.over.set()
            working.result()

    def go_on(self, pause):
        for turn, act in zip(count(1), self.in_turns(), strict=False):
            if self.over.wait(self.random.random() * 2 * pause):
                break
            act() if turn != self.once or self.bare else self.puts_another_root()

    def in_turns(self):
        """All of them once, so that a short life meets a stop and a kill, then in any order."""
        yield from self.acts
        while True:
            yield self.random.choice(self.acts)

    def rests(self):
        """The fault of a control shows by itself."""

    def anybody(self):
        return self.random.choice([*self.fleet.served, *self.fleet.beside.values()])

    def stops_one(self):
        one = self.anybody()
        one.process.send_signal(signal.SIGSTOP)
        self.over.wait(self.random.choice((0.1, 0.4, 1.0, 2.5)))
        one.process.send_signal(signal.SIGCONT)
        self.done["stops"] += 1

    def kills_one(self):
        one = self.anybody()
        one.kill()
        one.start()
        self.done["kills anywhere"] += 1

    def kills_at(self):
        self.meets(self.random.choice([*under_nemesis.POINTS]))

    def kills_before_it_is_durable(self):
        self.meets("before it is durable")

    def kills_folded_and_not_durable(self):
        self.meets("folded and not durable")

    def meets(self, point):
        """Whoever comes to a point first, of those who write. They are started again."""
        sign, ends = under_nemesis.file_of(self.fleet.folder, point), time.monotonic() + MEETS
        sign.touch()
        while sign.exists() and time.monotonic() < ends:
            time.sleep(0.002)
        try:
            sign.unlink()
        except FileNotFoundError:
            self.done[f"kills {point}"] += 1
            self.starts_the_dead()

    def starts_the_dead(self):
        """At least one, which may be dying still."""
        ends = time.monotonic() + DIES
        while not (dead := [one for one in self.fleet.on_the_folder() if one.process.poll() is not None]):
            assert time.monotonic() < ends, "whoever came to the point lives on"
            time.sleep(0.01)
        for one in dead:
            one.start()

    def cuts(self):
        relay, what = self.fleet.relay, self.random.choice(("feed", "all"))
        setattr(relay, what, True)
        self.over.wait(self.random.choice((0.3, 1.0, 3.0)))
        setattr(relay, what, False)
        self.done["cuts"] += 1

    def steps(self):
        under_nemesis.set_clock(self.fleet.folder, self.random.choice(STEPS))
        self.done["clock steps"] += 1

    def puts_another_root(self):
        """All are killed, and what they find in force is whole, as long as the log, and of another one."""
        everybody = self.fleet.on_the_folder()
        for one in everybody:
            one.kill()
        put_another_root(self.fleet.folder / "data")
        for one in everybody:
            one.start()
        self.done["states of another root"] += 1


def put_another_root(data):
    """A state of nobody's noes that says of itself that it has as much of this very log."""
    with contextlib.closing(schema.open_to_read(data)) as db:
        log = LedgerLog(db)
        epoch = len(secret_files.load_secrets(data).peppers)
        head = StateHead(log.name, log.head, ROOT, epoch, entries=log.entries(log.head))
    with environment.making(data), contextlib.closing(environment.make_generation(data)) as made:
        write_copied(made, {}, head)
        environment.put_in_force(made)
