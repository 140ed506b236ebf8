-- Whether a checkpoint of this ledger was ever signed: then a store of checkpoints that has none was lost.
ALTER TABLE head ADD COLUMN signed INTEGER NOT NULL DEFAULT 0;
