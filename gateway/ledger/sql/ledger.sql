-- The ledger's database. Times are Unix milliseconds, keys of people 16 bytes made with the peppers. Where `seq` is no
-- entry's own number it is how many entries there were. `person` names the keys in the vault that a row is sealed with;
-- whatever has such a column is wrapped anew each week (gateway/ledger/erasure_steps.py).

-- ---- The log ----

-- One row: how many entries there are and how many peppers wrap the keys. Read again in every transaction.
CREATE TABLE head (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  size INTEGER NOT NULL,
  ledger BLOB NOT NULL, -- a random id, the same in every copy
  peppers INTEGER NOT NULL,
  frontier BLOB NOT NULL DEFAULT x'', -- roots of the complete subtrees, the widest first
  origin TEXT NOT NULL DEFAULT '', -- the log's name: that of the key that signs it
  pruned INTEGER NOT NULL DEFAULT 0, -- bodies of entries below are gone, their hashes are not
  signed INTEGER NOT NULL DEFAULT 0 -- a checkpoint was: then a store of checkpoints that has none was lost
) STRICT;
CREATE TRIGGER pruned_stays BEFORE UPDATE OF pruned ON head WHEN NEW.pruned < OLD.pruned OR NEW.pruned % 256 <> 0
  BEGIN SELECT RAISE(ABORT, 'what was pruned stays pruned, in whole tiles'); END;

-- Entries as bytes, for ever; what is pruned goes below the head's mark and nowhere else. The triggers stop accidents, the
-- tree shows the rest.
CREATE TABLE entry (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TRIGGER entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER entry_kept BEFORE DELETE ON entry WHEN OLD.seq >= (SELECT pruned FROM head)
  BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
-- Entries about nobody (documents, evidence, keys, shares) are found by the event id that their own bytes name.
CREATE INDEX entry_about_nobody ON entry (json_extract(CAST(body AS TEXT), '$.i'))
  WHERE CASE WHEN json_valid(CAST(body AS TEXT)) THEN json_extract(CAST(body AS TEXT), '$.s') IS NULL END;
-- Who consented on a screen; a restated entry holds another one whole. The words are those of gateway/ledger/acts/office_acts.py.
CREATE INDEX entry_screen ON entry (
CASE WHEN json_valid(CAST(body AS TEXT)) THEN coalesce(
  json_extract(CAST(body AS TEXT), '$.ui'), json_extract(json_extract(CAST(body AS TEXT), '$.was'), '$.ui')) END
) WHERE
CASE WHEN json_valid(CAST(body AS TEXT)) THEN coalesce(
  json_extract(CAST(body AS TEXT), '$.ui'), json_extract(json_extract(CAST(body AS TEXT), '$.was'), '$.ui')) END
IS NOT NULL;
-- Entries whose bodies were pruned, and the newer entry that holds them whole, because something still rests on them.
CREATE TABLE restated (of INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE INDEX restated_seq ON restated (seq);

-- An RFC 6962 Merkle tree over the entries' bytes, in C2SP tiles (gateway/ledger/tree.py): hashes, 32 bytes each. Level 0:
-- full tiles only, the rest is hashed from the entries; above: as many as there are yet.
CREATE TABLE tile (
  level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, n)
) STRICT;

-- What the fold is told (gateway/ledger/log_records.py): a row for each entry, and for whatever is learnt between two,
-- in the order in which it came. `seq`: the entry's own number where it is one (`entered`). `packed`: the records
-- (gateway/ledger/side.py). `anew`: which older entries say something else since, as numbers of 8 bytes; none of them:
-- somebody is forgotten, and whoever deletes it is the only one who knows whose it was. `mark`: of any two files that went
-- different ways another one in each.
CREATE TABLE side (
  place INTEGER PRIMARY KEY, seq INTEGER NOT NULL, entered INTEGER NOT NULL, packed BLOB NOT NULL, anew BLOB,
  mark INTEGER NOT NULL DEFAULT (random())
) STRICT;
CREATE UNIQUE INDEX side_entry ON side (seq) WHERE entered;
CREATE INDEX side_anew ON side (place) WHERE anew IS NOT NULL;
-- Which rows mention a key, or a mark, and how (`side.Mention`).
CREATE TABLE about (
  key BLOB NOT NULL, way INTEGER NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (key, way, place)
) STRICT, WITHOUT ROWID;

-- ---- What stands beside an entry: about whom it is, and what its public leaf does not say ----

CREATE TABLE detail (
  seq INTEGER PRIMARY KEY,
  event BLOB NOT NULL UNIQUE,
  request BLOB NOT NULL, -- what was said at once
  key BLOB NOT NULL,
  kind TEXT NOT NULL, -- of identifier
  person BLOB NOT NULL,
  at INTEGER NOT NULL,
  received INTEGER,
  sealed BLOB, -- rd and the details, sealed with the key of details: they can be forgotten and the proof kept
  opening BLOB -- rs, sealed with the key of openings: it opens the entry for its owner
) STRICT;
CREATE INDEX detail_request ON detail (request);
CREATE INDEX detail_key ON detail (key);
CREATE INDEX detail_at ON detail (at, seq); -- which entry was the last at a moment

-- What people were told, on which day (a proleptic Gregorian ordinal), and whether it reached them.
CREATE TABLE told_event (
  seq INTEGER PRIMARY KEY, notice TEXT NOT NULL, day INTEGER NOT NULL, outcome TEXT NOT NULL
) STRICT;
CREATE INDEX told_event_notice ON told_event (notice, outcome);
-- Every change of a link: that an account has an identifier, from when until when. `released`: the identifier went back to
-- the pool. `claimed`: named by an app beside a signed-in account, so the account's no reaches the identifier and nothing
-- comes back from it.
CREATE TABLE link_event (
  turn INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL,
  account BLOB NOT NULL,
  identifier BLOB NOT NULL,
  start INTEGER NOT NULL,
  until INTEGER,
  released INTEGER NOT NULL,
  at INTEGER NOT NULL,
  claimed INTEGER NOT NULL
) STRICT;
CREATE INDEX link_event_account ON link_event (account);
CREATE INDEX link_event_identifier ON link_event (identifier);
CREATE INDEX link_event_seq ON link_event (seq);

-- Links with a date that has not come, by their event. What is over by it says the entry that was made a day behind it,
-- for so long a clock may be wrong (gateway/ledger/acts/records.py).
CREATE TABLE dated_link (turn INTEGER PRIMARY KEY, until INTEGER NOT NULL) STRICT;
CREATE INDEX dated_link_until ON dated_link (until);
-- A link of the same two that is told again, or given back, takes the place of the date. Found by the identifier: an
-- account may have thousands.
CREATE TRIGGER link_dated AFTER INSERT ON link_event BEGIN
  DELETE FROM dated_link WHERE turn IN (
    SELECT turn FROM link_event WHERE identifier = NEW.identifier AND +account = NEW.account);
  INSERT INTO dated_link SELECT NEW.turn, NEW.until WHERE NOT NEW.released AND NEW.until > NEW.at; END;
CREATE TRIGGER link_gone AFTER DELETE ON link_event BEGIN DELETE FROM dated_link WHERE turn = OLD.turn; END;

-- A directed act is had by the first row of a share that asks for it (gateway/ledger/acts/records.py): `seq` is the act's entry.
CREATE TABLE act_claim (
  key BLOB NOT NULL, recipient TEXT NOT NULL, seq INTEGER NOT NULL, row BLOB NOT NULL, PRIMARY KEY (key, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX act_claim_row ON act_claim (recipient, row);

-- ---- What counts no more ----

-- Screens that were no fair question: consents given there count for nothing (11 CCR 7004(b)).
CREATE TABLE voided_ui (ui TEXT PRIMARY KEY, seq INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX voided_ui_seq ON voided_ui (seq);
-- Choices that are documented as forged: what stands is folded without them from then on (R34). Nothing is gone.
CREATE TABLE voided_choice (
  seq INTEGER PRIMARY KEY, by INTEGER NOT NULL, at INTEGER NOT NULL -- `by`: the entry that voids it
) STRICT;
CREATE INDEX voided_choice_at ON voided_choice (at, by);
-- Who decided so: the officers' names, sealed like the details of a choice.
CREATE TABLE void_act (
  seq INTEGER PRIMARY KEY, event BLOB NOT NULL UNIQUE, person BLOB NOT NULL, at INTEGER NOT NULL, sealed BLOB
) STRICT;

-- ---- Erasure (gateway/desk/forgetting/erasure.py) ----

-- A row is written with the deletions and is done once the keys are destroyed and no older page is left in a file; a start
-- finishes what is not. `note`: SHA-256 of what the desk wrote about it.
CREATE TABLE erasure (
  seq INTEGER PRIMARY KEY, mode TEXT NOT NULL, at INTEGER NOT NULL, note BLOB, done INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX erasure_pending ON erasure (seq) WHERE NOT done;
-- Whose keys are still to be destroyed. `whole`: that of their openings too.
CREATE TABLE erasure_person (
  seq INTEGER NOT NULL, person BLOB NOT NULL, whole INTEGER NOT NULL, PRIMARY KEY (seq, person)
) STRICT, WITHOUT ROWID;
-- From which entry on somebody may be shown what is on record: before it, it was erased.
CREATE TABLE erased (identifier BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
-- What an erased identifier is called at recipients: read for nothing but to tell recipients of a later opt-out (R18).
CREATE TABLE suppression (key BLOB PRIMARY KEY, person BLOB NOT NULL, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;
-- After an unlink the receipt is still found by its event.
CREATE TABLE unlinked_event (event BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- ---- Documents, evidence, keys ----

-- Documents that were shown, once by hash.
CREATE TABLE document (
  sha256 BLOB PRIMARY KEY, kind TEXT NOT NULL, version TEXT NOT NULL, language TEXT NOT NULL, body BLOB NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Evidence by the stretch of time that it tells of. `kind`: why it was written then.
CREATE TABLE evidence (
  seq INTEGER PRIMARY KEY, event BLOB NOT NULL UNIQUE, kind TEXT NOT NULL, start INTEGER NOT NULL, until INTEGER NOT NULL
) STRICT;
CREATE INDEX evidence_until ON evidence (until);
-- What became of an appeal against the answer to a request (Colo. Rev. Stat. 6-1-1306(3)), each an entry.
CREATE TABLE appeal (seq INTEGER PRIMARY KEY, event BLOB NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL) STRICT;
CREATE INDEX appeal_event ON appeal (event);
-- When which key was replaced or retired; each is an entry too. `kind`: pepper, cookie, signing, key_encryption.
CREATE TABLE key_event (
  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, step TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;

-- ---- What left ----

-- Shares that happened, a row each: 'intended' before the bytes leave, 'sent' or 'unknown' after. A row leaves under a
-- handle, not under its caller's id: the same for 35 days whatever keys are changed meanwhile. `job` is there for a row
-- that was handed back (mode "return"), the hash of its job's name, empty without one: until its caller says what became of
-- it, it may have been sent ('possible').
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
  handle BLOB,
  job BLOB,
  PRIMARY KEY (recipient, row, batch)
) STRICT, WITHOUT ROWID;
CREATE INDEX disclosure_key ON disclosure (key);
CREATE INDEX disclosure_job ON disclosure (job) WHERE job <> x'';
-- The key of the hash that a batch's entry has of its rows.
CREATE TABLE disclosure_batch (seq INTEGER PRIMARY KEY, key BLOB NOT NULL) STRICT;

-- What left, or may have left, on answers to checks and bid requests (R22): for each person, recipient, purposes, classes,
-- day (days since 1970, UTC) and outcome when it was first and last, and how often. `since`: the last entry that told
-- whose the key is, so that no row tells of two holders. `batch`: the entry of the first batch that counts in it.
CREATE TABLE disclosed (
  key BLOB NOT NULL, recipient TEXT NOT NULL, purpose TEXT NOT NULL, classes TEXT NOT NULL, day INTEGER NOT NULL,
  outcome TEXT NOT NULL, since INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
  batch INTEGER NOT NULL, PRIMARY KEY (key, recipient, purpose, classes, day, outcome, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX disclosed_last ON disclosed (last);
-- What a caller said became of a decision: by the hash of the decision, for as long as it may be said again.
CREATE TABLE reported (decision BLOB PRIMARY KEY, outcome TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX reported_at ON reported (at);

-- What a recipient holds from us (gateway/desk/recipient_holdings.py): the identifiers that left, each as the recipient
-- keys it, sealed; and under which keys of people it left, with the last batch of each. `named`: the key of the identifier
-- itself.
CREATE TABLE held (
  id INTEGER PRIMARY KEY, recipient TEXT NOT NULL, named BLOB NOT NULL, batch INTEGER NOT NULL, person BLOB NOT NULL,
  sealed BLOB NOT NULL, UNIQUE (recipient, named)
) STRICT;
CREATE TABLE held_key (
  key BLOB NOT NULL, held INTEGER NOT NULL, purposes TEXT NOT NULL, classes TEXT NOT NULL, first INTEGER NOT NULL,
  batch INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, held)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_key_held ON held_key (held);

-- ---- Telling recipients (gateway/desk/outbox.py) ----

-- What each is to be told: what a message asks for, when the request came that its days count from (`at` where it is not
-- there), and what became of it: pending, delivered, failed (given up, the officer's). The body is sealed, and goes once it
-- was taken. `answer`: a status, or why there was none; never a text of the receiver's.
CREATE TABLE outbox (
  id BLOB PRIMARY KEY, recipient TEXT NOT NULL, word TEXT NOT NULL, at INTEGER NOT NULL, received INTEGER, person BLOB,
  body BLOB, state TEXT NOT NULL DEFAULT 'pending', due INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, tried INTEGER,
  taken INTEGER, answer TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (recipient, due) WHERE state = 'pending';
CREATE INDEX outbox_open ON outbox (state, recipient) WHERE state <> 'delivered';
-- What a recipient was told of an identifier: nothing is told twice unless data left in between. It outlives an erasure,
-- so that the recipient's suppression file goes on to name what it had. `size`: how many entries there were.
CREATE TABLE informed (
  recipient TEXT NOT NULL, named BLOB NOT NULL, word TEXT NOT NULL, size INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (recipient, named, word)
) STRICT, WITHOUT ROWID;
-- A recipient's endpoint: the generation of its secret and since when, and whether its owner gave it up (410).
CREATE TABLE endpoint (
  recipient TEXT PRIMARY KEY, generation INTEGER NOT NULL DEFAULT 0, rotated INTEGER, gone TEXT, gone_at INTEGER
) STRICT, WITHOUT ROWID;
-- What recipients acknowledged of a deletion (IAB Data Deletion Request Framework), each token sealed, for it holds the
-- identifier. An id is taken once from a recipient.
CREATE TABLE acknowledged (
  message BLOB NOT NULL, recipient TEXT NOT NULL, jti TEXT NOT NULL, at INTEGER NOT NULL, person BLOB NOT NULL,
  sealed BLOB, PRIMARY KEY (recipient, jti)
) STRICT, WITHOUT ROWID;
CREATE INDEX acknowledged_message ON acknowledged (message);
CREATE INDEX acknowledged_at ON acknowledged (at);
-- What an account is called at the operator, sealed: read for nothing but to say who must be told of a new recipient,
-- purpose or data class (R15). It goes when the account is forgotten.
CREATE TABLE account_name (key BLOB PRIMARY KEY, person BLOB NOT NULL, sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- ---- What callers, people and replicas are held to ----

-- Idempotency-Key (35 days) and confirm tokens (single use).
CREATE TABLE idempotency (
  id BLOB PRIMARY KEY, body BLOB NOT NULL, answer BLOB NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_at ON idempotency (at);
CREATE TABLE confirmed (token BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Codes that were sent so that somebody can show that a mailbox or a number is theirs. `ticket`, `address` and `digest`
-- are keyed hashes; no digest: the code was used. `asker`: who asked, by a key that is written nowhere, so that processes
-- that serve one folder count together. A row goes an hour after it was made, at the next code that is sent.
CREATE TABLE code (
  ticket BLOB PRIMARY KEY, address BLOB NOT NULL, asker BLOB, at INTEGER NOT NULL, digest BLOB,
  tries INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX code_address ON code (address, at);
CREATE INDEX code_asker ON code (asker) WHERE asker IS NOT NULL;
CREATE INDEX code_at ON code (at);
-- What texts with codes cost on a day, and how many were not sent for it.
CREATE TABLE text_cost (
  day TEXT PRIMARY KEY, spent INTEGER NOT NULL, refused INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who may answer from a copy of the standings, and until when (gateway/consent/leases.py). Times are milliseconds of
-- CLOCK_BOOTTIME of the boot named beside them: no wall clock has a say.
CREATE TABLE lease (
  holder TEXT PRIMARY KEY, -- a random name that a replica gives itself at each start
  name TEXT NOT NULL, -- of its API key
  boot BLOB NOT NULL,
  until INTEGER NOT NULL,
  applied INTEGER NOT NULL, -- the revision that it has brought itself up to
  due INTEGER NOT NULL, -- the revision of its last renewal: with the next one it must have that
  due_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Up to which batch a replica has handed over what it answered, by the random name of its spool: a batch that comes twice
-- counts once, and one that is missing is known to be (gateway/desk/disclosures.py). `name`: of its API key.
CREATE TABLE handed_over (
  spool BLOB PRIMARY KEY, name TEXT NOT NULL, last INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX handed_over_at ON handed_over (at);
