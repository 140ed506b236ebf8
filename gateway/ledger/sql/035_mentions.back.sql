CREATE TABLE about (
  key BLOB NOT NULL, way INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (key, way, place)
) STRICT, WITHOUT ROWID;
DROP TABLE mention_piece;
DROP TABLE mention_run;
DROP INDEX detail_request;
CREATE INDEX detail_request ON detail (request);
