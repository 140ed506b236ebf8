-- Choices that were voided: documented as forged, so a standing is made without them from then on (R34). Nothing is gone.
CREATE TABLE voided_choice (
  seq INTEGER PRIMARY KEY, by INTEGER NOT NULL, at INTEGER NOT NULL -- `by`: the entry that voids it
) STRICT;
CREATE INDEX voided_choice_at ON voided_choice (at, by);
-- Who decided so: the officers' names, sealed like the details of a choice, with a person's keys of their own.
CREATE TABLE void_act (
  seq INTEGER PRIMARY KEY, event BLOB NOT NULL UNIQUE, person BLOB NOT NULL, at INTEGER NOT NULL, sealed BLOB
) STRICT;

-- Entries whose bodies were pruned, and the newer entry that holds them whole, because something still rests on them.
CREATE TABLE restated (of INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;
CREATE INDEX restated_seq ON restated (seq);

-- Bodies go below the head's own mark and nowhere else; their hashes stay in the tiles.
DROP TRIGGER entry_kept;
CREATE TRIGGER entry_kept BEFORE DELETE ON entry WHEN OLD.seq >= (SELECT pruned FROM head)
  BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END;
CREATE TRIGGER pruned_stays BEFORE UPDATE OF pruned ON head WHEN NEW.pruned < OLD.pruned OR NEW.pruned % 256 <> 0
  BEGIN SELECT RAISE(ABORT, 'what was pruned stays pruned, in whole tiles'); END;
