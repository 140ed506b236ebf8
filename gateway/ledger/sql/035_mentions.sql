-- Which rows of the log mention a key, or a mark, and how (gateway/ledger/side.py): sorted runs of them, each in pieces by
-- their first mention. `level`: how large it is; `becomes`: the run that takes it up just now. What the table `about` had is
-- made from what is told (`schema.FILLED`).
CREATE TABLE mention_run (run INTEGER PRIMARY KEY, level INTEGER NOT NULL, becomes INTEGER) STRICT;
CREATE TABLE mention_piece (
  run INTEGER NOT NULL, first BLOB NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (run, first)
) STRICT;
DROP TABLE about;
-- Of what was said at once the first entry has the request for its event id, and is found by that.
DROP INDEX detail_request;
CREATE INDEX detail_request ON detail (request) WHERE request <> event;
