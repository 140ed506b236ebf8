-- What a device or a tool says of itself, for as long as it says so (R26): no choice of a person. It denies like one,
-- reaches the identifier's other names and nobody else, and the same source ends it.
CREATE TABLE device_state (
  key BLOB NOT NULL,
  source TEXT NOT NULL,
  purpose TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (key, source, purpose)
) STRICT, WITHOUT ROWID;
ALTER TABLE standing ADD COLUMN held TEXT NOT NULL DEFAULT ''; -- the sources of such states, joined by commas
