-- What a person's standing can be made again from: links, names and acts with their place in the log; how opt-ins were
-- given; what people were told and how old they are; screens whose consents count for nothing. Keys and dates only.

-- Names with their place and time, in the order in which they were learnt; older ones are known from the start.
ALTER TABLE name RENAME TO old_name;
DROP INDEX name_canonical;
CREATE TABLE name (
  turn INTEGER PRIMARY KEY,
  alias BLOB NOT NULL,
  canonical BLOB NOT NULL,
  seq INTEGER NOT NULL DEFAULT 0, -- how many entries there were
  at INTEGER NOT NULL DEFAULT 0,
  UNIQUE (alias, canonical)
) STRICT;
CREATE INDEX name_canonical ON name (canonical, alias);
INSERT INTO name (alias, canonical) SELECT alias, canonical FROM old_name;
DROP TABLE old_name;

-- Forms that recipients hash and that somebody else's value may share: they get an identifier's denies, nothing else.
CREATE TABLE looser_name (
  alias BLOB NOT NULL,
  canonical BLOB NOT NULL,
  seq INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (alias, canonical)
) STRICT, WITHOUT ROWID;
CREATE INDEX looser_name_canonical ON looser_name (canonical);
-- Known so far by what they got: a deny from an identifier that has no other name in common with them and is no account.
INSERT INTO looser_name (alias, canonical) SELECT DISTINCT t.key, t.origin FROM travelled_choice t
  WHERE t.via = t.origin AND NOT EXISTS (SELECT 1 FROM link l WHERE l.account = t.origin)
  AND NOT EXISTS (SELECT 1 FROM name n WHERE n.alias IN (t.key, t.origin) AND n.canonical IN (t.key, t.origin))
  AND NOT EXISTS (SELECT 1 FROM name a JOIN name b ON b.canonical = a.canonical
                  WHERE a.alias = t.key AND b.alias = t.origin);

-- Every change of a link. `at` NULL: from before links were entries; then only the last state of each is known.
CREATE TABLE link_event (
  turn INTEGER PRIMARY KEY,
  seq INTEGER NOT NULL, -- its entry; without one, how many entries there were
  account BLOB, -- NULL: an older release
  identifier BLOB NOT NULL,
  start INTEGER NOT NULL,
  until INTEGER,
  released INTEGER NOT NULL DEFAULT 0,
  at INTEGER
) STRICT;
CREATE INDEX link_event_account ON link_event (account);
CREATE INDEX link_event_identifier ON link_event (identifier);
CREATE INDEX link_event_seq ON link_event (seq);
INSERT INTO link_event (seq, account, identifier, start, until)
  SELECT seq, account, identifier, start, until FROM link WHERE until IS NOT NULL ORDER BY seq;
INSERT INTO link_event (seq, identifier, start, released) SELECT seq, identifier, 0, 1 FROM release ORDER BY seq;
INSERT INTO link_event (seq, account, identifier, start)
  SELECT seq, account, identifier, start FROM link WHERE until IS NULL ORDER BY seq;

-- How an opt-in was given: the screen, with a signal in sight, by a parent. Any later choice ends it.
ALTER TABLE own_choice ADD COLUMN in_at INTEGER;
ALTER TABLE own_choice ADD COLUMN ui TEXT NOT NULL DEFAULT '';
ALTER TABLE own_choice ADD COLUMN informed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE own_choice ADD COLUMN parental INTEGER NOT NULL DEFAULT 0;
CREATE INDEX own_choice_ui ON own_choice (ui) WHERE ui <> '';
CREATE TABLE given (seq INTEGER PRIMARY KEY, informed INTEGER NOT NULL, parental INTEGER NOT NULL) STRICT;

-- What a person allowed one recipient or programme. `data_class` '': every class. `until`: good for so long.
ALTER TABLE grant_choice RENAME TO old_grant_choice;
CREATE TABLE grant_choice (
  key BLOB NOT NULL,
  recipient TEXT NOT NULL,
  purpose TEXT NOT NULL,
  data_class TEXT NOT NULL,
  kind TEXT NOT NULL,
  seq INTEGER NOT NULL,
  until INTEGER,
  ui TEXT NOT NULL DEFAULT '',
  claimed BLOB, -- the row of a share that a directed act is for
  PRIMARY KEY (key, recipient, purpose, data_class, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX grant_choice_ui ON grant_choice (ui) WHERE ui <> '';
INSERT INTO grant_choice (key, recipient, purpose, data_class, kind, seq)
  SELECT key, recipient, purpose, data_class, 'opted_in', seq FROM old_grant_choice;
DROP TABLE old_grant_choice;
-- Opt-ins of before name no screen: the version of the notice that was shown stands for it.
UPDATE own_choice SET ui = coalesce((SELECT json_extract(CAST(body AS TEXT), '$.nv') FROM entry WHERE entry.seq = own_choice.seq), '')
  WHERE state = 2;
UPDATE grant_choice SET ui = coalesce((SELECT json_extract(CAST(body AS TEXT), '$.nv') FROM entry WHERE entry.seq = grant_choice.seq), '');
-- A yes on a number that was given back was its holder's: of what was chosen before a release only the denies stay.
UPDATE own_choice SET state = 0
  WHERE state = 2 AND EXISTS (SELECT 1 FROM release r WHERE r.identifier = key AND own_choice.seq < r.seq);
DELETE FROM grant_choice
  WHERE EXISTS (SELECT 1 FROM release r WHERE r.identifier = key AND grant_choice.seq < r.seq);
CREATE TABLE act_used (
  turn INTEGER PRIMARY KEY, seq INTEGER NOT NULL, key BLOB NOT NULL, recipient TEXT NOT NULL, at INTEGER NOT NULL
) STRICT; -- seq: how many entries there were
CREATE INDEX act_used_key ON act_used (key);

-- The day of the last notice that a person was shown or sent, as a proleptic Gregorian ordinal; and each telling.
CREATE TABLE told (
  key BLOB NOT NULL, notice TEXT NOT NULL, day INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (key, notice)
) STRICT, WITHOUT ROWID;
CREATE TABLE told_event (
  seq INTEGER PRIMARY KEY, notice TEXT NOT NULL, day INTEGER NOT NULL, outcome TEXT NOT NULL
) STRICT;

-- The age band on record for an identifier itself, and the youngest that ever was; and each saying of one.
CREATE TABLE age (
  key BLOB PRIMARY KEY, band TEXT NOT NULL, youngest TEXT NOT NULL, seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE age_event (seq INTEGER PRIMARY KEY, band TEXT NOT NULL, may_rise INTEGER NOT NULL) STRICT;

-- Screens that were no fair question: consents given there count for nothing (11 CCR 7004(b)).
CREATE TABLE voided_ui (ui TEXT PRIMARY KEY, seq INTEGER NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

ALTER TABLE standing ADD COLUMN informed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE standing ADD COLUMN parental INTEGER NOT NULL DEFAULT 0;
ALTER TABLE standing ADD COLUMN grown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE standing ADD COLUMN told INTEGER;
ALTER TABLE standing ADD COLUMN cpni_told INTEGER;

CREATE INDEX detail_at ON detail (at, seq); -- which entry was the last at a moment

-- The rows of released numbers, without the yes that they lost above. Bits as in gateway/choice/standing.py.
UPDATE standing SET
  own = (SELECT coalesce(sum(o.state << (2 * CASE o.purpose
    WHEN 'sale' THEN 0 WHEN 'sharing' THEN 1 WHEN 'targeted_ads' THEN 2 WHEN 'profiling' THEN 3 WHEN 'sensitive' THEN 4
    WHEN 'marketing_email' THEN 5 WHEN 'marketing_mail' THEN 6 WHEN 'marketing_text' THEN 7 WHEN 'marketing_call' THEN 8
    WHEN 'third_party_marketing' THEN 9 WHEN 'cpni_marketing' THEN 10 WHEN 'cpni_disclosure' THEN 11
    ELSE 12 END)), 0) FROM own_choice o WHERE o.key = standing.key),
  granted = EXISTS (SELECT 1 FROM grant_choice g WHERE g.key = standing.key)
  WHERE key IN (SELECT identifier FROM release);
