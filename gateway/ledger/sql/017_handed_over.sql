-- Up to which batch a replica has handed over what it answered, by the random name of its spool: a batch that comes twice
-- counts once, and one that is missing is known to be (gateway/ledger/replica_batches.py). `name`: of its API key.
CREATE TABLE handed_over (
  spool BLOB PRIMARY KEY, name TEXT NOT NULL, last INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX handed_over_at ON handed_over (at);
