"""Pages for people: choices, confirmations, codes, marketing, their own data. app/routes.py and app/service.py mount
them.
"""
