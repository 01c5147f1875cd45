-- Giving a slot back, and the end of slot_log.

-- Only who holds the slot, at that epoch; everything of it is durable. The next owner need not
-- wait.
CREATE FUNCTION release_slot(id int, held_epoch bigint, me uuid) RETURNS boolean
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  WITH released AS (
    UPDATE slot_owner SET owner = '00000000-0000-0000-0000-000000000000'
     WHERE slot_id = id AND epoch = held_epoch AND owner = me AND state = 'ACTIVE'
    RETURNING slot_id)
  SELECT EXISTS (SELECT FROM released)
$$;

-- Rows that are there already count from now on.
ALTER TABLE slot_log ADD COLUMN logged_at timestamptz NOT NULL DEFAULT now();

-- Removes at most `most` of the oldest rows that are older than `keep`; returns how many. Removes
-- nothing for anybody but the owner of an ACTIVE slot, while it moves, and never the newest row.
CREATE FUNCTION trim_log(id int, held_epoch bigint, me uuid, keep interval, most int) RETURNS int
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  WITH old AS (
    SELECT l.slot_id, l.seq_hi
      FROM (SELECT slot_id, seq_hi, logged_at FROM slot_log WHERE slot_id = id
             ORDER BY seq_hi LIMIT least(most, 10000)) l
      JOIN slot_owner o ON o.slot_id = l.slot_id AND o.epoch = held_epoch AND o.owner = me
       AND o.state = 'ACTIVE' AND o.move_id IS NULL AND l.seq_hi < o.last_seq
     WHERE l.logged_at < now() - greatest(keep, interval '1 hour')),
  gone AS (
    DELETE FROM slot_log l USING old WHERE l.slot_id = old.slot_id AND l.seq_hi = old.seq_hi
    RETURNING 1)
  SELECT count(*)::int FROM gone
$$;

REVOKE ALL ON FUNCTION release_slot, trim_log FROM PUBLIC;
GRANT EXECUTE ON FUNCTION release_slot, trim_log TO tc_engine;
