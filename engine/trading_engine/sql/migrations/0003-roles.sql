-- tc_engine: partitions. tc_reader: replicas. tc_operator: the operator. Passwords are set apart.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tc_engine') THEN
      CREATE ROLE tc_engine LOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tc_reader') THEN
      CREATE ROLE tc_reader LOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tc_operator') THEN
      CREATE ROLE tc_operator LOGIN; END IF;
END $$;
ALTER ROLE tc_engine SET synchronous_commit = on;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

GRANT SELECT ON slot_owner, slot_log, symbol_state, open_orders, closed_orders, trades, orders
  TO tc_engine, tc_reader, tc_operator;
GRANT INSERT ON slot_log, symbol_state, open_orders, closed_orders, trades TO tc_engine;
GRANT UPDATE ON symbol_state, open_orders TO tc_engine;
GRANT DELETE ON open_orders TO tc_engine;
GRANT UPDATE (last_seq, chain) ON slot_owner TO tc_engine;  -- epoch, owner, state: functions only
GRANT EXECUTE ON FUNCTION fence, commit_batch, take_slot TO tc_engine;
