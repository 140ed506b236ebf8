-- The spellings that one mailbox goes by at the hosts that take several (gmail.com and googlemail.com), in the order in
-- which they were learnt. `spelling`: an address's own key; `mailbox`: that of its plainest spelling, which is a looser
-- form of all others. `seq`: how many entries there were.
CREATE TABLE mailbox_name (
  turn INTEGER PRIMARY KEY,
  spelling BLOB NOT NULL UNIQUE,
  mailbox BLOB NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX mailbox_name_mailbox ON mailbox_name (mailbox, spelling);

-- Whether the end of a link is on record: a date alone ends nothing for denies, for a clock may have been wrong when it
-- was set or when it is read.
ALTER TABLE link ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
UPDATE link SET ended = 1 WHERE until IS NOT NULL AND EXISTS (
  SELECT 1 FROM link_event e WHERE e.account = link.account AND e.identifier = link.identifier
  AND e.turn = (SELECT max(turn) FROM link_event l WHERE l.account = e.account AND l.identifier = e.identifier)
  AND (e.released OR e.until <= e.at
    OR (e.at IS NULL AND EXISTS (SELECT 1 FROM detail d WHERE d.seq >= e.seq AND d.at >= e.until)))
);
