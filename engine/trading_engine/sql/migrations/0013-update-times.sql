-- When an open order last changed, so that its `updateTime` is the same whenever it is asked for.
-- New row types and functions: partitions of the version before still call theirs.

ALTER TABLE open_orders ADD COLUMN updated_us bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN open_orders.updated_us IS 'of the last change; 0: not since there is this column';

CREATE TYPE open_order AS (
  symbol text, order_id bigint, account bigint, client_id text, attributes int, price bigint,
  quantity bigint, executed bigint, executed_quote bigint, prevented bigint, priority bigint,
  entry_trade_id bigint, body_hash bigint, created_us bigint, seq bigint, updated_us bigint
);
CREATE TYPE changed_order AS (
  symbol text, order_id bigint, attributes int, price bigint, quantity bigint, executed bigint,
  executed_quote bigint, prevented bigint, priority bigint, seq bigint, updated_us bigint
);

-- The one way in which a partition writes. One call is one statement, hence one transaction.
CREATE FUNCTION commit_changes(
  me uuid, slots slot_commit[], symbols symbol_commit[], opened open_order[],
  updated changed_order[], gone order_key[], closed ended_order[], made made_trade[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE known int;
BEGIN
  PERFORM fence(slots, me);
  INSERT INTO slot_log (slot_id, seq_hi, seq_lo, epoch, payload, chain)
    SELECT slot_id, sequence, previous + 1, epoch, payload, chain FROM unnest(slots);
  UPDATE symbol_state s SET
      order_seq = n.order_seq, trade_seq = n.trade_seq, prevented_seq = n.prevented_seq,
      priority_seq = n.priority_seq, update_seq = n.update_seq, sym_seq = n.sym_seq,
      last_price = n.last_price, halted = n.halted, seq = n.seq
    FROM unnest(symbols) n WHERE s.symbol = n.symbol;
  GET DIAGNOSTICS known = ROW_COUNT;
  IF known < cardinality(symbols) THEN  -- some are new; ON CONFLICT alone would lock each row first
    INSERT INTO symbol_state SELECT * FROM unnest(symbols) ON CONFLICT (symbol) DO NOTHING;
  END IF;
  IF cardinality(gone) > 0 THEN
    DELETE FROM open_orders o USING unnest(gone) d
     WHERE o.symbol = d.symbol AND o.order_id = d.order_id;
  END IF;
  IF cardinality(updated) > 0 THEN
    UPDATE open_orders o
       SET attributes = u.attributes, price = u.price, quantity = u.quantity,
           executed = u.executed, executed_quote = u.executed_quote, prevented = u.prevented,
           priority = u.priority, seq = u.seq, updated_us = u.updated_us
      FROM unnest(updated) u
     WHERE o.symbol = u.symbol AND o.order_id = u.order_id;
  END IF;
  IF cardinality(opened) > 0 THEN
    INSERT INTO open_orders SELECT * FROM unnest(opened);
  END IF;
  IF cardinality(closed) > 0 THEN
    INSERT INTO closed_orders SELECT * FROM unnest(closed);
  END IF;
  IF cardinality(made) > 0 THEN
    INSERT INTO trades SELECT * FROM unnest(made);
  END IF;
END $$;

-- The committed batches of a slot, appended to its rows on another shard; as `append_rows`.
CREATE FUNCTION append_changes(
  move uuid, slots slot_commit[], symbols symbol_commit[], opened open_order[],
  updated changed_order[], gone order_key[], closed ended_order[], made made_trade[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE b slot_commit := slots[1]; before bytea; known int;
BEGIN
  SELECT o.chain INTO before FROM slot_owner o WHERE o.slot_id = b.slot_id FOR UPDATE;
  -- What is appended continues the history that is here, by the history's own arithmetic.
  IF NOT shadow_fence(b.slot_id, move, b.previous, before, b.sequence, b.chain, b.epoch,
      b.payload) THEN
    RETURN;
  END IF;
  IF cardinality(slots) <> 1 OR sha256(before || int8send(b.sequence) || b.payload) <> b.chain THEN
    RAISE EXCEPTION 'slot % has another history up to %', b.slot_id, b.sequence
      USING ERRCODE = 'TC007';
  END IF;
  UPDATE symbol_state s SET
      order_seq = n.order_seq, trade_seq = n.trade_seq, prevented_seq = n.prevented_seq,
      priority_seq = n.priority_seq, update_seq = n.update_seq, sym_seq = n.sym_seq,
      last_price = n.last_price, halted = n.halted, seq = n.seq
    FROM unnest(symbols) n WHERE s.symbol = n.symbol;
  GET DIAGNOSTICS known = ROW_COUNT;
  IF known < cardinality(symbols) THEN
    INSERT INTO symbol_state SELECT * FROM unnest(symbols) ON CONFLICT (symbol) DO NOTHING;
  END IF;
  IF cardinality(gone) > 0 THEN
    DELETE FROM open_orders o USING unnest(gone) d
     WHERE o.symbol = d.symbol AND o.order_id = d.order_id;
  END IF;
  IF cardinality(updated) > 0 THEN
    UPDATE open_orders o
       SET attributes = u.attributes, price = u.price, quantity = u.quantity,
           executed = u.executed, executed_quote = u.executed_quote, prevented = u.prevented,
           priority = u.priority, seq = u.seq, updated_us = u.updated_us
      FROM unnest(updated) u
     WHERE o.symbol = u.symbol AND o.order_id = u.order_id;
  END IF;
  INSERT INTO open_orders SELECT * FROM unnest(opened);
  INSERT INTO closed_orders SELECT * FROM unnest(closed);
  INSERT INTO trades SELECT * FROM unnest(made);
END $$;

REVOKE ALL ON FUNCTION commit_changes, append_changes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION commit_changes, append_changes TO tc_engine;
