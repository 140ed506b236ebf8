"""By which clock the times in an answer are: a word in its head, so that a client that several machines answer never
reads one's `valid_until` by another's clock. The doors of checks, shares and `/v1/self` say it.
"""

import struct
import time
from collections.abc import Mapping
from hashlib import blake2b

from gateway.disk import boot_id

HEADER = "Gateway-Clock"
STEP = 0.01  # seconds by which a clock may be moved under the same word; `client.verdict` counts with them
AT_ONCE, TRIES = STEP / 10, 5  # seconds that reading both clocks may take: a busy machine stands still in between
BOOT = boot_id()


def said_now() -> Mapping[str, str]:
    """The header with the word: one for all processes of a machine until its clock is set, and another after that."""
    word = blake2b(struct.pack(">q", round(_ahead() / STEP)), key=BOOT, digest_size=6)
    return {HEADER: word.hexdigest()}


def _ahead() -> float:
    """Seconds by which the clock is ahead of the one that nobody sets."""
    ahead = 0.0
    for _ in range(TRIES):
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        ahead = time.time() - before
        if time.clock_gettime(time.CLOCK_BOOTTIME) - before < AT_ONCE:
            break
    return ahead
