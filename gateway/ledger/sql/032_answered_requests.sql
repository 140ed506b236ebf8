-- Requests that no entry tells of, or none any more, as counts without a person (gateway/desk/answered_requests.py): what was
-- shown to whoever asked for it, what was denied, and what an unlink took with it. Days are proleptic Gregorian ordinals.
CREATE TABLE IF NOT EXISTS answered_request (
  nature TEXT NOT NULL, received INTEGER NOT NULL, answered INTEGER NOT NULL, source TEXT NOT NULL, manner TEXT NOT NULL,
  place TEXT NOT NULL, denied TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (nature, received, answered, source, manner, place, denied)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answered_request_received ON answered_request (received);
-- Since which day they are counted, and behind how many entries; no day: an older gateway went on from there without them.
CREATE TABLE IF NOT EXISTS counted_since (size INTEGER NOT NULL, day INTEGER) STRICT;
-- An unlink that nobody counted stands on record without its person.
INSERT INTO answered_request
SELECT 'unlinked_person', at / 86400000 + 719163, at / 86400000 + 719163, '', '', '', '', count(*) FROM erasure
WHERE mode = 'unlink' AND seq >= (SELECT coalesce(max(size), 0) FROM counted_since) GROUP BY 2
ON CONFLICT (nature, received, answered, source, manner, place, denied)
DO UPDATE SET count = answered_request.count + excluded.count;
INSERT INTO counted_since SELECT size, CAST(strftime('%s', 'now') AS INTEGER) / 86400 + 719163 FROM head;
