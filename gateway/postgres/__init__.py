"""PostgreSQL in SQLite's place: a connection that takes the same statements. The ledger and the vault of an
installation stand on it where the operator names a server.
"""
