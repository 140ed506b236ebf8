"""The IAB Global Privacy Platform string: header and sections 1 to 27, read for `signals.hear` and written for
recipients.

The US sections are one table of layouts; sections 1, 2, 5 and 6 are strings of other formats with readers of their own;
what is unknown is kept as it came. (Global-Privacy-Platform @b27beb4.)
"""

from gateway.signals.gpp.string import (
    joined,
    precise_refused,
    read_gpp_string,
    split_gpp_string,
    write_gpp_string,
)
from gateway.signals.gpp.us import refused_now

__all__ = ["joined", "precise_refused", "read_gpp_string", "refused_now", "split_gpp_string", "write_gpp_string"]
