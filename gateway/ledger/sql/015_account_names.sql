-- What an account is called at the operator, sealed with a key of its own in the vault: read for nothing but to say who
-- must be told of a new recipient, purpose or data class (R15). It goes when the account is forgotten.
CREATE TABLE account_name (key BLOB PRIMARY KEY, person BLOB NOT NULL, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX told_event_notice ON told_event (notice, outcome);
