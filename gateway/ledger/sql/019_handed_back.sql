-- A row that leaves goes under a handle, not under its caller's id: `handle` is what the recipient has it under, the same
-- for 35 days whatever keys are changed meanwhile. `job` is there for a row that was handed back (mode "return"), the
-- hash of its job's name, empty without one: until its caller says what became of it, it may have been sent ('possible').
ALTER TABLE disclosure ADD COLUMN handle BLOB;
ALTER TABLE disclosure ADD COLUMN job BLOB;
CREATE INDEX disclosure_job ON disclosure (job) WHERE job <> x'';
-- Whose act a row of a directed transfer has, until it is known to have left (gateway/ledger/grants.py).
CREATE INDEX grant_claimed ON grant_choice (recipient, claimed) WHERE claimed IS NOT NULL;
