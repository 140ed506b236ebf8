-- Entries about nobody (documents, evidence, keys, shares) are found by their event id too, as their own bytes name it.
CREATE INDEX entry_about_nobody ON entry (json_extract(CAST(body AS TEXT), '$.i'))
  WHERE CASE WHEN json_valid(CAST(body AS TEXT)) THEN json_extract(CAST(body AS TEXT), '$.s') IS NULL END;

-- Evidence by the stretch of time that it tells of. `kind`: why it was written then.
CREATE TABLE evidence (
  seq INTEGER PRIMARY KEY, event BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, start INTEGER NOT NULL, until INTEGER NOT NULL
) STRICT;
CREATE INDEX evidence_until ON evidence (until);

-- What became of an appeal against the answer to a request (Colo. Rev. Stat. 6-1-1306(3)), each an entry.
CREATE TABLE appeal (seq INTEGER PRIMARY KEY, event BLOB NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL) STRICT;
CREATE INDEX appeal_event ON appeal (event);
