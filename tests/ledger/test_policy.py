"""Whom a reader believes: which logs, and how many of which witnesses (C2SP tlog-policy)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.witnessed import Log

from gateway.ledger.proof.ed25519 import Cosigner
from gateway.ledger.proof.mldsa import MldsaSigner
from gateway.ledger.proof.note import NoteRefused
from gateway.ledger.proof.policy import PolicyRefused, parse_policy, write_policy

LOG = Log()
LASTING = MldsaSigner(LOG.signer.name, LOG.signer.seed)
NOW = 1_795_000_000
W1, W2 = (Cosigner(f"witness.example.com/w{n}", bytes([n]) * 32, lambda: NOW) for n in (1, 2))
W3 = MldsaSigner("witness.example.com/w3", bytes([3]) * 32, lambda: NOW)
THREE = f"log {LOG.vkey}\nwitness one {W1.vkey}\nwitness two {W2.vkey}\nwitness three {W3.vkey}\n"


def counted(policy, *signers, size=20):
    return parse_policy(policy.encode()).check_witnesses(LOG.signed(size, LOG.signer, *signers))


@pytest.mark.parametrize(
    ("rule", "signers", "enough"),
    [
        ("group g 2 one two three\nquorum g\n", [W1, W3], True),
        ("group g 2 one two three\nquorum g\n", [W2], False),
        ("group g any one two three\nquorum g\n", [W3], True),
        ("group g any one two three\nquorum g\n", [], False),
        ("group g all one two three\nquorum g\n", [W1, W2, W3], True),
        ("group g all one two three\nquorum g\n", [W1, W2], False),
        ("quorum two\n", [W2], True),
        ("quorum two\n", [W1, W3], False),
        ("quorum none\n", [], True),
        ("group a any one two\ngroup b all a three\nquorum b\n", [W2, W3], True),
        ("group a any one two\ngroup b all a three\nquorum b\n", [W1, W2], False),
    ],
)
def test_so_many_of_the_witnesses_are_enough_as_the_policy_says(rule, signers, enough):
    if enough:
        assert len(counted(THREE + rule, *signers)) == len(signers)
    else:
        with pytest.raises(NoteRefused, match="the policy asks for"):
            counted(THREE + rule, *signers)


def test_a_refusal_names_who_is_missed_and_who_signed():
    with pytest.raises(NoteRefused, match=r"asks for 2 of one, two, three .* there signed: two"):
        counted(THREE + "group g 2 one two three\nquorum g\n", W2)


def test_a_witness_of_another_key_counts_for_nobody_and_one_that_fails_spoils_the_whole():
    """C2SP signed-note: lines of unknown keys are passed over, a known key's that fails refuses the note."""
    rule = THREE + "quorum one\n"
    with pytest.raises(NoteRefused, match="there signed: nobody"):
        counted(rule, Cosigner(W1.name, b"x" * 32, lambda: NOW))
    older = LOG.signed(7, LOG.signer, W1).splitlines(keepends=True)[-1]
    with pytest.raises(NoteRefused, match=r"the signature of witness\.example\.com/w1 does not hold"):
        parse_policy(rule.encode()).check_witnesses(LOG.signed(20, LOG.signer) + older)


def test_comments_tabs_blank_lines_urls_and_names_in_any_script_are_read():
    text = (
        f"# whom we believe\n\n \tlog\t{LOG.vkey}   https://consent.example.com/ledger\t\n"
        f"witness Zürich {W1.vkey} https://witness.example.com\n   # and so on\ngroup Кворум 1 Zürich\nquorum Кворум"
    )
    assert counted(text, W1) == ("Zürich",)
    found = parse_policy(text.encode())
    assert [each.name for each in found.logs] == [LOG.signer.name]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "quorum"),
        (THREE, "quorum"),
        (THREE + "quorum none\nquorum none\n", "the one quorum"),
        (THREE + "quorum four\n", "no line before"),
        (THREE + "group g 2 one four\nquorum g\n", "no line before"),
        (THREE + "group g 4 one two three\nquorum g\n", "there cannot be 4"),
        (THREE + "group g 0 one\nquorum g\n", "there cannot be 0"),
        (THREE + "group g 02 one two\nquorum g\n", "not a size"),
        (THREE + "group g all\nquorum g\n", "not a log"),
        (THREE + "group g any one one\nquorum g\n", "a member once"),
        (THREE + "group g any one\ngroup h any one\nquorum g\n", "a member once"),
        (THREE + "group g any none\nquorum g\n", "no line before"),
        (THREE + f"witness one {LASTING.vkey}\nquorum one\n", "name is taken"),
        (THREE + f"witness none {LASTING.vkey}\nquorum none\n", "name is taken"),
        (THREE + f"witness four {W1.vkey}\nquorum one\n", "already that of a witness"),
        (THREE + f"log {LOG.vkey}\nquorum one\n", "already that of a log"),
        (f"log {W1.vkey}\nquorum none\n", "not an Ed25519"),
        (f"witness one {LOG.vkey}\nquorum one\n", "not an Ed25519"),
        (THREE + "quorum\x00 none\n", "too long, or"),
        (THREE + "quorum none\r\n", "too long, or"),
        ("log\u00a0x\nquorum none\n", "line 1"),
        (f"log {LOG.vkey} https://a https://b\nquorum none\n", "not a log"),
    ],
)
def test_what_is_no_policy_is_refused_by_its_line(text, why):
    with pytest.raises(PolicyRefused, match=why):
        parse_policy(text.encode())


def test_two_keys_are_one_where_only_their_names_differ():
    renamed = Cosigner("other.example.com", W1.seed, lambda: NOW)
    with pytest.raises(PolicyRefused, match=r"line 5 .*already that of a witness"):
        parse_policy((THREE + f"witness four {renamed.vkey}\nquorum one\n").encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_are_refused(content):
    for text in (content, THREE.encode() + content, b"log " + content + b"\nquorum none\n"):
        with contextlib.suppress(PolicyRefused):
            parse_policy(text)


SAME = MldsaSigner(W1.name, W1.seed, lambda: NOW)
BOTH = f"{THREE}witness same {SAME.vkey}\n"


@pytest.mark.parametrize(
    "rule", ["group g 2 one same two\n", "group g 2 one same\n", "group a any one two\ngroup g 2 a same three\n"]
)
def test_two_keys_of_one_witness_do_not_count_as_two_witnesses(rule):
    with pytest.raises(PolicyRefused, match="two keys of one witness would count twice"):
        parse_policy(f"{BOTH}{rule}quorum g\n".encode())


def test_two_keys_of_one_witness_count_as_one_by_a_group_or_are_both_asked_for():
    either = f"{BOTH}group w any one same\ngroup g 2 w two\nquorum g\n"
    assert counted(either, SAME, W2) == ("two", "same")
    with pytest.raises(NoteRefused, match="asks for 2 of w, two"):
        counted(either, W1, SAME)
    assert counted(f"{BOTH}group g all one same\nquorum g\n", W1, SAME) == ("one", "same")


def test_groups_within_groups_thousands_deep_are_counted_as_any():
    deep = "".join(f"group g{n} any g{n - 1}\n" for n in range(1, 5000))
    text = f"{THREE}group g0 any one\n{deep}quorum g4999\n"
    assert counted(text, W1) == ("one",)
    with pytest.raises(NoteRefused, match="asks for 1 of g4998"):
        counted(text, W2)


def test_a_policy_that_we_write_is_read_and_says_what_it_was_asked_to():
    witnesses = {"auditor": W1.vkey, "press": W2.vkey, "other": W3.vkey}
    text = write_policy([LOG.vkey, LASTING.vkey], witnesses, 2)
    assert counted(text, W1, W3) == ("auditor", "other")
    with pytest.raises(NoteRefused):
        counted(text, W1)
    assert parse_policy(write_policy([LOG.vkey], {}, 0).encode()).quorum == "none"
    with pytest.raises(PolicyRefused, match="there cannot be 4"):
        write_policy([LOG.vkey], witnesses, 4)
    with pytest.raises(PolicyRefused, match="of 0 witnesses there cannot be 1"):
        write_policy([LOG.vkey], {}, 1)
    assert counted(write_policy([LOG.vkey], {"a": W1.vkey, "b": SAME.vkey}, 2), W1, SAME) == ("a", "b")
