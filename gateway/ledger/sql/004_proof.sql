-- The log proves itself: an RFC 6962 Merkle tree over the entries' bytes, in C2SP tiles (gateway/ledger/tree.py).
ALTER TABLE head ADD COLUMN frontier BLOB NOT NULL DEFAULT x''; -- roots of the complete subtrees, the widest first
ALTER TABLE head ADD COLUMN origin TEXT NOT NULL DEFAULT ''; -- the log's name: that of the key that signs it
ALTER TABLE head ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0; -- bodies of entries below are gone, their hashes are not
-- Hashes, 32 bytes each. Level 0: full tiles only, the rest is hashed from the entries; above: as many as there are yet.
CREATE TABLE tile (
  level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, n)
) STRICT;

-- What opens an entry for its owner has a key of its own, so that details can be forgotten and the proof kept.
ALTER TABLE detail ADD COLUMN opening BLOB; -- rs, sealed; `sealed` holds rd and the details
