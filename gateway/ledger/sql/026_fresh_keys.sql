-- Every record has keys of its own: nobody's are looked for before one is written (gateway/keys/person_keys.py).
ALTER TABLE standing DROP COLUMN person;
