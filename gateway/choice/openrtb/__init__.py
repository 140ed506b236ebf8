"""Bid requests (OpenRTB 2.5 and 2.6): what of one may be sent to a recipient. `web.api.openrtb` calls it.

`members` says what a request may consist of and where it keeps personal data, `reading` whom it is about, what it says,
and how two differ, `bid_words` what any member of it tells of a place, an age or an address; `filtering` makes the
request that may be sent, and `traces` finds what of a person would still stand in it. The decision is the verdict's.
"""
