"""Every reader under a few seconds of damage, and every input that ever broke one, again."""

import time
from pathlib import Path
from random import Random

import pytest
from support.fuzzing import LIMIT, PLANTED, TARGETS, Broken, beginnings, mutated, run

pytestmark = pytest.mark.slow  # seconds of random input; `make check` is the quick loop

SEEDS = sorted((Path(__file__).parent / "seeds").iterdir())
SECONDS = 1.0  # for each target
LONGEST = 16 * 1024  # bytes


def fuzz(name, seed, seconds):
    """How many inputs were tried. Raises what the target raises, with the input."""
    random, pool, tried = Random(seed), beginnings(name, 40), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        raw = mutated(random, random.choice(pool), pool)[:LONGEST]
        try:
            run(name, raw)
        except Exception as error:
            error.add_note(f"input: {raw!r}")
            raise
        if random.random() < 0.1:
            pool.append(raw)
        tried += 1
    return tried


@pytest.mark.parametrize("name", TARGETS)
def test_no_damage_breaks_the_rule(name, figure):
    figure(f"fuzz {name}", f"{fuzz(name, 2026, SECONDS)} inputs in {SECONDS:.0f} s, none breaks the rule")


@pytest.mark.parametrize("name", TARGETS)
def test_the_strings_to_begin_with_are_whole(name):
    for raw in beginnings(name, 20):
        run(name, raw)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
def test_an_input_that_is_kept_breaks_nothing_any_more(seed):
    run(seed.name.partition(".")[0], seed.read_bytes())


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name):
    """Control: a reader that allows on error."""
    with pytest.raises(Broken, match="allowed with an error"):
        fuzz(name, 2026, 20)


def test_a_slow_reader_is_found(monkeypatch):
    """Control."""

    def slow(raw):
        end = time.process_time() + LIMIT
        while time.process_time() < end:
            pass

    monkeypatch.setitem(TARGETS, "slow", slow)
    with pytest.raises(Broken, match=r"over 0\.05 s"):
        run("slow", b"")


def test_a_reader_that_raises_is_found(monkeypatch):
    """Control."""
    monkeypatch.setitem(TARGETS, "raises", lambda raw: raw.decode("ascii"))
    run("raises", b"plain")
    with pytest.raises(UnicodeDecodeError):
        run("raises", b"\xff")
