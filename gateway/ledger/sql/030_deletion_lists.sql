-- The lists of a state's deletion mechanism that were taken (gateway/ledger/acts/office_acts.py). Each entry is one part
-- of one file, whose no is told beside it. `received`: the day of its download, a proleptic Gregorian ordinal.
CREATE TABLE IF NOT EXISTS deletion_batch (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, place TEXT NOT NULL, file TEXT NOT NULL, kind TEXT NOT NULL,
  received INTEGER NOT NULL, count INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deletion_batch_at ON deletion_batch (at);
-- The requests in them, by the state's own number and the entry that says them; `key`: of the digest. `gone`: the entry by
-- which the list took it back, at a moment. `matched`: whom it means here, as of the last look; `decided`: the officer's
-- word; `answered`: what the state was told.
CREATE TABLE IF NOT EXISTS deletion_row (
  id TEXT NOT NULL, seq INTEGER NOT NULL, key BLOB NOT NULL, gone INTEGER, gone_at INTEGER,
  matched TEXT NOT NULL DEFAULT '', decided INTEGER, answered INTEGER, answered_at INTEGER, PRIMARY KEY (id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deletion_row_key ON deletion_row (key);
CREATE INDEX IF NOT EXISTS deletion_row_gone ON deletion_row (gone) WHERE gone IS NOT NULL;
CREATE INDEX IF NOT EXISTS deletion_row_open ON deletion_row (seq) WHERE gone IS NULL AND answered IS NULL;
CREATE INDEX IF NOT EXISTS deletion_row_over ON deletion_row (seq) WHERE gone IS NOT NULL;
-- Which messages ask for a request's deletion (outbox).
CREATE TABLE IF NOT EXISTS deletion_message (
  message BLOB NOT NULL, id TEXT NOT NULL, PRIMARY KEY (message, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deletion_message_id ON deletion_message (id);
