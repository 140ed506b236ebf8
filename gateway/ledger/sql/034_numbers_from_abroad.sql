-- Under which second key a request of a list of numbers is told besides, which numbers from abroad are asked about by
-- (gateway/ledger/acts/deletion_lists.py), by the key of its digest.
CREATE TABLE IF NOT EXISTS deletion_abroad (key BLOB PRIMARY KEY, abroad BLOB NOT NULL) STRICT, WITHOUT ROWID;
-- Every key under which the no of a request is told.
CREATE VIEW IF NOT EXISTS deletion_key AS
SELECT seq, key, gone FROM deletion_row UNION ALL
SELECT r.seq, a.abroad, r.gone FROM deletion_row r JOIN deletion_abroad a ON a.key = r.key;
