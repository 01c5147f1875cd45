-- Slots change their owner and their ranges while they are served.

-- NULL: from before this migration, nobody's in particular.
ALTER TABLE slot_owner ADD COLUMN partition text, ADD COLUMN handed_over_at timestamptz;
COMMENT ON COLUMN slot_owner.partition IS 'who owns it, whichever incarnation that has';

-- Who is ready to go on with a slot. A hand-over reads it: no row, no hand-over.
CREATE TABLE slot_follower (
  slot_id      int PRIMARY KEY,
  move_id      uuid NOT NULL,
  attempt      int NOT NULL,
  partition    text NOT NULL,
  incarnation  uuid NOT NULL,
  at_seq       bigint NOT NULL,
  verified_seq bigint NOT NULL,  -- of the last digest that was equal, and up to which symbol
  verified_sym text COLLATE "C" NOT NULL,
  problem      text NOT NULL,
  told_at      timestamptz NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0);

-- What the owner had at a sequence: of the symbols in [first_sym, past_sym), with the orders that
-- ended since `since_us`. The last one of a slot; the evidence when it is not what a follower has.
CREATE TABLE slot_digest (
  slot_id   int PRIMARY KEY,
  move_id   uuid NOT NULL,
  seq       bigint NOT NULL,
  since_us  bigint NOT NULL,
  first_sym text COLLATE "C" NOT NULL,
  past_sym  text COLLATE "C" NOT NULL,
  digest    bytea NOT NULL
);

-- Where a slot begins that came out of others: its log goes on from this sequence and chain.
CREATE TABLE slot_birth (
  slot_id  int NOT NULL,
  epoch    bigint NOT NULL,
  born_seq bigint NOT NULL,
  chain    bytea NOT NULL,
  parents  int[] NOT NULL,
  born_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (slot_id, epoch)
);

-- All below are one compare-and-set over all of their slots, in the owner's own transaction. They
-- RAISE when it fails, so that nothing of that transaction commits.
CREATE FUNCTION check_durable() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('synchronous_commit') IN ('off', 'local') THEN
    RAISE EXCEPTION 'synchronous_commit is %: an acknowledgement would promise too much',
      current_setting('synchronous_commit') USING ERRCODE = 'TC003';
  END IF;
END $$;

CREATE FUNCTION lost_the_race(what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'not done: %', what USING ERRCODE = 'TC002';
END $$;

-- Locks the rows, and refuses unless all are the caller's, at rest, at these points.
CREATE FUNCTION check_held(ids int[], epochs bigint[], seqs bigint[], me uuid)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE hit int;
BEGIN
  PERFORM check_durable();
  PERFORM 1 FROM slot_owner WHERE slot_id = ANY (ids) ORDER BY slot_id FOR UPDATE;
  SELECT count(*) INTO hit FROM slot_owner o
    JOIN unnest(ids, epochs, seqs) AS b(slot_id, epoch, seq) ON b.slot_id = o.slot_id
   WHERE o.epoch = b.epoch AND o.last_seq = b.seq AND o.owner = me AND o.state = 'ACTIVE'
     AND o.move_id IS NULL;
  IF hit <> cardinality(ids) THEN PERFORM lost_the_race('a slot is not held, or moves'); END IF;
END $$;

CREATE FUNCTION log_digest(ids int[], epochs bigint[], seqs bigint[], me uuid, move uuid,
    since bigint, first_symbol text, past_symbol text, sum bytea)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM check_held(ids, epochs, seqs, me);
  INSERT INTO slot_digest AS d
    SELECT i, move, s, since, first_symbol, past_symbol, sum FROM unnest(ids, seqs) AS b(i, s)
    ON CONFLICT (slot_id) DO UPDATE SET move_id = excluded.move_id, seq = excluded.seq,
      since_us = excluded.since_us, first_sym = excluded.first_sym, past_sym = excluded.past_sym,
      digest = excluded.digest;
END $$;

-- The decision of an engine move. A follower that withdraws deletes its row: that waits for this,
-- or this waits for that.
CREATE FUNCTION hand_over(ids int[], epochs bigint[], seqs bigint[], me uuid, move uuid,
    to_owner uuid, to_partition text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE hit int;
BEGIN
  PERFORM check_held(ids, epochs, seqs, me);
  PERFORM 1 FROM slot_follower f
    WHERE f.slot_id = ANY (ids) AND f.move_id = move AND f.incarnation = to_owner
      AND f.partition = to_partition AND f.problem = ''
    ORDER BY slot_id FOR KEY SHARE;
  GET DIAGNOSTICS hit = ROW_COUNT;
  IF hit <> cardinality(ids) THEN PERFORM lost_the_race('nobody follows'); END IF;
  UPDATE slot_owner SET epoch = epoch + 1, owner = to_owner, partition = to_partition,
      handed_over_at = clock_timestamp()
    WHERE slot_id = ANY (ids);
END $$;

-- The left part keeps the id; both go on from here. An id is never used twice.
CREATE FUNCTION split_slot(ids int[], epochs bigint[], seqs bigint[], me uuid, at_symbol text,
    new_id int)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE o slot_owner;
BEGIN
  PERFORM check_held(ids, epochs, seqs, me);
  SELECT * INTO STRICT o FROM slot_owner WHERE slot_id = ids[1];
  IF cardinality(ids) <> 1 OR NOT (at_symbol COLLATE "C" > o.first_sym
      AND at_symbol COLLATE "C" < o.past_sym) THEN
    PERFORM lost_the_race('cannot be split there');
  END IF;
  IF EXISTS (SELECT FROM slot_owner WHERE slot_id = new_id)
      OR EXISTS (SELECT FROM slot_log WHERE slot_id = new_id) THEN
    PERFORM lost_the_race('the new id was used before');
  END IF;
  INSERT INTO slot_owner (slot_id, first_sym, past_sym, epoch, owner, state, born_seq, last_seq,
      chain, partition)
    VALUES (new_id, at_symbol, o.past_sym, o.epoch + 1, o.owner, o.state, o.last_seq, o.last_seq,
      o.chain, o.partition);
  UPDATE slot_owner SET past_sym = at_symbol, epoch = o.epoch + 1 WHERE slot_id = o.slot_id;
  INSERT INTO slot_birth (slot_id, epoch, born_seq, chain, parents)
    VALUES (new_id, o.epoch + 1, o.last_seq, o.chain, ids);
END $$;

-- The left one takes the right one in, at the higher sequence and beyond both epochs.
CREATE FUNCTION merge_slots(ids int[], epochs bigint[], seqs bigint[], me uuid)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE l slot_owner; r slot_owner;
BEGIN
  PERFORM check_held(ids, epochs, seqs, me);
  SELECT * INTO STRICT l FROM slot_owner WHERE slot_id = ids[1];
  SELECT * INTO STRICT r FROM slot_owner WHERE slot_id = ids[2];
  IF cardinality(ids) <> 2 OR l.past_sym <> r.first_sym THEN
    PERFORM lost_the_race('no neighbours');
  END IF;
  UPDATE slot_owner SET state = 'MOVED', partition = NULL,
      owner = '00000000-0000-0000-0000-000000000000'
    WHERE slot_id = r.slot_id;
  UPDATE slot_owner SET past_sym = r.past_sym, epoch = greatest(l.epoch, r.epoch) + 1,
      born_seq = greatest(l.last_seq, r.last_seq), last_seq = greatest(l.last_seq, r.last_seq),
      chain = sha256(l.chain || r.chain)
    WHERE slot_id = l.slot_id;
  INSERT INTO slot_birth (slot_id, epoch, born_seq, chain, parents)
    VALUES (l.slot_id, greatest(l.epoch, r.epoch) + 1, greatest(l.last_seq, r.last_seq),
      sha256(l.chain || r.chain), ids);
END $$;

-- Takeover, as before, and by whom.
CREATE FUNCTION take_slot(id int, expected_epoch bigint, me uuid, by_partition text)
RETURNS TABLE (epoch bigint, last_seq bigint, chain bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  UPDATE slot_owner o SET epoch = o.epoch + 1, owner = me, partition = by_partition
   WHERE o.slot_id = id AND o.epoch = expected_epoch AND o.state = 'ACTIVE'
  RETURNING o.epoch, o.last_seq, o.chain
$$;

-- Of programs from before this migration: they do not say who they are.
CREATE OR REPLACE FUNCTION take_slot(id int, expected_epoch bigint, me uuid)
RETURNS TABLE (epoch bigint, last_seq bigint, chain bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT * FROM take_slot(id, expected_epoch, me, NULL)
$$;

REVOKE ALL ON FUNCTION check_durable, lost_the_race, check_held, log_digest, hand_over, split_slot,
  merge_slots, take_slot(int, bigint, uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log_digest, hand_over, split_slot, merge_slots,
  take_slot(int, bigint, uuid, text) TO tc_engine;
GRANT SELECT ON slot_follower, slot_digest, slot_birth TO tc_engine, tc_reader, tc_operator;
GRANT INSERT, UPDATE, DELETE ON slot_follower TO tc_engine;
