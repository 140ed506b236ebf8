-- Who asked for a code (gateway/consent/codes.py), as the keyed hash of a sender whose key is written nowhere: processes
-- that serve one folder count together.
ALTER TABLE code ADD COLUMN asker BLOB;
CREATE INDEX code_asker ON code (asker) WHERE asker IS NOT NULL;
-- What texts with codes cost on a day, and how many were not sent for it.
CREATE TABLE text_cost (
  day TEXT PRIMARY KEY, spent INTEGER NOT NULL, refused INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
