-- What an app may say of a phone: ties that only an app vouches for, which installation said an entry, and ages that
-- nobody proved (gateway/ledger/installation.py, links.py, ages.py).

-- Named by an app beside a signed-in account: the account's no reaches the identifier, nothing comes back from it.
ALTER TABLE link ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE link_event ADD COLUMN claimed INTEGER NOT NULL DEFAULT 0;
-- `mark`: a hash of the installation's random id, as the entry's sealed details have it. `state`: of a state or an age.
CREATE TABLE acted (seq INTEGER PRIMARY KEY, mark TEXT NOT NULL, state INTEGER NOT NULL) STRICT;
CREATE INDEX acted_mark ON acted (mark, seq);
-- How old the installation `mark` says that somebody is; it makes younger and never older.
CREATE TABLE age_word (
  key BLOB NOT NULL, mark TEXT NOT NULL, band TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (key, mark)
) STRICT, WITHOUT ROWID;
