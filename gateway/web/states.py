"""The United States by name, for the form's list and for the links to a state's own notice. Owns names only.

They are not translated: they are what stands on the person's own letters, whatever language they read.
"""

from collections.abc import Collection, Mapping

from gateway.web.uses import COUNTRIES

NAMES = """
AL Alabama, AK Alaska, AS American Samoa, AZ Arizona, AR Arkansas, CA California, CO Colorado, CT Connecticut,
DE Delaware, DC District of Columbia, FL Florida, GA Georgia, GU Guam, HI Hawaii, ID Idaho, IL Illinois, IN Indiana,
IA Iowa, KS Kansas, KY Kentucky, LA Louisiana, ME Maine, MD Maryland, MA Massachusetts, MI Michigan, MN Minnesota,
MS Mississippi, MO Missouri, MT Montana, NE Nebraska, NV Nevada, NH New Hampshire, NJ New Jersey, NM New Mexico,
NY New York, NC North Carolina, ND North Dakota, MP Northern Mariana Islands, OH Ohio, OK Oklahoma, OR Oregon,
PA Pennsylvania, PR Puerto Rico, RI Rhode Island, SC South Carolina, SD South Dakota, TN Tennessee, TX Texas, UT Utah,
VT Vermont, VI U.S. Virgin Islands, VA Virginia, WA Washington, WV West Virginia, WI Wisconsin, WY Wyoming
"""  # ISO 3166-2:US
STATE_NAMES: Mapping[str, str] = {
    code: name for code, _, name in (each.strip().partition(" ") for each in NAMES.replace("\n", " ").split(","))
}
PLACE_NAMES = {**{f"US-{code}": name for code, name in STATE_NAMES.items()}, **dict(COUNTRIES[1:-1])}


def residents(notices: Mapping[str, str], places: Collection[str]) -> list[tuple[str, str]]:
    """The operator's notices as (name of the place, address), those of the visitor's own place first."""
    ordered = sorted(notices, key=lambda place: (place not in places, PLACE_NAMES.get(place, place)))
    return [(PLACE_NAMES.get(place, place), notices[place]) for place in ordered]
