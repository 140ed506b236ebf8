"""Records, requests and yearly counts as others read them, for the officer's commands: rendered from the ledger,
nothing is stored.
"""
