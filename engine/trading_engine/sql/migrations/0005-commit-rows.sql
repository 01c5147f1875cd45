-- A commit as arrays of rows. One array per column cost 4 us per column and statement to bring
-- together, which was half of a commit of 20 orders. `commit_batch` stays for partitions of the
-- version before, which may still run when this is applied.

CREATE TYPE slot_commit AS (
  slot_id int, epoch bigint, previous bigint, sequence bigint, chain bytea, payload bytea
);
CREATE TYPE symbol_commit AS (
  symbol text, order_seq bigint, trade_seq bigint, prevented_seq bigint, priority_seq bigint,
  update_seq bigint, sym_seq bigint, last_price bigint, halted boolean, seq bigint
);
CREATE TYPE opened_order AS (
  symbol text, order_id bigint, account bigint, client_id text, attributes int, price bigint,
  quantity bigint, executed bigint, executed_quote bigint, prevented bigint, priority bigint,
  entry_trade_id bigint, body_hash bigint, created_us bigint, seq bigint
);
CREATE TYPE updated_order AS (
  symbol text, order_id bigint, attributes int, price bigint, quantity bigint, executed bigint,
  executed_quote bigint, prevented bigint, priority bigint, seq bigint
);
CREATE TYPE order_key AS (symbol text, order_id bigint);
CREATE TYPE ended_order AS (
  symbol text, order_id bigint, account bigint, client_id text, attributes int, price bigint,
  quantity bigint, executed bigint, executed_quote bigint, prevented bigint, priority bigint,
  entry_trade_id bigint, body_hash bigint, created_us bigint, seq bigint, ended_us bigint
);
CREATE TYPE made_trade AS (
  symbol text, trade_id bigint, maker_order_id bigint, taker_order_id bigint,
  maker_account bigint, taker_account bigint, price bigint, quantity bigint, taker_side smallint,
  time_us bigint, seq bigint
);

-- The fence, as in `commit_batch`: it RAISES, so that nothing after it can commit.
CREATE FUNCTION fence(slots slot_commit[], me uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE hit int;
BEGIN
  IF current_setting('synchronous_commit') IN ('off', 'local') THEN
    RAISE EXCEPTION 'synchronous_commit is %: an acknowledgement would promise too much',
      current_setting('synchronous_commit') USING ERRCODE = 'TC003';
  END IF;
  UPDATE slot_owner o SET last_seq = b.sequence, chain = b.chain
    FROM unnest(slots) b
   WHERE o.slot_id = b.slot_id AND o.epoch = b.epoch AND o.owner = me AND o.state = 'ACTIVE'
     AND o.last_seq = b.previous;
  GET DIAGNOSTICS hit = ROW_COUNT;
  IF hit <> cardinality(slots) THEN
    RAISE EXCEPTION 'fenced' USING ERRCODE = 'TC001',
      DETAIL = (SELECT string_agg(b.slot_id::text, ',' ORDER BY b.slot_id) FROM unnest(slots) b
                 WHERE NOT EXISTS (
                   SELECT FROM slot_owner o
                    WHERE o.slot_id = b.slot_id AND o.epoch = b.epoch AND o.owner = me
                      AND o.state = 'ACTIVE' AND o.last_seq = b.sequence));
  END IF;
END $$;

-- The one way in which a partition writes. One call is one statement, hence one transaction.
CREATE FUNCTION commit_rows(
  me uuid, slots slot_commit[], symbols symbol_commit[], opened opened_order[],
  updated updated_order[], gone order_key[], closed ended_order[], made made_trade[]
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
           priority = u.priority, seq = u.seq
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

REVOKE ALL ON FUNCTION fence(slot_commit[], uuid), commit_rows FROM PUBLIC;
GRANT EXECUTE ON FUNCTION fence(slot_commit[], uuid), commit_rows TO tc_engine;

-- Plans here are look-ups by key: a small sample tells enough. The default one (30,000 rows) took
-- up to 0.6 s of a table that grows, every few seconds, from the commits. Payloads are never
-- searched.
DO $$
DECLARE one record;
BEGIN
  FOR one IN
    SELECT attrelid::regclass AS relation, attname
      FROM pg_attribute
     WHERE attnum > 0 AND NOT attisdropped
       AND attrelid IN ('slot_log'::regclass, 'open_orders'::regclass, 'closed_orders'::regclass,
                        'trades'::regclass)
  LOOP
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', one.relation, one.attname,
                   CASE WHEN one.attname IN ('payload', 'chain') THEN 0 ELSE 10 END);
  END LOOP;
END $$;
