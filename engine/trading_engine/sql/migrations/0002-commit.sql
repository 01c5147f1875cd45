-- The one way in which a partition writes. One call is one statement, hence one transaction.

-- The fence: compare-and-set of epoch, owner, state and sequence on every slot of the batch. It
-- RAISES,
-- so that nothing after it can commit; an UPDATE that hits no row would be no error.
CREATE FUNCTION fence(ids int[], epochs bigint[], prevs bigint[], his bigint[], chains bytea[],
    me uuid)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE hit int[];
BEGIN
  IF current_setting('synchronous_commit') IN ('off', 'local') THEN
    RAISE EXCEPTION 'synchronous_commit is %: an acknowledgement would promise too much',
      current_setting('synchronous_commit') USING ERRCODE = 'TC003';
  END IF;
  WITH u AS (
    UPDATE slot_owner o SET last_seq = b.hi, chain = b.chain
      FROM unnest(ids, epochs, prevs, his, chains) AS b(slot_id, epoch, prev, hi, chain)
     WHERE o.slot_id = b.slot_id AND o.epoch = b.epoch AND o.owner = me AND o.state = 'ACTIVE'
       AND o.last_seq = b.prev
    RETURNING o.slot_id)
  SELECT coalesce(array_agg(slot_id), '{}') INTO hit FROM u;
  IF cardinality(hit) <> cardinality(ids) THEN
    RAISE EXCEPTION 'fenced' USING ERRCODE = 'TC001',
      DETAIL = (SELECT string_agg(i::text, ',' ORDER BY i) FROM unnest(ids) i WHERE i <> ALL (hit));
  END IF;
END $$;

CREATE FUNCTION commit_batch(
  me uuid, slot_ids int[], slot_epochs bigint[], slot_prevs bigint[], slot_his bigint[],
      slot_chains bytea[],
  slot_payloads bytea[],
  st_symbol text[], st_order bigint[], st_trade bigint[], st_prevented bigint[],
      st_priority bigint[],
  st_update bigint[], st_sym bigint[], st_last bigint[], st_halted boolean[], st_seq bigint[],
  op_symbol text[], op_order bigint[], op_account bigint[], op_client text[], op_attributes int[],
  op_price bigint[], op_quantity bigint[], op_executed bigint[], op_quote bigint[],
      op_prevented bigint[],
  op_priority bigint[], op_entry bigint[], op_body bigint[], op_created bigint[], op_seq bigint[],
  up_symbol text[], up_order bigint[], up_attributes int[], up_price bigint[], up_quantity bigint[],
  up_executed bigint[], up_quote bigint[], up_prevented bigint[], up_priority bigint[],
      up_seq bigint[],
  de_symbol text[], de_order bigint[],
  cl_symbol text[], cl_order bigint[], cl_account bigint[], cl_client text[], cl_attributes int[],
  cl_price bigint[], cl_quantity bigint[], cl_executed bigint[], cl_quote bigint[],
      cl_prevented bigint[],
  cl_priority bigint[], cl_entry bigint[], cl_body bigint[], cl_created bigint[], cl_seq bigint[],
  cl_ended bigint[],
  tr_symbol text[], tr_trade bigint[], tr_maker bigint[], tr_taker bigint[],
      tr_maker_account bigint[],
  tr_taker_account bigint[], tr_price bigint[], tr_quantity bigint[], tr_side smallint[],
      tr_time bigint[],
  tr_seq bigint[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM fence(slot_ids, slot_epochs, slot_prevs, slot_his, slot_chains, me);
  INSERT INTO slot_log (slot_id, seq_hi, seq_lo, epoch, payload, chain)
    SELECT i, h, p + 1, e, d, c
      FROM unnest(slot_ids, slot_his, slot_prevs, slot_epochs, slot_payloads, slot_chains) AS b(i,
          h, p, e, d, c);
  INSERT INTO symbol_state AS s
    SELECT * FROM unnest(st_symbol, st_order, st_trade, st_prevented, st_priority, st_update,
        st_sym, st_last,
                         st_halted, st_seq)
    ON CONFLICT (symbol) DO UPDATE SET order_seq = excluded.order_seq,
        trade_seq = excluded.trade_seq,
      prevented_seq = excluded.prevented_seq, priority_seq = excluded.priority_seq,
      update_seq = excluded.update_seq, sym_seq = excluded.sym_seq,
          last_price = excluded.last_price,
      halted = excluded.halted, seq = excluded.seq;
  IF cardinality(de_symbol) > 0 THEN
    DELETE FROM open_orders o USING unnest(de_symbol, de_order) AS d(s, i)
     WHERE o.symbol = d.s AND o.order_id = d.i;
  END IF;
  IF cardinality(up_symbol) > 0 THEN
    UPDATE open_orders o
       SET attributes = u.a, price = u.p, quantity = u.q, executed = u.x, executed_quote = u.xq,
           prevented = u.pv, priority = u.pr, seq = u.sq
      FROM unnest(up_symbol, up_order, up_attributes, up_price, up_quantity, up_executed, up_quote,
                  up_prevented, up_priority, up_seq) AS u(s, i, a, p, q, x, xq, pv, pr, sq)
     WHERE o.symbol = u.s AND o.order_id = u.i;
  END IF;
  IF cardinality(op_symbol) > 0 THEN
    INSERT INTO open_orders
      SELECT * FROM unnest(op_symbol, op_order, op_account, op_client, op_attributes, op_price,
          op_quantity,
                           op_executed, op_quote, op_prevented, op_priority, op_entry, op_body,
                               op_created,
                           op_seq);
  END IF;
  IF cardinality(cl_symbol) > 0 THEN
    INSERT INTO closed_orders
      SELECT * FROM unnest(cl_symbol, cl_order, cl_account, cl_client, cl_attributes, cl_price,
          cl_quantity,
                           cl_executed, cl_quote, cl_prevented, cl_priority, cl_entry, cl_body,
                               cl_created,
                           cl_seq, cl_ended);
  END IF;
  IF cardinality(tr_symbol) > 0 THEN
    INSERT INTO trades
      SELECT * FROM unnest(tr_symbol, tr_trade, tr_maker, tr_taker, tr_maker_account,
          tr_taker_account,
                           tr_price, tr_quantity, tr_side, tr_time, tr_seq);
  END IF;
END $$;

-- Takeover: waits behind a commit in flight (row lock), then shuts the old owner out for ever.
CREATE FUNCTION take_slot(id int, expected_epoch bigint, me uuid)
RETURNS TABLE (epoch bigint, last_seq bigint, chain bytea)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  UPDATE slot_owner o SET epoch = o.epoch + 1, owner = me
   WHERE o.slot_id = id AND o.epoch = expected_epoch AND o.state = 'ACTIVE'
  RETURNING o.epoch, o.last_seq, o.chain
$$;

REVOKE ALL ON FUNCTION fence, commit_batch, take_slot FROM PUBLIC;
