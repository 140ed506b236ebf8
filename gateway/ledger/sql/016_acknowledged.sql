-- What recipients acknowledged of a deletion (IAB Data Deletion Request Framework), each token sealed with a key of its
-- own in the vault, for it holds the identifier. An id is taken once from a recipient.
CREATE TABLE acknowledged (
  message BLOB NOT NULL, recipient TEXT NOT NULL, jti TEXT NOT NULL, at INTEGER NOT NULL, person BLOB NOT NULL,
  sealed BLOB, PRIMARY KEY (recipient, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX acknowledged_message ON acknowledged (message);
CREATE INDEX acknowledged_at ON acknowledged (at);
