"""What goes wrong at a cluster beside its failures, each as an operator or a network does it: a commit whose wait is
cancelled, one of which nobody knows what became, a former leader, a first host that says nothing, a backup put back.
"""

import contextlib
import subprocess
import threading
import time

import pytest
from support import postgres_server
from support.cluster import OWNER
from support.cluster_load import check, not_denied, opt_out, until

WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = 'consent' AND usename = 'gateway'"
)
SAID = "encode(body, 'escape')"
NEVER = 2**41  # who says nothing
SAYS_LITTLE = 20.0  # seconds


def said(gateway, number):
    """In a thread: the network goes away under it."""
    found = []

    def say():
        with gateway.inside():
            found.append((*opt_out(gateway.url, number), time.monotonic()))

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    return thread, found


def is_allowed(gateway, number=NEVER):
    with gateway.inside():
        return check(gateway.url, number).get("allowed")


def entries(node):
    """How many nos there are: a check that is allowed has entries too."""
    return int(node.sql(f'SELECT count(*) FROM gateway_ledger.entry WHERE {SAID} LIKE \'%"e":"opt_out"%\'', "consent"))


def kept(node, event):
    return bool(node.sql(f"SELECT 1 FROM gateway_ledger.entry WHERE {SAID} LIKE '%{event}%'", "consent"))


@pytest.fixture
def serving(cluster, gateway_of):
    def start(**given):
        made = gateway_of(**given)
        made.inside = cluster.front.inside
        with made.inside():
            assert opt_out(made.url, 1)[0] == 201
            until(lambda: check(made.url, NEVER).get("allowed"))
        made.entries = entries(cluster.leader())
        return made

    return start


def cut_from_peers(cluster, node):
    node.machine.cut_from([each.machine for each in cluster.nodes if each is not node])


def cancelled(cluster, gateway):
    """What a no was answered with whose commit waits on a leader that nobody else reaches, once its wait is ended; the
    machines see each other again when another one leads.
    """
    leader = cluster.whole()
    cut_from_peers(cluster, leader)
    thread, answers = said(gateway, 2)
    with contextlib.suppress(subprocess.SubprocessError):  # it steps down soon
        while thread.is_alive():  # the keys' commits wait as the ledger's do
            leader.sql(f"SELECT pg_cancel_backend(pid) FROM ({WAITING}) AS waiting")
            time.sleep(0.05)
    thread.join(60)
    cluster.another_leads(leader)
    leader.machine.see_again()
    return answers[0]


def test_a_commit_whose_wait_was_cancelled_is_not_called_kept_and_the_no_stands_after_the_failover(cluster, serving):
    gateway = serving()
    status, answer, _ = cancelled(cluster, gateway)
    assert (status, answer.get("effective_at")) == (202, None)
    until(lambda: is_allowed(gateway), 120)
    with gateway.inside():
        assert not_denied(gateway.url, [1, 2]) == []
    print(
        cluster.whole().sql(
            "SELECT seq, encode(body, 'escape') FROM gateway_ledger.entry ORDER BY seq DESC LIMIT 4", "consent"
        )
    )
    assert entries(cluster.whole()) == gateway.entries + 1


def test_the_control_without_the_rule_of_the_notice_an_acknowledged_no_is_lost_and_found_out(cluster, serving):
    """Nobody is answered from what is left, and nothing is signed on it: it is no longer what was signed."""
    gateway = serving(module="support.believes_every_commit")
    status, answer, _ = cancelled(cluster, gateway)
    assert (status, answer["effective_at"] is None) == (201, False)
    leader = cluster.whole()
    assert not kept(leader, answer["event"])
    assert entries(leader) == gateway.entries
    with gateway.inside():
        time.sleep(5)
        assert check(gateway.url, NEVER)["reason"] == "stale"
    assert "nothing is signed on it" in gateway.log.read_text()


def test_a_no_of_whose_commit_nobody_knows_what_became_is_asked_again_by_its_id_and_entered_once(cluster, serving):
    gateway = serving()
    leader = cluster.whole()
    cut_from_peers(cluster, leader)
    thread, answers = said(gateway, 2)
    pid = until(lambda: leader.sql(WAITING).split("\n")[0])
    leader.sql(f"SELECT pg_terminate_backend({pid})")
    time.sleep(1)
    leader.machine.see_again()
    thread.join(60)
    assert answers[0][0] in {201, 202}
    until(lambda: is_allowed(gateway), 120)
    with gateway.inside():
        assert opt_out(gateway.url, 2)[0] == 200, "the same is told again to whoever asks again"
        assert not_denied(gateway.url, [2]) == []
    assert entries(cluster.whole()) == gateway.entries + 1


def test_a_former_leader_is_neither_written_to_nor_believed(cluster, serving):
    """The url names one machine alone and does not ask for one that takes writes: after a switch it is a standby's."""
    leader = cluster.whole()
    gateway = serving(url=cluster.url([leader]).replace("target_session_attrs=read-write", "target_session_attrs=any"))
    follower = next(each for each in cluster.nodes if each is not leader)
    cluster.switch(leader, follower)
    with gateway.inside():
        until(lambda: opt_out(gateway.url, 2)[0] == 202)
        assert not check(gateway.url, NEVER)["allowed"]
    cluster.whole()
    assert entries(follower) == gateway.entries
    cluster.switch(follower, leader)
    until(lambda: is_allowed(gateway))
    assert entries(cluster.whole()) == gateway.entries + 1


def test_a_first_host_that_says_nothing_costs_two_seconds_a_connection_and_no_more(cluster, serving, figure):
    leader = cluster.whole()
    dark, other = (each for each in cluster.nodes if each is not leader)
    dark.machine.plug(False)
    began = time.monotonic()
    gateway = serving(url=cluster.url([dark, other, leader]))
    took = time.monotonic() - began
    with gateway.inside():
        asked = time.monotonic()
        assert opt_out(gateway.url, 3)[0] == 201
        assert time.monotonic() - asked < SAYS_LITTLE
    dark.machine.plug(True)
    figure("a first host that says nothing", f"started in {took:.0f} s; a no took {time.monotonic() - asked:.1f} s")
    assert took < 60


def test_a_cluster_that_was_put_back_to_a_backup_is_signed_by_nobody(cluster, serving):
    gateway = serving()
    leader = cluster.whole()
    dump = ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups"]
    with leader.machine.inside():
        older = subprocess.run(
            [*dump, postgres_server.programs() / "pg_dump", "-h", leader.folder, "consent"],
            capture_output=True, check=True, cwd="/",
        ).stdout  # fmt: skip
    with gateway.inside():
        assert opt_out(gateway.url, 2)[0] == 201
    leader.sql("DROP DATABASE consent WITH (FORCE)")
    leader.sql("CREATE DATABASE consent OWNER gateway TEMPLATE template0 ENCODING UTF8")
    with leader.machine.inside():
        subprocess.run([*dump, "psql", "-h", leader.folder, "-Xq", "consent"], input=older, check=True, cwd="/")
    with gateway.inside():
        until(lambda: opt_out(gateway.url, 3)[0] == 202)
        time.sleep(3)
        assert not check(gateway.url, NEVER)["allowed"]
    assert entries(leader) == gateway.entries
    assert "nothing is signed on it" in gateway.log.read_text()
