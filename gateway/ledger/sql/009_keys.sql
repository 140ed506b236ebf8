-- When which key was replaced or retired; each is an entry too. `kind`: pepper, cookie, signing, key_encryption.
CREATE TABLE key_event (
  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, step TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
