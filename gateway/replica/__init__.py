"""A replica: a copy of the ledger beside an ad server, follows a feed and answers checks. app/replica.py runs it."""
