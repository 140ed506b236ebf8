-- What stays ended after an unlink (gateway/ledger/erasure_by_unlink.py), though nothing says any more who ended it. `seq`, `at`:
-- of the erasure's first entry. What one spelling of a mailbox had said until another, which is erased, ended it: `what`
-- is a `kept_rows.End`; `ui`: the screen that is kept, should that be voided.
CREATE TABLE kept_end (
  seq INTEGER NOT NULL, at INTEGER NOT NULL, key BLOB NOT NULL, purpose TEXT NOT NULL, what TEXT NOT NULL,
  ui TEXT NOT NULL, PRIMARY KEY (key, purpose, seq)
) STRICT, WITHOUT ROWID;
-- What somebody had allowed a recipient, until a no came to them.
CREATE TABLE kept_revoked (
  seq INTEGER NOT NULL, at INTEGER NOT NULL, key BLOB NOT NULL, recipient TEXT NOT NULL, purpose TEXT NOT NULL,
  data_class TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (key, recipient, purpose, data_class, kind, seq)
) STRICT, WITHOUT ROWID;
