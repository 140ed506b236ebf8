-- What a mirror of the standings has to follow: of every key the number of the last change of its row (changes.py).
CREATE TABLE feed (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  revision INTEGER NOT NULL, -- the number of the last change; never less than that of the entry it came with
  floor INTEGER NOT NULL -- a row went at this change: whoever knows only earlier ones begins anew
) STRICT;
INSERT INTO feed SELECT 1, size, size FROM head;
CREATE TABLE change (key BLOB PRIMARY KEY, revision INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX change_revision ON change (revision);
INSERT INTO change SELECT key, row_number() OVER (ORDER BY changed, key) FROM standing;
UPDATE feed SET revision = max(revision, (SELECT coalesce(max(revision), 0) FROM change));
UPDATE feed SET floor = 0;

-- By triggers, so that no hand that writes a row can forget it. The person of a row is nothing that is mirrored.
CREATE TRIGGER standing_made AFTER INSERT ON standing BEGIN
  UPDATE feed SET revision = max(revision + 1, NEW.changed - 1);
  INSERT INTO change SELECT NEW.key, revision FROM feed WHERE true
    ON CONFLICT (key) DO UPDATE SET revision = excluded.revision;
END;
CREATE TRIGGER standing_written
AFTER UPDATE OF own, travelled, age_band, seq, linked, granted, changed, held, informed, parental, grown, told, cpni_told
ON standing BEGIN
  UPDATE feed SET revision = max(revision + 1, NEW.changed - 1);
  INSERT INTO change SELECT NEW.key, revision FROM feed WHERE true
    ON CONFLICT (key) DO UPDATE SET revision = excluded.revision;
END;
-- Of a row that went nothing is kept, so nobody can be told which one it was.
CREATE TRIGGER standing_gone AFTER DELETE ON standing BEGIN
  UPDATE feed SET revision = revision + 1;
  UPDATE feed SET floor = revision;
  DELETE FROM change WHERE key = OLD.key;
END;
CREATE TRIGGER grant_made AFTER INSERT ON grant_choice BEGIN
  UPDATE feed SET revision = revision + 1;
  UPDATE change SET revision = (SELECT revision FROM feed) WHERE key = NEW.key;
END;
CREATE TRIGGER grant_written AFTER UPDATE OF recipient, purpose, data_class, kind, seq, until ON grant_choice BEGIN
  UPDATE feed SET revision = revision + 1;
  UPDATE change SET revision = (SELECT revision FROM feed) WHERE key = NEW.key;
END;
CREATE TRIGGER grant_gone AFTER DELETE ON grant_choice BEGIN
  UPDATE feed SET revision = revision + 1;
  UPDATE change SET revision = (SELECT revision FROM feed) WHERE key = OLD.key;
END;
