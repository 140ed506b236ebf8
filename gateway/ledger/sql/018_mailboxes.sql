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

-- How many entries there were when the end of a link was put on record: a date alone ends nothing for denies, for a clock
-- may have been wrong when it was set or when it is read.
ALTER TABLE link ADD COLUMN ended INTEGER;
UPDATE link SET ended = (
  SELECT CASE
    WHEN e.released THEN e.seq + 1
    WHEN e.at IS NOT NULL THEN iif(e.until <= e.at, e.seq, NULL)
    ELSE (SELECT min(d.seq) FROM detail d WHERE d.seq >= e.seq AND d.at >= e.until)
  END
  FROM link_event e WHERE e.account = link.account AND e.identifier = link.identifier ORDER BY e.turn DESC LIMIT 1
) WHERE until IS NOT NULL;
