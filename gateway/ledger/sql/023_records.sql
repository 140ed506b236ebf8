-- What the state of a host follows the ledger by (gateway/ledger/ledger_log.py). By triggers, so that no hand that
-- writes can forget it. No key stands here: whoever is forgotten leaves a number that leads nowhere.

-- Records in the order in which they came. `told`: where one lies, `of`: its number there; or what became of older ones:
-- 'changed' (what an entry says), 'kept' (what stays of somebody who is forgotten, by the erasure's entry), 'gone'.
-- `mark`: of any two files that went different ways since, another one in each.
CREATE TABLE record (
  place INTEGER PRIMARY KEY, told TEXT NOT NULL, of INTEGER NOT NULL, mark INTEGER NOT NULL DEFAULT (random())
) STRICT;

-- Links with a date that has not come, by their event; and those that are over by it: before the first entry that was
-- made a day behind it, for so long a clock may be wrong. `at`: when that entry was made.
CREATE TABLE dated_link (turn INTEGER PRIMARY KEY, until INTEGER NOT NULL) STRICT;
CREATE INDEX dated_link_until ON dated_link (until);
CREATE TABLE link_over (turn INTEGER PRIMARY KEY, seq INTEGER NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE INDEX link_over_seq ON link_over (seq);

CREATE INDEX looser_name_seq ON looser_name (seq);
CREATE INDEX kept_deny_seq ON kept_deny (seq);
CREATE INDEX kept_end_seq ON kept_end (seq);
CREATE INDEX kept_revoked_seq ON kept_revoked (seq);
CREATE INDEX kept_age_seq ON kept_age (seq);
CREATE INDEX kept_told_seq ON kept_told (seq);
CREATE INDEX voided_ui_seq ON voided_ui (seq);

INSERT INTO link_over SELECT turn, seq, (SELECT at FROM detail d WHERE d.seq = found.seq) FROM (
  SELECT turn, CASE
    WHEN at IS NULL THEN (SELECT min(d.seq) FROM detail d WHERE d.seq >= l.seq AND d.at >= l.until)
    ELSE (SELECT min(d.seq) FROM detail d WHERE d.seq > l.seq AND d.at >= l.until + 86400000)
  END AS seq
  FROM link_event l WHERE account IS NOT NULL AND NOT released AND until IS NOT NULL AND (at IS NULL OR until > at)
) AS found WHERE seq IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM link_event l JOIN link_event o ON o.identifier = l.identifier AND o.account = l.account
  WHERE l.turn = found.turn AND l.at IS NOT NULL AND o.turn > l.turn AND o.seq < found.seq
);
INSERT INTO dated_link SELECT turn, until FROM link_event l
  WHERE account IS NOT NULL AND NOT released AND until > at AND NOT EXISTS (
    SELECT 1 FROM link_event o WHERE o.identifier = l.identifier AND o.account = l.account AND o.turn > l.turn
  ) AND NOT EXISTS (SELECT 1 FROM link_over o WHERE o.turn = l.turn);
INSERT INTO record (told, of)
WITH RECURSIVE entered (seq) AS (
  SELECT 0 FROM head WHERE size > 0 UNION ALL SELECT seq + 1 FROM entered, head WHERE seq + 1 < size
)
SELECT told, of FROM (
  SELECT 'looser' AS told, seq AS of, seq, 0 AS phase, 0 AS at, -1 AS turn FROM (SELECT DISTINCT seq FROM looser_name)
  UNION ALL SELECT 'name', turn, seq, 0, at, turn FROM name
  UNION ALL SELECT 'mailbox', turn, seq, 1, at, turn FROM mailbox_name
  UNION ALL SELECT 'link', turn, seq, 2, 0, turn FROM link_event WHERE at IS NULL
  UNION ALL SELECT 'used', turn, seq, 3, at, turn FROM act_used
  UNION ALL SELECT 'entry', seq, seq, 4, 0, 0 FROM entered
) ORDER BY seq, phase, at, turn;

CREATE TRIGGER record_entry AFTER INSERT ON entry BEGIN
  INSERT INTO record (told, of) VALUES ('entry', NEW.seq); END;
CREATE TRIGGER record_name AFTER INSERT ON name BEGIN
  INSERT INTO record (told, of) VALUES ('name', NEW.turn); END;
CREATE TRIGGER record_looser AFTER INSERT ON looser_name BEGIN
  INSERT INTO record (told, of) VALUES ('looser', NEW.seq); END;
CREATE TRIGGER record_mailbox AFTER INSERT ON mailbox_name BEGIN
  INSERT INTO record (told, of) VALUES ('mailbox', NEW.turn); END;
CREATE TRIGGER record_used AFTER INSERT ON act_used BEGIN
  INSERT INTO record (told, of) VALUES ('used', NEW.turn); END;
-- A link of the same two that is told again, or given back, takes the place of the date.
CREATE TRIGGER link_dated AFTER INSERT ON link_event BEGIN
  DELETE FROM dated_link WHERE turn IN (
    SELECT turn FROM link_event WHERE identifier = NEW.identifier AND account = NEW.account);
  INSERT INTO dated_link SELECT NEW.turn, NEW.until WHERE NOT NEW.released AND NEW.until > NEW.at; END;
CREATE TRIGGER link_ends AFTER INSERT ON detail
  WHEN EXISTS (SELECT 1 FROM dated_link WHERE until <= NEW.at - 86400000) BEGIN
  INSERT INTO link_over SELECT turn, NEW.seq, NEW.at FROM dated_link WHERE until <= NEW.at - 86400000;
  DELETE FROM dated_link WHERE until <= NEW.at - 86400000; END;

CREATE TRIGGER voided_changes AFTER INSERT ON voided_choice BEGIN
  INSERT INTO record (told, of) VALUES ('changed', NEW.seq); END;
CREATE TRIGGER pruned_changes AFTER DELETE ON entry
  WHEN NOT EXISTS (SELECT 1 FROM restated WHERE of = OLD.seq) BEGIN
  INSERT INTO record (told, of) VALUES ('changed', OLD.seq); END;
CREATE TRIGGER restated_changes AFTER DELETE ON restated
  WHEN NOT EXISTS (SELECT 1 FROM entry WHERE seq = OLD.of) BEGIN
  INSERT INTO record (told, of) VALUES ('changed', OLD.of); END;
CREATE TRIGGER kept_deny_tells AFTER INSERT ON kept_deny BEGIN
  INSERT INTO record (told, of) VALUES ('kept', NEW.seq); END;
CREATE TRIGGER kept_end_tells AFTER INSERT ON kept_end BEGIN
  INSERT INTO record (told, of) VALUES ('kept', NEW.seq); END;
CREATE TRIGGER kept_revoked_tells AFTER INSERT ON kept_revoked BEGIN
  INSERT INTO record (told, of) VALUES ('kept', NEW.seq); END;
CREATE TRIGGER kept_age_tells AFTER INSERT ON kept_age BEGIN
  INSERT INTO record (told, of) VALUES ('kept', NEW.seq); END;
CREATE TRIGGER kept_told_tells AFTER INSERT ON kept_told BEGIN
  INSERT INTO record (told, of) VALUES ('kept', NEW.seq); END;
-- Of what goes only the connection that deletes it knows whose it was (ledger_log.watch_deletes).
CREATE TRIGGER detail_gone AFTER DELETE ON detail BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER name_gone AFTER DELETE ON name BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER looser_gone AFTER DELETE ON looser_name BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER mailbox_gone AFTER DELETE ON mailbox_name BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER used_gone AFTER DELETE ON act_used BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER kept_deny_gone AFTER DELETE ON kept_deny BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER kept_end_gone AFTER DELETE ON kept_end BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER kept_revoked_gone AFTER DELETE ON kept_revoked BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER kept_age_gone AFTER DELETE ON kept_age BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER kept_told_gone AFTER DELETE ON kept_told BEGIN INSERT INTO record (told, of) VALUES ('gone', 0); END;
CREATE TRIGGER link_gone AFTER DELETE ON link_event BEGIN
  DELETE FROM dated_link WHERE turn = OLD.turn;
  DELETE FROM link_over WHERE turn = OLD.turn;
  INSERT INTO record (told, of) VALUES ('gone', 0); END;
