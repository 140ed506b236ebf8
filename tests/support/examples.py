"""How much a test looks at, of what its author calls the usual: a tenth in `make check` (QUICK), half of it in
`make test`, five times as much in `make soak` (SOAK=1).
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

QUICK = os.environ.get("QUICK") in ("1", "2")
FEW = os.environ.get("QUICK") == "1"  # and of a file's tests that open an installation some alone
SOAK = os.environ.get("SOAK") == "1"
TIMES = 5 if SOAK else 1
# One example that takes longer does not end in reasonable time; a busy machine alone does not make it so.
LONGEST = 10_000


def examples(usual: int) -> settings:
    """Hypothesis's settings of a property."""
    return settings(max_examples=_so_many(usual), deadline=LONGEST)


def _so_many(usual: int) -> int:
    return usual * TIMES if SOAK else max(usual // (10 if QUICK else 2), 5)


def lives(usual: int, soak: int, *, steps: int) -> settings:
    """Hypothesis's settings of a random machine: so many lives of so many acts, the same in each run; a soak's are
    more.
    """
    return settings(
        max_examples=soak if SOAK else usual,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def load_profile() -> None:
    """The same examples in every run of a commit, so that what a soak finds can be looked at again. How fast examples
    are made says how busy the machine is and nothing of us.
    """
    settings.register_profile(
        "ours",
        derandomize=True,
        deadline=None,
        max_examples=_so_many(100),
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("ours")
    # Hypothesis tries the numbers and texts of whatever modules of ours are loaded, so that with `derandomize`
    # alone the examples depend on the tests that ran before in the process, and on every line of the gateway.
    nothing = providers.Constants()
    providers._get_local_constants = lambda: nothing
