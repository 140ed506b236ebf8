"""What the rows of somebody come down to who said no, once: three whole numbers, made from the entry, and by SQL from
the live rows where they are of that form and no other.

Most say no to what a signal says no to, and nothing reaches them from elsewhere: theirs are read in one merge of rows
in order. Who is in a row of `standing` and in none of the two queries has other rows than these.
"""

from collections import Counter
from collections.abc import Iterable
from functools import cache

from gateway.choice.standing import OUT, SHIFT, out_bits
from gateway.terms import SIGNAL_PURPOSES, Purpose

# own bits, entry, when in Unix milliseconds; in a family with an account also what travelled to them: bits, how many
# entries later, and until when they are linked.
Said = tuple[int, ...]

UNKNOWN = 1 << 40  # of no purpose, and past their bits
SIGNAL = out_bits(SIGNAL_PURPOSES)
FIRST, *MORE = sorted(SIGNAL_PURPOSES)
WEIGHT = " ".join(f"WHEN '{purpose}' THEN {OUT << shift}" for purpose, shift in SHIFT.items())
PLAIN = (
    "held = '' AND age_band IS NULL AND NOT granted AND NOT s.informed AND NOT s.parental AND NOT grown"
    " AND told IS NULL AND cpni_told IS NULL"
)
ALONE = f"own = {SIGNAL} AND NOT travelled AND NOT linked"


def no(row: str) -> str:
    """What else an own choice may be, nobody's is who said no once."""
    return (
        f"{row}.state = {OUT} AND {row}.in_at IS NULL AND {row}.ui = '' AND NOT {row}.informed AND NOT {row}.parental"
    )


def _same(row: str, purpose: str) -> str:
    """A further own choice that came with the first one."""
    return (
        f"CROSS JOIN own_choice {row} ON {row}.key = a.key AND {row}.purpose = '{purpose}' AND {row}.seq = a.seq"
        f" AND {row}.out_at = a.out_at AND {no(row)}"
    )


SIGNALLED = f"""
SELECT a.key, own, s.seq, a.out_at FROM own_choice a
{" ".join(_same(f"more{number}", purpose) for number, purpose in enumerate(MORE))}
CROSS JOIN standing s ON s.key = a.key AND s.seq = a.seq
WHERE a.purpose = '{FIRST}' AND a.out_at IS NOT NULL AND {no("a")} AND {ALONE} AND {PLAIN}
"""  # noqa: S608 - words and numbers of ours
SAID = f"""
SELECT o.key, own, o.seq, o.at, travelled, s.seq - o.seq, linked FROM (
  SELECT key, sum(CASE purpose {WEIGHT} ELSE {UNKNOWN} END) AS bits, min(seq) AS seq, max(seq) AS last,
    min(out_at) AS at, max(out_at) AS latest, count(out_at) = count(*) AS dated
  FROM own_choice c WHERE key IN (SELECT key FROM standing WHERE own AND NOT ({ALONE})) AND {no("c")} GROUP BY key
) o CROSS JOIN standing s ON s.key = o.key
WHERE o.seq = last AND o.at = latest AND dated AND own = bits AND {PLAIN}
"""  # noqa: S608 - words and numbers of ours
CHOOSERS = f"SELECT key, count(*), max(NOT ({no('c')})) FROM own_choice c GROUP BY key"  # noqa: S608 - ours
QUIET = f"""
SELECT key, travelled, seq, linked FROM standing s
WHERE own = 0 AND (travelled OR linked OR seq IS NOT NULL) AND {PLAIN}
"""  # noqa: S608 - words and numbers of ours


@cache
def bits(purposes: tuple[str, ...]) -> int:
    """Of a standing that says no to them."""
    return out_bits(map(Purpose, purposes))


@cache
def purposes(own: int) -> tuple[str, ...]:
    """That a standing says no to, in order."""
    return tuple(sorted(purpose.value for purpose, shift in SHIFT.items() if own >> shift & OUT))


def choices(said: Iterable[Said]) -> int:
    """How many own choices they stand for."""
    return sum(own.bit_count() * count for own, count in Counter([one[0] for one in said]).items())
