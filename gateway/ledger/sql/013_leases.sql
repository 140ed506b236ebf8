-- Who may answer from a copy of the standings, and until when (leases.py). Times are milliseconds of CLOCK_BOOTTIME of
-- the boot named beside them: no wall clock has a say.
CREATE TABLE lease (
  holder TEXT PRIMARY KEY, -- a random name that a replica gives itself at each start
  name TEXT NOT NULL, -- of its API key
  boot BLOB NOT NULL,
  until INTEGER NOT NULL,
  applied INTEGER NOT NULL, -- the revision that it has brought itself up to
  due INTEGER NOT NULL, -- the revision of its last renewal: with the next one it must have that
  due_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
