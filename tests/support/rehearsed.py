"""A configuration in which no way to opt out is closed."""

EVERY_WAY_OPEN = """
[site]
url = "https://www.example.com"
[ad_choices]
participant = 7
[consent_tools]
typo3 = {group-2 = "ads"}
"""
