"""Bid requests: what of one may be sent to a recipient (OpenRTB 2.5 and 2.6).

`members` (with two files of data) what a request may consist of, `fields` where it keeps personal data, `reading`
whom and what it says, `filtering` the request that may be sent, `traces` what of a person would still stand in it,
`pointers` the difference between two. Owns the format; never the decision, which is the verdict's.
"""

from gateway.choice.openrtb.fields import classes_in
from gateway.choice.openrtb.filtering import ALLOWED, BLOCKED, CONTEXTUAL, REDUCED, Leave, lawful, suspects
from gateway.choice.openrtb.members import BIDDERS
from gateway.choice.openrtb.reading import (
    BidSaid,
    BidTooDeep,
    Difference,
    check_depth,
    difference,
    is_modern,
    said_in_bid,
)
from gateway.choice.openrtb.traces import Traces, ids_of_auction, without

__all__ = [
    "ALLOWED",
    "BIDDERS",
    "BLOCKED",
    "CONTEXTUAL",
    "REDUCED",
    "BidSaid",
    "BidTooDeep",
    "Difference",
    "Leave",
    "Traces",
    "check_depth",
    "classes_in",
    "difference",
    "ids_of_auction",
    "is_modern",
    "lawful",
    "said_in_bid",
    "suspects",
    "without",
]
