-- What left with each row: numbers of `held`, each with the kind that it left as, between commas (",12:gaid,13:email,").
-- NULL: nobody wrote it down, and with such a row anything may have left that is kept under its person's keys.
ALTER TABLE disclosure ADD COLUMN held TEXT;
-- By which kinds a recipient has an identifier, between commas; all of them are sealed together. NULL: by those that are
-- sealed.
ALTER TABLE held ADD COLUMN kinds TEXT;
