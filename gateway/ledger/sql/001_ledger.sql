-- The ledger's database. Times are Unix milliseconds, keys are 16 bytes, bits are gateway/choice/standing.py.

-- One row: how many entries there are and how many peppers wrap the keys. Read again in every transaction.
CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  size INTEGER NOT NULL,
  ledger BLOB NOT NULL,
  peppers INTEGER NOT NULL
) STRICT;

-- Entries as bytes, for ever. The triggers stop accidents; the tree will show the rest.
CREATE TABLE entry (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TRIGGER entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER entry_kept BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;

-- What opens an entry: commitment keys and details, sealed with the person's key. Mutable: it can be forgotten.
CREATE TABLE detail (
  seq INTEGER PRIMARY KEY,
  event BLOB NOT NULL UNIQUE,
  request BLOB NOT NULL,
  key BLOB NOT NULL,
  kind TEXT NOT NULL,
  person BLOB NOT NULL,
  at INTEGER NOT NULL,
  received INTEGER,
  sealed BLOB
) STRICT;
CREATE INDEX detail_request ON detail (request);
CREATE INDEX detail_key ON detail (key);

-- The current answer, one row an identifier.
CREATE TABLE standing (
  key BLOB PRIMARY KEY,
  person BLOB,
  own INTEGER NOT NULL DEFAULT 0,
  travelled INTEGER NOT NULL DEFAULT 0,
  age_band TEXT,
  seq INTEGER,
  linked INTEGER NOT NULL DEFAULT 0, -- until when some account is known for it; 0: none is
  granted INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL DEFAULT 0 -- the ledger's size when the row was last written
) STRICT, WITHOUT ROWID;

-- Where the answer comes from: the identifier's own last choice for each purpose, and what travelled to it.
CREATE TABLE own_choice (
  key BLOB NOT NULL,
  purpose TEXT NOT NULL,
  state INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  out_at INTEGER,
  PRIMARY KEY (key, purpose)
) STRICT, WITHOUT ROWID;
CREATE TABLE travelled_choice (
  key BLOB NOT NULL,
  purpose TEXT NOT NULL,
  origin BLOB NOT NULL,
  via BLOB NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (key, purpose, origin, via)
) STRICT, WITHOUT ROWID;
CREATE INDEX travelled_via ON travelled_choice (via, purpose);
CREATE INDEX travelled_origin ON travelled_choice (origin, purpose);

-- Opt-ins that name a recipient and a data class (R7).
CREATE TABLE grant_choice (
  key BLOB NOT NULL,
  recipient TEXT NOT NULL,
  purpose TEXT NOT NULL,
  data_class TEXT NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (key, recipient, purpose, data_class)
) STRICT, WITHOUT ROWID;

-- Which identifiers an account has, from when until when; and further names (digests) of one identifier.
CREATE TABLE link (
  account BLOB NOT NULL,
  identifier BLOB NOT NULL,
  start INTEGER NOT NULL,
  until INTEGER,
  seq INTEGER NOT NULL,
  PRIMARY KEY (account, identifier)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_identifier ON link (identifier);
CREATE TABLE name (
  alias BLOB NOT NULL,
  canonical BLOB NOT NULL,
  PRIMARY KEY (alias, canonical)
) STRICT, WITHOUT ROWID;
CREATE INDEX name_canonical ON name (canonical);
CREATE TABLE release (identifier BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Idempotency-Key (35 days) and confirm tokens (single use).
CREATE TABLE idempotency (
  id BLOB PRIMARY KEY, body BLOB NOT NULL, answer BLOB NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);
CREATE TABLE confirmed (token BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Documents that were shown, once by hash.
CREATE TABLE document (
  sha256 BLOB PRIMARY KEY, kind TEXT NOT NULL, version TEXT NOT NULL, language TEXT NOT NULL, body BLOB NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Shares that happened, a row each: 'intended' before the bytes leave, 'sent' or 'unknown' after.
CREATE TABLE disclosure (
  recipient TEXT NOT NULL,
  row BLOB NOT NULL,
  key BLOB NOT NULL,
  purpose TEXT NOT NULL,
  classes TEXT NOT NULL,
  at INTEGER NOT NULL,
  position INTEGER NOT NULL,
  batch INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  PRIMARY KEY (recipient, row, batch)
) STRICT, WITHOUT ROWID;
CREATE INDEX disclosure_key ON disclosure (key);
CREATE TABLE disclosure_batch (seq INTEGER PRIMARY KEY, key BLOB NOT NULL) STRICT;
