"""Readers of what a person, browser, app or tool says about privacy, one file a signal; `hear` calls them for a
request. They are pure, never raise on hostile input, and answer `Malformed` instead.
"""
