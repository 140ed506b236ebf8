import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.proof import note
from gateway.ledger.proof.merkle import EMPTY_ROOT, leaf_hash
from gateway.ledger.proof.note import Checkpoint

ORIGIN = "consent.example.com/log"
GOOD = Checkpoint(ORIGIN, 7, EMPTY_ROOT)


def test_a_checkpoint_is_three_lines_as_gos_checksum_database_writes_them(published):
    row = published("tlog_format")["format_tree"]
    root = leaf_hash(row["root_of_record_text"].encode())  # one record: its hash is the root
    made = Checkpoint("go.sum database tree", row["size"], root)
    assert made.text() == row["text"]
    assert note.parse_checkpoint(row["text"]) == made


@given(
    st.text(st.characters(exclude_characters="\n"), min_size=1),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
)
def test_a_checkpoint_is_read_back_as_it_was_written(origin, size, root):
    made = Checkpoint(origin, size, root)
    assert note.parse_checkpoint(made.text()) == made


def test_lines_that_a_log_adds_are_passed_over():
    assert note.parse_checkpoint(GOOD.text() + "extension\nanother\n") == GOOD


@pytest.mark.parametrize(
    "text",
    ["", "\n", "\n\n\n", f"{ORIGIN}\n", f"{ORIGIN}\n7\n", GOOD.text()[:-1], GOOD.text() + "\n", GOOD.text() + "extension",
     "\n" + GOOD.text(), GOOD.text().replace("7", ""), GOOD.text().replace("\n7", "\n07"), GOOD.text().replace("\n7", "\n+7"),
     GOOD.text().replace("\n7", "\n-7"), GOOD.text().replace("\n7", "\n 7"), GOOD.text().replace("\n7", "\n7 "),
     GOOD.text().replace("\n7", "\n٧"), GOOD.text().replace("\n7", "\n7_0"), GOOD.text().replace("\n7", f"\n{2**63}"),
     GOOD.text().replace("\n7", "\n" + "9" * 5000), GOOD.text().replace("=", ""), GOOD.text().replace("=", "=="),
     GOOD.text().replace("FU=", "FV="), GOOD.text().replace("+", "-"), GOOD.text().replace("47DE", ""),
     GOOD.text().replace("47DE", "47DEAAAA"), GOOD.text().replace("47DE", "ÄÖÜß")],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(ValueError, match=r"not a|base64|32 bytes"):
        note.parse_checkpoint(text)


@pytest.mark.parametrize(
    "members",
    [("", 7, EMPTY_ROOT), ("a\nb", 7, EMPTY_ROOT), (ORIGIN, -1, EMPTY_ROOT), (ORIGIN, 2**63, EMPTY_ROOT), (ORIGIN, 7, b""),
     (ORIGIN, 7, EMPTY_ROOT + b"x")],
)  # fmt: skip
def test_a_checkpoint_that_nobody_could_read_is_never_made(members):
    with pytest.raises(ValueError, match="not a checkpoint"):
        Checkpoint(*members)


@given(
    st.text()
    | st.lists(st.sampled_from([ORIGIN, "7", "0", "\n", "\n\n", GOOD.text().split("\n")[2], " "])).map("".join)
)
def test_any_text_is_a_checkpoint_in_its_one_spelling_or_refused(text):
    try:
        found = note.parse_checkpoint(text)
    except ValueError:
        return
    assert text.startswith(found.text())
