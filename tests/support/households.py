"""The crowd of `support.crowd` about people with an account, a phone's id and a mailbox each: choices, signals, links,
mailboxes that are given back, and checks, all at once. Others who check beside them read to whom a crew turned last.
"""

import mmap
import struct
import time
from collections import defaultdict
from pathlib import Path

from support import crowd
from support.crowd import NO_ANSWER, PROOF, Lost
from support.kinship import ACCOUNT, KEYS, MEMBERS, Asked, GivenBack, Said, Seen, Tied, Waits, Yes
from support.linearizable import NEVER, Operation
from support.people import email, gaid, named

WORDS = {**crowd.WORDS, "gpc": "out"}
TURN = struct.Struct("<I")
CREWS = 4


def about(subject, key):
    return named(key, {"account": f"person{subject}", "gaid": gaid(subject), "email": email(subject)}[key])


class Turns:
    """A file of numbers, one a crew, which everybody has open."""

    def __init__(self, path):
        if not Path(path).exists():
            Path(path).write_bytes(bytes(TURN.size * CREWS))
        with Path(path).open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), TURN.size * CREWS)

    def __getitem__(self, crew):
        return TURN.unpack_from(self._bytes, crew * TURN.size)[0]

    def __setitem__(self, crew, subject):
        TURN.pack_into(self._bytes, crew * TURN.size, subject)


class Relation(crowd.Member):
    """One thread of it."""

    def turn_to_each(self):
        turns = Turns(self.plan.shown)
        for subject in range(self.crew, self.plan.subjects, self.plan.crews):
            crowd.BARRIERS[self.crew].wait(crowd.PATIENCE)
            turns[self.crew] = subject
            for _ in range(self.plan.acts):
                self.wait_for_anybody()
                self.act(subject)
        for line in self.lines.values():
            line.close()

    def wait_for_anybody(self):
        """While all are down, acts are not spent on nobody."""
        ends = time.monotonic() + crowd.PATIENCE
        while not any(map(self.line, self.plan.ports)):
            assert time.monotonic() < ends
            time.sleep(0.02)

    def act(self, subject):
        acts = [self.check, self.say_no, self.signal, self.opt_in, self.tie, self.give_back]
        self.random.choices(acts, [14, 4, 2, 4, 2, 1])[0](subject, self.random.choice(KEYS))

    def check(self, subject, key):
        call = time.monotonic_ns()
        who = {"identifiers": [about(subject, key)], "recipient": "teemo", "purpose": "sale", "data": ["ad_id"]}
        try:
            _, answer = self.post("check", {**who, "place": "US-NY"})
        except Lost:
            return
        if answer["reason"] in NO_ANSWER:
            assert not answer["allowed"], answer
            return
        word = WORDS[answer["reason"]]
        assert answer["allowed"] == (word != "out"), answer
        self.keep(subject, call, Seen(key, word, answer["because"]["event"]))

    def say_no(self, subject, key):
        number, call = next(self.numbers), time.monotonic_ns()
        no = {"identifiers": [about(subject, key)], "choice": "opt_out", "purposes": ["sale"]}
        try:
            status, answer = self.insist(no, number)
        except Lost:
            self.keep(subject, call, Said(number, key, None), NEVER)
            return
        assert status in {200, 201, 202}, answer
        if status == 202:  # it denies, as everything does until it is entered
            self.keep(subject, call, Waits(key))
        event = answer["event"] if status != 202 else answer["events"][0]["event"]
        self.keep(subject, call, Said(number, key, event), NEVER if status == 202 else None)

    def signal(self, subject, key):
        number, call = next(self.numbers), time.monotonic_ns()
        try:
            status, answer = self.post("observe", {"identifiers": [about(subject, key)], "signals": {"gpc": "1"}})
        except Lost:
            self.keep(subject, call, Said(number, key, None, signal=True), NEVER)
            return
        assert status in {200, 202}, answer
        if status == 202:
            self.keep(subject, call, Waits(key))
        self.keep(subject, call, Said(number, key, None, signal=True), NEVER if status == 202 else None)

    def opt_in(self, subject, key):
        number, call = next(self.numbers), time.monotonic_ns()
        yes = {"identifiers": [about(subject, key)], "choice": "opt_in", "purposes": ["sale"], "proof": PROOF}
        try:
            status, asked = self.post("choices", yes | {"notice": {"sha256": self.plan.notices["opt-in"]}})
        except Lost:
            return
        assert status == 202, asked
        self.keep(subject, call, Asked(number, key))
        if self.random.random() < 0.5:
            self.check(subject, key)
        self.take_up(subject, key, number, asked["confirm"])

    def take_up(self, subject, key, token, confirm):
        number, call = next(self.numbers), time.monotonic_ns()
        body = {"choice": "confirm", "confirm": confirm, "proof": PROOF}
        try:
            status, answer = self.insist(body | {"notice": {"sha256": self.plan.notices["confirm"]}}, number)
        except Lost:
            self.keep(subject, call, Yes(token, key, None), NEVER)
            return
        if status in {200, 201} or answer["type"].endswith("superseded"):
            self.keep(subject, call, Yes(token, key, status in {200, 201}))
        else:  # somebody moved the clock, or the mailbox went back since the first act
            refused = ("expired", "proof_required") if key == "email" else "expired"
            assert answer["type"].endswith(refused), answer
        if self.again and status not in {200, 201}:  # the first call may be under way still, and a refusal is not kept
            self.keep(subject, call, Yes(token, key, None), NEVER)

    def tie(self, subject, key):
        member = key if key in MEMBERS else "gaid"
        self.tell(subject, {"account": f"person{subject}", "identifiers": [about(subject, member)]}, Tied(member))

    def give_back(self, subject, _):
        released = {"identifiers": [about(subject, "email")], "event": "number_released"}
        self.tell(subject, released, GivenBack("email"))

    def tell(self, subject, body, act):
        call = time.monotonic_ns()
        try:
            status, answer = self.post("links", body)
        except Lost:
            self.keep(subject, call, act, NEVER)
            return
        assert status == 201, answer
        self.keep(subject, call, act)


class Signals(Relation):
    """Who hears the signal of accounts, and checks."""

    def act(self, subject):
        self.random.choice([self.check, self.signal])(subject, ACCOUNT)


class Wavering(Relation):
    """Who says yes and no for a phone alone, once each, and otherwise checks until there is an answer."""

    def act(self, subject):
        act = self.random.choices([self.see, self.say_no, self.opt_in], [20, 1, 1])[0]
        act(subject, "gaid")

    def see(self, subject, key):
        before, ends = len(self.history), time.monotonic() + crowd.PATIENCE
        while len(self.history) == before and time.monotonic() < ends:
            self.check(subject, key)

    def insist(self, body, number):
        """Once."""
        return self.post("choices", body, ".".join(map(str, number)))


def too_late(history, allows, *, waiting=True):
    """Allows that began after a no of that very key was acknowledged, and before anything was called that may lift it.
    `waiting`: those that were kept beside the ledger count too; who answers from a copy may not have them yet.
    """
    noes, lifts = defaultdict(list), defaultdict(list)
    for one in history:
        kinds = (Said, Waits) if waiting else (Said,)
        if isinstance(one.act, kinds) and one.answered != NEVER and (waiting or not one.act.signal):
            noes[one.subject, one.act.key].append(one)
        elif isinstance(one.act, Yes) and one.act.taken is not False:
            lifts[one.subject, one.act.key].append(one)
    return [
        one
        for one in allows
        if one.act.word != "out"
        and any(
            no.answered < one.call
            and not any(yes.answered > no.call and yes.call < one.answered for yes in lifts[one.subject, one.act.key])
            for no in noes[one.subject, one.act.key]
        )
    ]


def read_checks(path):
    """What `support.checks_beside` wrote, as far as a killed process had."""
    whole = Path(path).read_bytes().rpartition(b"\n")[0]
    found = (line.split(b"\t") for line in whole.splitlines())
    return [
        Operation(int(subject), int(call), int(answered), Seen(key.decode(), word.decode(), event.decode() or None))
        for subject, key, call, answered, word, event in found
    ]
