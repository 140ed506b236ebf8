-- The log on PostgreSQL, for tests: numbers from the head row under its lock; no sequences, advisory locks or notifications.
CREATE TABLE log_head (
  one int PRIMARY KEY CHECK (one = 1),
  log bytea NOT NULL, size bigint NOT NULL, kept bigint NOT NULL, epoch bigint NOT NULL
);
CREATE TABLE log_record (
  seq bigint PRIMARY KEY, leaf bytea NOT NULL, side bytea NOT NULL, boxes bytea NOT NULL, key bytea NOT NULL
);
CREATE TABLE log_repeat (
  name bytea PRIMARY KEY, content bytea NOT NULL, first bigint NOT NULL, size int NOT NULL, at bigint NOT NULL
);
CREATE INDEX log_repeat_at ON log_repeat (at);
CREATE TABLE log_batch (
  id bytea PRIMARY KEY, kinds int[] NOT NULL, firsts bigint[] NOT NULL, sizes int[] NOT NULL, at bigint NOT NULL
);
CREATE INDEX log_batch_at ON log_batch (at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'records are append-only'; END $$;
CREATE FUNCTION refuse_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.seq >= (SELECT kept FROM log_head) THEN RAISE EXCEPTION 'records are append-only'; END IF;
  RETURN OLD;
END $$;
CREATE FUNCTION refuse_gap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.log <> OLD.log OR NEW.size < OLD.size OR NEW.kept < OLD.kept OR NEW.kept > NEW.size
    OR (SELECT count(*) FROM log_record WHERE seq >= OLD.size) <> NEW.size - OLD.size
    OR EXISTS (SELECT 1 FROM log_record WHERE seq >= NEW.size)
  THEN RAISE EXCEPTION 'the head is where its records end'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER record_stays BEFORE UPDATE OF seq, leaf, boxes, key ON log_record FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER record_kept BEFORE DELETE ON log_record FOR EACH ROW EXECUTE FUNCTION refuse_kept();
CREATE TRIGGER record_whole BEFORE TRUNCATE ON log_record EXECUTE FUNCTION refuse_change();
CREATE TRIGGER head_grows BEFORE UPDATE ON log_head FOR EACH ROW EXECUTE FUNCTION refuse_gap();
CREATE TRIGGER head_stays BEFORE DELETE ON log_head EXECUTE FUNCTION refuse_change();

-- The head, locked until the transaction ends. GW001: it is another log's.
CREATE FUNCTION lock_head(wanted bytea) RETURNS log_head LANGUAGE plpgsql AS $$
DECLARE head log_head;
BEGIN
  SELECT * INTO head FROM log_head FOR UPDATE;
  IF head.log <> wanted THEN RAISE EXCEPTION 'another log' USING ERRCODE = 'GW001'; END IF;
  RETURN head;
END $$;

-- What became of a batch. Whoever asks waits for whoever writes, and makes a commit of their own: a row that is there may
-- have been committed here alone, while the standby was away.
CREATE FUNCTION ask_batch(wanted bytea, batch bytea) RETURNS TABLE (kinds int[], firsts bigint[], sizes int[])
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM lock_head(wanted);
  UPDATE log_head h SET size = h.size;
  RETURN QUERY SELECT b.kinds, b.firsts, b.sizes FROM log_batch b WHERE b.id = batch;
END $$;

-- A batch: `records` has how many of the leaves, sides, boxes and keys are of each request; 0: it is refused already.
-- No kinds in the answer: the head is not where it was decided.
CREATE FUNCTION append_batch(
  wanted bytea, batch bytea, now bigint, made bigint, only_at bigint, records int[], names bytea[], contents bytea[],
  leaves bytea[], sides_ bytea[], boxes_ bytea[], keys bytea[]
) RETURNS TABLE (head log_head, kinds int[], firsts bigint[], sizes int[]) LANGUAGE plpgsql AS $$
DECLARE seqs bigint[] := '{}'; next bigint; old log_repeat; n int;
BEGIN
  head := lock_head(wanted);
  SELECT array_replace(b.kinds, 0, 1), b.firsts, b.sizes INTO kinds, firsts, sizes FROM log_batch b WHERE b.id = batch;
  IF FOUND THEN
    UPDATE log_head h SET size = h.size;
    RETURN NEXT; RETURN;
  END IF;
  IF made <> head.epoch OR only_at <> head.size THEN
    kinds := NULL;
    RETURN NEXT; RETURN;
  END IF;
  next := head.size; kinds := '{}'; firsts := '{}'; sizes := '{}';
  FOR i IN 1 .. cardinality(records) LOOP
    n := records[i];
    IF n = 0 THEN
      kinds[i] := 3; firsts[i] := 0; sizes[i] := 0;
      CONTINUE;
    END IF;
    IF names[i] IS NOT NULL THEN
      SELECT * INTO old FROM log_repeat r WHERE r.name = names[i];
      IF FOUND THEN
        IF old.content = contents[i] THEN kinds[i] := 1; firsts[i] := old.first; sizes[i] := old.size;
        ELSE kinds[i] := 2; firsts[i] := 0; sizes[i] := 0;
        END IF;
        FOR j IN 1 .. n LOOP seqs := seqs || NULL::bigint; END LOOP;
        CONTINUE;
      END IF;
      INSERT INTO log_repeat VALUES (names[i], contents[i], next, n, now);
    END IF;
    kinds[i] := 0; firsts[i] := next; sizes[i] := n;
    FOR j IN 1 .. n LOOP seqs := seqs || next; next := next + 1; END LOOP;
  END LOOP;
  INSERT INTO log_record
    SELECT s, l, d, b, k FROM unnest(seqs, leaves, sides_, boxes_, keys) u (s, l, d, b, k) WHERE s IS NOT NULL;
  INSERT INTO log_batch VALUES (batch, kinds, firsts, sizes, now);
  UPDATE log_head h SET size = next;
  head.size := next;
  RETURN NEXT;
END $$;
