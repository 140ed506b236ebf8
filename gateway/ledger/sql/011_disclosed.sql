-- What left, or may have left, on answers to checks and bid requests (R22): for each person, recipient, purposes, classes,
-- day (days since 1970, UTC) and outcome when it was first and last, and how often. `since`: the last entry that told
-- whose the key is, so that no row tells of two holders. `batch`: the entry of the first batch that counts in it.
CREATE TABLE disclosed (
  key BLOB NOT NULL, recipient TEXT NOT NULL, purpose TEXT NOT NULL, classes TEXT NOT NULL, day INTEGER NOT NULL,
  outcome TEXT NOT NULL, since INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
  batch INTEGER NOT NULL, PRIMARY KEY (key, recipient, purpose, classes, day, outcome, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX disclosed_last ON disclosed (last);
-- What a caller said became of a decision: by the hash of the decision, for as long as it may be said again.
CREATE TABLE reported (decision BLOB PRIMARY KEY, outcome TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX reported_at ON reported (at);
