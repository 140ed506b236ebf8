-- Telling recipients (gateway/ledger/outbox.py): what a message asks for, when the request came that its days count from
-- (`at` where it is not there), and what became of it: pending, delivered, failed (given up, the officer's). `answer`:
-- a status, or why there was none; never a text of the receiver's.
ALTER TABLE outbox ADD COLUMN word TEXT NOT NULL DEFAULT 'delete';
ALTER TABLE outbox ADD COLUMN received INTEGER;
ALTER TABLE outbox ADD COLUMN state TEXT NOT NULL DEFAULT 'pending';
ALTER TABLE outbox ADD COLUMN answer TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN tried INTEGER;
UPDATE outbox SET state = 'delivered' WHERE taken IS NOT NULL;
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (recipient, due) WHERE state = 'pending';
CREATE INDEX outbox_open ON outbox (state, recipient) WHERE state <> 'delivered';

-- What a recipient holds from us (gateway/ledger/recipient_holdings.py): the identifiers that left, each as the recipient keys it,
-- sealed with a key of its own in the vault; and under which keys of people it left, with the last batch of each.
-- `named`: the key of the identifier itself.
CREATE TABLE held (
  id INTEGER PRIMARY KEY, recipient TEXT NOT NULL, named BLOB NOT NULL, batch INTEGER NOT NULL, person BLOB NOT NULL,
  sealed BLOB NOT NULL, UNIQUE (recipient, named)
) STRICT;
CREATE TABLE held_key (
  key BLOB NOT NULL, held INTEGER NOT NULL, purposes TEXT NOT NULL, classes TEXT NOT NULL, first INTEGER NOT NULL,
  batch INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, held)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_key_held ON held_key (held);

-- What a recipient was told of an identifier: nothing is told twice unless data left in between. It outlives an erasure,
-- so that the recipient's suppression file goes on to name what it had.
CREATE TABLE informed (
  recipient TEXT NOT NULL, named BLOB NOT NULL, word TEXT NOT NULL, size INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (recipient, named, word)
) STRICT, WITHOUT ROWID; -- size: how many entries there were

-- A recipient's endpoint: the generation of its secret and since when, and whether its owner gave it up (410).
CREATE TABLE endpoint (
  recipient TEXT PRIMARY KEY, generation INTEGER NOT NULL DEFAULT 0, rotated INTEGER, gone TEXT, gone_at INTEGER
) STRICT, WITHOUT ROWID;
