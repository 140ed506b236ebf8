"""Bid requests (OpenRTB 2.5 and 2.6): what of one may be sent to a recipient. `web.api.openrtb` calls it.

`members` says what a request may consist of and where it keeps personal data, `reading` whom it is about, what it says,
and how two differ; `filtering` makes the request that may be sent, and `traces` finds what of a person would
still stand in it. The decision is the verdict's.
"""

from gateway.choice.openrtb.filtering import (
    ALLOWED,
    BLOCKED,
    CONTEXTUAL,
    REDUCED,
    LawfulBid,
    Leave,
    lawful,
    lawful_bid,
    suspects,
)
from gateway.choice.openrtb.members import BIDDERS, classes_in
from gateway.choice.openrtb.reading import (
    BidSaid,
    BidTooDeep,
    Difference,
    Ids,
    check_depth,
    difference,
    is_modern,
    persons_ids,
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
    "Ids",
    "LawfulBid",
    "Leave",
    "Traces",
    "check_depth",
    "classes_in",
    "difference",
    "ids_of_auction",
    "is_modern",
    "lawful",
    "lawful_bid",
    "persons_ids",
    "said_in_bid",
    "suspects",
    "without",
]
