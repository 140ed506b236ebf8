"""A gateway before three machines with Patroni, whose leader fails again and again while people opt out and checks are
asked: killed, standing still, cut off, its disk full. `make test-ha`; SOAK=1: three times as many.
"""

import contextlib
import itertools
import os
import signal
import statistics
import subprocess
import sys
import time

from support.cluster_load import Load, not_denied, until
from support.examples import SOAK

from gateway.keys import secret_files
from gateway.ledger import tree
from gateway.ledger.folder_store import store_in
from gateway.ledger.proof import receipt
from gateway.ledger.proof.ed25519 import Ed25519Signer, Ed25519Verifier

ROUNDS = int(os.environ.get("HA_ROUNDS") or (15 if SOAK else 5))  # of each kind


def fill_up(node):
    """Until its server ends: it leads on, and refuses, as long as its log has files to write over."""
    node.fill()
    with contextlib.suppress(subprocess.SubprocessError):
        while True:
            node.sql("SELECT pg_logical_emit_message(true, 'fills', repeat('x', 8000000)), pg_switch_wal()")


def make_room(node):
    node.empty()
    start_again(node)


def start_again(node):
    running = node.programs()
    if "etcd" not in running:
        node.start_etcd()
    if "patroni" not in running:
        node.start_patroni()


FAULTS = {  # what is done to a leader, and what ends it
    "killed": (lambda node: node.machine.kill_all(), start_again),
    "stands still": (
        lambda node: node.machine.signal_all(signal.SIGSTOP),
        lambda node: node.machine.signal_all(signal.SIGCONT),
    ),
    "cut off": (lambda node: node.machine.plug(False), lambda node: node.machine.plug(True)),
    "disk full": (fill_up, make_room),
}


def test_what_was_acknowledged_stands_after_every_failure_of_a_leader(cluster, gateway, figure):
    pauses, checked, gaps = [], [], {kind: [] for kind in FAULTS}
    with Load(gateway.url, cluster.front.inside) as load:
        until(lambda: load.effective_again(0))
        for turn in range(ROUNDS):
            for kind, (strike, heal) in FAULTS.items():
                leader = cluster.whole()
                began = time.monotonic()
                strike(leader)
                cluster.another_leads(leader)
                led = time.monotonic()
                goes_on(load, cluster, led, leader)
                gaps[kind].append(load.pause(began, [each.at for each in load.acknowledged if each.effective]))
                checked.append(load.pause(began, load.allowed))
                pauses.append(load.pause(began, [each.at for each in load.acknowledged]))
                print(turn, kind, round(gaps[kind][-1], 1), round(checked[-1], 1), round(pauses[-1], 1), flush=True)
                heal(leader)
        cluster.whole()
    with cluster.front.inside():
        assert load.wrong == []
        later = [each.number for each in load.acknowledged if not each.effective]
        some = [each.number for each in load.acknowledged[:: max(1, len(load.acknowledged) // 300)]]
        assert not_denied(gateway.url, [*later, *some]) == []
        promised = prove_one_log(gateway, load)
        code, said = verified(gateway)
        assert (code, "passed" in said) == (0, True), said
    figure("leader failures", f"{ROUNDS} each of {', '.join(FAULTS)}")
    figure("opt-outs", f"{promised} effective and {len(later)} accepted first, {load.refused} asked again, 0 lost")
    figure("checks", f"{load.checks}, 0 allowed behind an acknowledged no, {len(load.allowed)} of others allowed")
    figure("machines made anew by hand", str(cluster.made_anew))
    for what, found in {
        "nothing effective": [*itertools.chain(*gaps.values())],
        "nobody allowed": checked,
        "no answer": pauses,
    }.items():
        figure(f"pause, {what}", f"p50 {statistics.median(found):.1f} s, longest {max(found):.1f} s")
    for kind, found in gaps.items():
        figure(f"pause, {kind}", f"p50 {statistics.median(found):.1f} s, longest {max(found):.1f} s")


def goes_on(load, cluster, led, struck):
    """Noes are effective again. With the follower that is left not back either, as one that was rewound for nothing,
    no commit is answered on one machine alone: an operator makes it anew.
    """
    try:
        until(lambda: load.effective_again(led), 60)
    except AssertionError:
        cluster.make_anew(but=struck)
        until(lambda: load.effective_again(led), 180)


def verified(gateway):
    command = [sys.executable, "-m", "gateway", "verify", "--vault", "--data", str(gateway.data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return done.returncode, done.stdout + done.stderr


def prove_one_log(gateway, load):
    """The ledger has no gaps, holds each entry where its receipt says, and grew out of every tree that was signed. How
    many nos were effective when they were answered.
    """
    promised = [each.answer for each in load.acknowledged if each.effective]
    signing = secret_files.load_secrets(gateway.data).signing[-1]
    with contextlib.closing(store_in(gateway.data).open_to_read()) as db:
        tree.prove(db)
        size, count, first, last, origin = db.execute(
            "SELECT (SELECT size FROM head), count(*), min(seq), max(seq), (SELECT origin FROM head) FROM entry"
        ).fetchone()
        assert (count, first, last) == (size, 0, size - 1)
        held, roots = dict(db.execute("SELECT seq, body FROM entry").fetchall()), {}
        known = [Ed25519Verifier(origin, Ed25519Signer(origin, signing).public)]
        for each in promised:
            assert f'"{each["event"]}"'.encode() in held[each["seq"]]
            if each["receipt"]:
                signed = receipt.verify_receipt(receipt.parse_receipt(each["receipt"]), known)
                roots[signed.size] = signed.root
        assert len(roots) > len(promised) / 10
        for grown, root in roots.items():
            assert tree.root_at(db, grown) == root
    return len(promised)
