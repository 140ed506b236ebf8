"""Cookies that consent tools leave on a first-party site: what each shows, and whether a person did it.

Owns the forms of some twenty-five tools (signals.md section 6) and nothing of the strings they carry. A tool's default
is kept apart from an act: a default denies in this answer and is never remembered (R25). Groups are named by the site,
so what they stand for is an argument.
"""

from gateway.signals.cmp_cookies.categories import CATEGORIES, Categories, merge
from gateway.signals.cmp_cookies.onetrust import CONSENT as ONETRUST
from gateway.signals.cmp_cookies.state import DENIES, Carried, Shown, ToolState
from gateway.signals.cmp_cookies.tools import NAMES, is_read, read

__all__ = [
    "CATEGORIES",
    "DENIES",
    "NAMES",
    "ONETRUST",
    "Carried",
    "Categories",
    "Shown",
    "ToolState",
    "is_read",
    "merge",
    "read",
]
