"""A text that PostgreSQL has no room for, one with U+0000: what it is part of is refused, and nothing else of its batch."""

import time
from functools import partial

import pytest
from support import inside, postgres_server

from gateway.app.composition import open_house
from gateway.terms import TextUnkeepable
from gateway.web.shell.problem import KINDS, problem_of

pytestmark = pytest.mark.slow


def written(row, tx):
    return tx.db.execute("INSERT INTO key_event VALUES (?, ?, 'x', 1)", row).rowcount


def test_one_act_with_a_nul_is_refused_with_400_and_the_others_of_its_batch_stand(postgres, tmp_path):
    with open_house(postgres_server.installed(postgres, tmp_path), inside.settings(), dev=True) as house:
        house.writer.submit(lambda _: time.sleep(0.3))  # while that is at it a batch gathers
        words = ("a", "b\x00", "c")
        gathered = [house.writer.submit(partial(written, row)) for row in enumerate(words, 1)]
        assert (gathered[0].result(30), gathered[2].result(30)) == (1, 1)
        with pytest.raises(TextUnkeepable) as refused:
            gathered[1].result(30)
    assert KINDS[problem_of(refused.value).kind][0] == 400
