"""Coverage-guided fuzzing of one target: python tests/fuzz/harness.py TARGET SECONDS [FOLDER]

Begins with strings of our own writers, in a corpus that is thrown away afterwards. An input that breaks the rule is
kept in FOLDER (tests/fuzz/seeds), where the tests replay it from then on. Exits with 0 where none was found.
"""

import resource
import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

with atheris.instrument_imports(include=["gateway"]):
    from support import fuzzing

BEGINNINGS = 60
# MB. What libFuzzer looks at is the most that the process ever had, and a new one begins with that of the process that
# started it.
MOST_BEFORE = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
LONGEST = 4096  # bytes; the mutator of the other tests goes to what a header may hold
SLOWED = 10  # times, by counting every branch


def main(name: str, seconds: str, folder: str = str(HERE / "seeds")) -> None:
    """Ends the process, as libFuzzer does."""
    corpus = Path(tempfile.mkdtemp(prefix="corpus-"))
    for number, raw in enumerate(fuzzing.beginnings(name, BEGINNINGS)):
        (corpus / str(number)).write_bytes(raw)
    options = {
        "max_total_time": seconds,
        "max_len": LONGEST,
        "rss_limit_mb": 1024 + MOST_BEFORE,
        "timeout": 5,
        "print_final_stats": 1,
        "artifact_prefix": f"{folder}/{name}.",
    }
    arguments = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], lambda raw: fuzzing.run(name, raw, fuzzing.LIMIT * SLOWED))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
