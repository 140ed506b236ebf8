"""How much a test looks at: the usual in `make test`, a tenth in `make check` (QUICK=1), twenty times as much in
`make soak` (SOAK=1).
"""

import os

from hypothesis import HealthCheck, settings

QUICK = os.environ.get("QUICK") == "1"
SOAK = os.environ.get("SOAK") == "1"
TIMES = 20 if SOAK else 1
# One example that takes longer does not end in reasonable time; a busy machine alone does not make it so.
LONGEST = 10_000


def examples(usual: int) -> settings:
    """Hypothesis's settings of a property."""
    return settings(max_examples=max(usual // 10, 5) if QUICK else usual * TIMES, deadline=LONGEST)


def load_profile() -> None:
    """The same examples in every run but `make soak`, which looks for new ones. How fast examples are made says how
    busy the machine is and nothing of us.
    """
    settings.register_profile(
        "ours",
        derandomize=not SOAK,
        deadline=None,
        max_examples=10 if QUICK else 100 * TIMES,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("ours")
