-- Under which second key a request of a list of numbers is told besides, which numbers from abroad are asked about by
-- (gateway/ledger/acts/office_acts.py), by the key of its digest and the entry that says it. One that was taken before
-- has none until its list is taken again.
CREATE TABLE IF NOT EXISTS deletion_abroad (
  key BLOB NOT NULL, seq INTEGER NOT NULL, abroad BLOB NOT NULL, PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS deletion_abroad_key ON deletion_abroad (abroad);
-- Every key under which the no of a request is told.
CREATE VIEW IF NOT EXISTS deletion_key AS
SELECT seq, key, gone FROM deletion_row UNION ALL
SELECT r.seq, a.abroad, r.gone FROM deletion_row r JOIN deletion_abroad a ON a.key = r.key AND a.seq = r.seq;
