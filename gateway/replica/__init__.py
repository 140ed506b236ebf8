"""A replica: a copy of the ledger beside an ad server, that follows a feed and answers checks. app/replica.py runs
it.
"""
