"""Bid requests: what of one may be sent to a recipient (OpenRTB 2.5 and 2.6).

`fields` where OpenRTB keeps personal data, `reading` whom and what a request says, `filtering` the request that may be
sent, `pointers` the difference between two requests. Owns the format; never the decision, which is the verdict's.
"""

from gateway.choice.openrtb.fields import classes_in
from gateway.choice.openrtb.filtering import Leave, lawful
from gateway.choice.openrtb.pointers import Difference, difference
from gateway.choice.openrtb.reading import Said, TooDeep, check_depth, is_modern, said

__all__ = [
    "Difference",
    "Leave",
    "Said",
    "TooDeep",
    "check_depth",
    "classes_in",
    "difference",
    "is_modern",
    "lawful",
    "said",
]
