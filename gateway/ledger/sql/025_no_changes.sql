-- What changed of the standings is told by the state of the host (gateway/state/changes.py), not by this file.
DROP TRIGGER standing_made;
DROP TRIGGER standing_written;
DROP TRIGGER standing_gone;
DROP TRIGGER grant_made;
DROP TRIGGER grant_written;
DROP TRIGGER grant_gone;
DROP TABLE change;
DROP TABLE feed;
