"""Cookies that some twenty-five consent tools leave on a first-party site: what each shows, and whether a person did
it. `signals.hear` calls it for a web request.

A tool's default is kept apart from an act: a default denies in this answer and is never remembered (R25). Groups are
named by the site, so what they stand for is an argument.
"""

from gateway.signals.cmp_cookies.tools import NAMES, is_read, read_tool
from gateway.signals.cmp_cookies.tools_by_name import ABRIDGED
from gateway.signals.cmp_cookies.tools_by_name import CONSENT as ONETRUST
from gateway.signals.cmp_cookies.values import (
    CATEGORIES,
    DENIES,
    Carried,
    Categories,
    ToolShown,
    ToolState,
    merge,
)

__all__ = [
    "ABRIDGED",
    "CATEGORIES",
    "DENIES",
    "NAMES",
    "ONETRUST",
    "Carried",
    "Categories",
    "ToolShown",
    "ToolState",
    "is_read",
    "merge",
    "read_tool",
]
