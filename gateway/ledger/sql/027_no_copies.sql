-- What stands is folded from what was said (gateway/fold) and read from the state of the host: no copy of it is kept.
-- A directed act is had by the first row of a share that asks for it (gateway/ledger/grants.py): `seq` is the act's entry.
CREATE TABLE act_claim (
  key BLOB NOT NULL, recipient TEXT NOT NULL, seq INTEGER NOT NULL, row BLOB NOT NULL, PRIMARY KEY (key, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX act_claim_row ON act_claim (recipient, row);
INSERT INTO act_claim SELECT key, recipient, max(seq), claimed FROM grant_choice WHERE claimed IS NOT NULL GROUP BY key, recipient;
DROP TABLE standing;
DROP TABLE own_choice;
DROP TABLE travelled_choice;
DROP TABLE grant_choice;
DROP TABLE link;
DROP TABLE release;
DROP TABLE device_state;
DROP TABLE told;
DROP TABLE age;
DROP TABLE age_word;
-- As before, but found by the identifier: an account may have thousands.
DROP TRIGGER link_dated;
CREATE TRIGGER link_dated AFTER INSERT ON link_event BEGIN
  DELETE FROM dated_link WHERE turn IN (
    SELECT turn FROM link_event WHERE identifier = NEW.identifier AND +account = NEW.account);
  INSERT INTO dated_link SELECT NEW.turn, NEW.until WHERE NOT NEW.released AND NEW.until > NEW.at; END;
