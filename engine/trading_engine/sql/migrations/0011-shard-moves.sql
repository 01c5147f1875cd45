-- Moves of slots between shards: what a shard lets happen to a row of slot_owner, and to the rows
-- of a slot that is not, or no longer, served here. All of it compares before it sets, under the
-- row's lock, and RAISES when it is not as expected: TC002 lost the race, TC004 no such step,
-- TC005 a gap in the shadow, TC006 rows are left over.

-- That both sides were equal; without it nothing is cleaned up.
CREATE TABLE slot_verification (
  slot_id     int NOT NULL,
  move_id     uuid NOT NULL,
  at_seq      bigint NOT NULL,
  digest      text NOT NULL,
  verified_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (slot_id, move_id)
);

CREATE FUNCTION refuse_move(code text, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'not done: %', what USING ERRCODE = code;
END $$;

CREATE FUNCTION locked_slot(id int) RETURNS slot_owner LANGUAGE plpgsql AS $$
DECLARE o slot_owner;
BEGIN
  IF current_setting('synchronous_commit') IN ('off', 'local') THEN
    PERFORM refuse_move('TC003', 'a step must be durable');
  END IF;
  SELECT * INTO o FROM slot_owner WHERE slot_id = id FOR UPDATE;
  RETURN o;
END $$;

-- One step of one slot, as `trading_contract.move_protocol.steps` names them. `at_seq` NULL: at any
-- sequence; `from_owner` NULL: whoever it is; `to_owner` NULL: it stays.
CREATE FUNCTION slot_step(id int, from_state text, from_epoch bigint, from_move uuid,
    from_owner uuid, at_seq bigint, at_chain bytea,
    to_state text, to_epoch bigint, to_move uuid, to_owner uuid)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE o slot_owner; rise bigint := to_epoch - from_epoch;
BEGIN
  IF NOT coalesce(CASE from_state || '>' || to_state
      WHEN 'ACTIVE>ACTIVE' THEN rise = 0 AND to_owner IS NULL
      WHEN 'ACTIVE>SEALED' THEN rise = 0 AND at_seq IS NOT NULL AND from_owner IS NOT NULL
        AND to_move IS NOT NULL AND to_owner IS NULL
      WHEN 'PREPARED>ACTIVE' THEN rise > 0 AND at_seq IS NOT NULL AND to_owner IS NOT NULL
      WHEN 'PREPARED>ABORTED' THEN rise = 0
      WHEN 'SEALED>ACTIVE' THEN rise = 2 AND to_owner IS NULL
      WHEN 'SEALED>FOLLOWER' THEN rise = 1
      WHEN 'FOLLOWER>MOVED' THEN rise = 0
    END, false)
    OR (from_move IS DISTINCT FROM to_move AND (from_state, to_state) <> ('ACTIVE', 'ACTIVE')) THEN
    PERFORM refuse_move('TC004', format('no step leads from %s to %s', from_state, to_state));
  END IF;
  o := locked_slot(id);
  IF o.slot_id IS NULL OR o.state <> from_state OR o.epoch <> from_epoch
      OR o.move_id IS DISTINCT FROM from_move
      OR (at_seq IS NOT NULL AND (o.last_seq <> at_seq OR o.chain <> at_chain))
      OR (from_owner IS NOT NULL AND o.owner <> from_owner) THEN
    PERFORM refuse_move('TC002', format('slot %s is not as expected', id));
  END IF;
  IF to_state = 'MOVED' AND NOT EXISTS (
      SELECT FROM slot_verification v WHERE v.slot_id = id AND v.move_id = from_move) THEN
    PERFORM refuse_move('TC002', format('slot %s is not verified', id));
  END IF;
  UPDATE slot_owner SET state = to_state, epoch = to_epoch, move_id = to_move,
      owner = coalesce(to_owner, owner)
   WHERE slot_id = id;
END $$;

-- Whether the slot has rows here beside those of slot_owner.
CREATE FUNCTION has_rows(id int, first text, past text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT EXISTS (SELECT FROM open_orders WHERE symbol >= first AND symbol < past)
      OR EXISTS (SELECT FROM closed_orders WHERE symbol >= first AND symbol < past)
      OR EXISTS (SELECT FROM trades WHERE symbol >= first AND symbol < past)
      OR EXISTS (SELECT FROM symbol_state WHERE symbol >= first AND symbol < past)
      OR EXISTS (SELECT FROM slot_log WHERE slot_id = id)
$$;

-- The target's row of a move. The found_ parameters are the row as it was read, found_state NULL:
-- there was none. A follower keeps its rows and where it is; anything else begins empty, at -1.
CREATE FUNCTION prepare_target(id int, move uuid, first text, past text, by_owner uuid,
    by_partition text, source_shard text, born bigint,
    found_state text, found_epoch bigint, found_move uuid)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE o slot_owner;
BEGIN
  o := locked_slot(id);
  IF (found_state IS NULL) <> (o.slot_id IS NULL)
      OR (found_state IS NOT NULL AND (o.state <> found_state OR o.epoch <> found_epoch
          OR o.move_id IS DISTINCT FROM found_move
          OR o.state NOT IN ('ABORTED', 'MOVED', 'FOLLOWER'))) THEN
    PERFORM refuse_move('TC002', format('slot %s is not as expected', id));
  END IF;
  IF o.state = 'FOLLOWER' THEN
    UPDATE slot_owner SET state = 'PREPARED', move_id = move, peer_shard = source_shard
     WHERE slot_id = id;
    RETURN;
  END IF;
  IF has_rows(id, first, past) THEN
    PERFORM refuse_move('TC006', format('rows of slot %s are left over', id));
  END IF;
  INSERT INTO slot_owner (slot_id, first_sym, past_sym, epoch, owner, state, born_seq, last_seq,
      chain, move_id, peer_shard, partition)
    VALUES (id, first, past, 0, by_owner, 'PREPARED', born, -1, '', move, source_shard,
      by_partition)
    ON CONFLICT (slot_id) DO NOTHING;
  IF NOT FOUND THEN
    IF o.slot_id IS NULL THEN  -- somebody else's came in between
      PERFORM refuse_move('TC002', format('slot %s is not as expected', id));
    END IF;
    UPDATE slot_owner SET state = 'PREPARED', first_sym = first, past_sym = past, owner = by_owner,
        born_seq = born, last_seq = -1, chain = '', move_id = move, peer_shard = source_shard,
        partition = by_partition
     WHERE slot_id = id;
  END IF;
END $$;

-- First statement of every transaction that copies rows. `hot`: of the state that must be whole at
-- one sequence; else of history, which never changes.
CREATE FUNCTION copy_fence(id int, move uuid, hot boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE o slot_owner;
BEGIN
  SELECT * INTO o FROM slot_owner WHERE slot_id = id FOR SHARE;
  IF o.slot_id IS NULL OR o.move_id IS DISTINCT FROM move OR o.state <> 'PREPARED'
      OR (hot AND o.last_seq <> -1) THEN
    PERFORM refuse_move('TC002', format('slot %s takes no such copy', id));
  END IF;
END $$;

-- The hot state is whole up to here; from now on the shadow goes on.
CREATE FUNCTION finish_copy(id int, move uuid, seq bigint, at_chain bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE o slot_owner;
BEGIN
  o := locked_slot(id);
  IF o.slot_id IS NULL OR o.state <> 'PREPARED' OR o.move_id IS DISTINCT FROM move
      OR o.last_seq <> -1 OR seq < 0 THEN
    PERFORM refuse_move('TC002', format('slot %s takes no such copy', id));
  END IF;
  UPDATE slot_owner SET last_seq = seq, chain = at_chain WHERE slot_id = id;
END $$;

-- First statement of a transaction that appends the rows of one committed batch to a target or a
-- follower. False: they are there already, append nothing. No epoch and no owner: the rows are
-- those of the history whoever brings them.
CREATE FUNCTION shadow_fence(id int, move uuid, from_seq bigint, from_chain bytea, to_seq bigint,
    to_chain bytea, batch_epoch bigint, batch_payload bytea)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE o slot_owner;
BEGIN
  o := locked_slot(id);
  IF o.slot_id IS NULL OR o.state NOT IN ('PREPARED', 'FOLLOWER')
      OR o.move_id IS DISTINCT FROM move OR o.last_seq = -1 THEN
    PERFORM refuse_move('TC002', format('slot %s takes no shadow', id));
  END IF;
  IF o.last_seq >= to_seq THEN RETURN false; END IF;
  IF o.last_seq <> from_seq OR o.chain <> from_chain THEN
    PERFORM refuse_move('TC005', format('slot %s is at %s, not at %s', id, o.last_seq, from_seq));
  END IF;
  UPDATE slot_owner SET last_seq = to_seq, chain = to_chain WHERE slot_id = id;
  INSERT INTO slot_log (slot_id, seq_hi, seq_lo, epoch, payload, chain)
    VALUES (id, to_seq, from_seq + 1, batch_epoch, batch_payload, to_chain);
  RETURN true;
END $$;

-- What a slot has here, to be compared with the other side: count, and a sum that order does not
-- change.
CREATE FUNCTION slot_digest(id int, first text, past text)
RETURNS TABLE (part text, rows bigint, digest bigint)
LANGUAGE sql STABLE AS $$
  SELECT 'open_orders', count(*), bit_xor(hashtextextended(t::text, 0)) FROM open_orders t
   WHERE symbol >= first AND symbol < past
  UNION ALL
  SELECT 'closed_orders', count(*), bit_xor(hashtextextended(t::text, 0)) FROM closed_orders t
   WHERE symbol >= first AND symbol < past
  UNION ALL
  SELECT 'trades', count(*), bit_xor(hashtextextended(t::text, 0)) FROM trades t
   WHERE symbol >= first AND symbol < past
  UNION ALL
  SELECT 'symbol_state', count(*), bit_xor(hashtextextended(t::text, 0)) FROM symbol_state t
   WHERE symbol >= first AND symbol < past
$$;

CREATE FUNCTION store_verification(id int, move uuid, seq bigint, sums text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE o slot_owner;
BEGIN
  o := locked_slot(id);
  IF o.slot_id IS NULL OR o.state <> 'FOLLOWER' OR o.move_id IS DISTINCT FROM move
      OR o.last_seq < seq THEN
    PERFORM refuse_move('TC002', format('slot %s follows nobody', id));
  END IF;
  INSERT INTO slot_verification (slot_id, move_id, at_seq, digest) VALUES (id, move, seq, sums)
    ON CONFLICT (slot_id, move_id) DO UPDATE SET at_seq = excluded.at_seq,
      digest = excluded.digest, verified_at = excluded.verified_at;
END $$;

-- Deletes at most `most` rows of each table of a slot that can never be served by this move any
-- more; returns how many: 0 = nothing is left.
CREATE FUNCTION collect_rows(id int, move uuid, most int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE o slot_owner; n bigint; gone bigint := 0; t text;
BEGIN
  o := locked_slot(id);
  IF o.slot_id IS NULL OR o.move_id IS DISTINCT FROM move OR NOT (o.state = 'ABORTED'
      OR (o.state = 'MOVED' AND EXISTS (
        SELECT FROM slot_verification v WHERE v.slot_id = id AND v.move_id = move))) THEN
    PERFORM refuse_move('TC002', format('the rows of slot %s are not left over', id));
  END IF;
  FOREACH t IN ARRAY ARRAY['open_orders', 'closed_orders', 'trades', 'symbol_state'] LOOP
    EXECUTE format('DELETE FROM %I WHERE ctid = ANY (ARRAY(SELECT ctid FROM %I'
      ' WHERE symbol >= $1 AND symbol < $2 LIMIT $3))', t, t) USING o.first_sym, o.past_sym, most;
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone + n;
  END LOOP;
  DELETE FROM slot_log WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM slot_log WHERE slot_id = id LIMIT most));
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN gone + n;
END $$;

REVOKE ALL ON FUNCTION refuse_move, locked_slot, slot_step, has_rows, prepare_target, copy_fence,
  finish_copy, shadow_fence, slot_digest, store_verification, collect_rows FROM PUBLIC;
-- Who may: partitions all of it; the operator what the recovery table asks of anybody.
GRANT EXECUTE ON FUNCTION slot_step, prepare_target, copy_fence, finish_copy, shadow_fence,
  slot_digest, store_verification, collect_rows TO tc_engine;
GRANT EXECUTE ON FUNCTION slot_step, slot_digest, collect_rows TO tc_operator;
GRANT SELECT ON slot_verification TO tc_engine, tc_reader, tc_operator;
