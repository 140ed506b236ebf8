"""What a process took of the processor: a figure that holds on a machine that does much else as well."""

import time

SCHEDULED = 2  # CPUCLOCK_SCHED in Linux's include/linux/posix-timers.h, where a process's clock is made of its number


def spent(pid: int) -> float:
    """Seconds of a process and all its threads so far, of those that ended too."""
    return time.clock_gettime(~pid << 3 | SCHEDULED)
