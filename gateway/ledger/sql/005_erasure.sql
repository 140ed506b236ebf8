-- Erasure (gateway/ledger/erasure.py). A row is written with the deletions and is done once the keys are destroyed and
-- no older page is left in a file; a start finishes what is not. `note`: SHA-256 of what the desk wrote about it.
CREATE TABLE erasure (
  seq INTEGER PRIMARY KEY, mode TEXT NOT NULL, at INTEGER NOT NULL, note BLOB, done INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX erasure_pending ON erasure (seq) WHERE NOT done;
-- Whose keys are still to be destroyed. `whole`: that of their openings too, and the person's row.
CREATE TABLE erasure_person (
  seq INTEGER NOT NULL, person BLOB NOT NULL, whole INTEGER NOT NULL, PRIMARY KEY (seq, person)
) STRICT, WITHOUT ROWID;

-- From which entry on somebody may be shown what is on record: before it, it was erased.
CREATE TABLE erased (identifier BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- After an unlink: the receipt is still found by its event, and what others had got from the person stays theirs.
CREATE TABLE unlinked_event (event BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE kept_deny (
  seq INTEGER NOT NULL, at INTEGER NOT NULL, key BLOB NOT NULL, purpose TEXT NOT NULL, origin BLOB NOT NULL,
  via BLOB NOT NULL, PRIMARY KEY (key, purpose, origin, via)
) STRICT, WITHOUT ROWID; -- origin and via of the erased are random
CREATE TABLE kept_age (
  seq INTEGER NOT NULL, at INTEGER NOT NULL, key BLOB NOT NULL, band TEXT NOT NULL, youngest TEXT NOT NULL,
  fixed INTEGER NOT NULL, PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE kept_told (
  seq INTEGER NOT NULL, at INTEGER NOT NULL, key BLOB NOT NULL, notice TEXT NOT NULL, day INTEGER NOT NULL,
  PRIMARY KEY (key, notice, seq)
) STRICT, WITHOUT ROWID;

-- A child was found: the band never rises again (R14).
ALTER TABLE age ADD COLUMN fixed INTEGER NOT NULL DEFAULT 0;

-- What an erased identifier is called at recipients, sealed with a key of its own in the vault: read for nothing but to
-- tell recipients of a later opt-out (R18).
CREATE TABLE suppression (key BLOB PRIMARY KEY, person BLOB NOT NULL, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- What recipients are to be told. The body is sealed with a key of its own in the vault, and goes once it was taken.
CREATE TABLE outbox (
  id BLOB PRIMARY KEY, recipient TEXT NOT NULL, at INTEGER NOT NULL, person BLOB, body BLOB,
  tries INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL, taken INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (due) WHERE taken IS NULL;
