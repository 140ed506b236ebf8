-- The tables stay: an older gateway does not know them, and what was counted is there again with the newer one.
INSERT INTO counted_since SELECT size, NULL FROM head;
