-- The table stays: each no that it leads to goes on, and is taken back by the newer gateway.
DROP VIEW IF EXISTS deletion_key;
