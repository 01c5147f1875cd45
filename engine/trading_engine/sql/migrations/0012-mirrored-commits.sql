-- The committed batches of a slot, appended to its rows on another shard, as arrays of rows like
-- those of `commit_rows`. One slot per call; one call is one transaction, or a part of one.
CREATE FUNCTION append_rows(
  move uuid, slots slot_commit[], symbols symbol_commit[], opened opened_order[],
  updated updated_order[], gone order_key[], closed ended_order[], made made_trade[]
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
           priority = u.priority, seq = u.seq
      FROM unnest(updated) u
     WHERE o.symbol = u.symbol AND o.order_id = u.order_id;
  END IF;
  INSERT INTO open_orders SELECT * FROM unnest(opened);
  INSERT INTO closed_orders SELECT * FROM unnest(closed);
  INSERT INTO trades SELECT * FROM unnest(made);
END $$;

-- What recovery asks of a row to be acted upon: locked, so that nothing of it is in flight.
CREATE FUNCTION read_slot(id int)
RETURNS TABLE (epoch bigint, owner uuid, state text, last_seq bigint, chain bytea, move_id uuid,
  verified boolean, first_sym text, past_sym text, born_seq bigint, partition text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT o.epoch, o.owner, o.state, o.last_seq, o.chain, o.move_id,
         EXISTS (SELECT FROM slot_verification v
                  WHERE v.slot_id = o.slot_id AND v.move_id = o.move_id),
         o.first_sym, o.past_sym, o.born_seq, o.partition
    FROM slot_owner o WHERE o.slot_id = id FOR UPDATE
$$;

-- Where logs begin that came out of others; goes along with the slot.
CREATE FUNCTION copy_births(id int, move uuid, epochs bigint[], borns bigint[], chains bytea[],
  all_parents text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM copy_fence(id, move, false);
  INSERT INTO slot_birth (slot_id, epoch, born_seq, chain, parents)
    SELECT id, e, b, c, p::int[] FROM unnest(epochs, borns, chains, all_parents) AS x(e, b, c, p)
    ON CONFLICT (slot_id, epoch) DO NOTHING;
END $$;

REVOKE ALL ON FUNCTION append_rows, read_slot, copy_births FROM PUBLIC;
GRANT EXECUTE ON FUNCTION append_rows, read_slot, copy_births TO tc_engine;
GRANT EXECUTE ON FUNCTION read_slot TO tc_operator;
