-- Codes that were sent so that somebody can show that a mailbox or a number is theirs. `ticket`, `address` and `digest`
-- are keyed hashes; no digest: the code was used. A row goes an hour after it was made, at the next code that is sent.
CREATE TABLE code (
  ticket BLOB PRIMARY KEY, address BLOB NOT NULL, at INTEGER NOT NULL, digest BLOB, tries INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX code_address ON code (address, at);
CREATE INDEX code_at ON code (at);
