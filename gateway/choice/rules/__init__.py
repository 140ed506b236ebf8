"""The rules of a verdict, a file for each kind; `gateway.choice.verdict` calls them, and their order stands there
alone.
"""
