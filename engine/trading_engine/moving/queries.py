"""What a follower asks the shard, and tells it."""

from __future__ import annotations

LOG_ROWS_MAX = 64  # of a slot in one answer
# One statement sees one moment: whoever sees a row of the log sees the digest that came with it.
ROWS = f"""
SELECT o.slot_id, o.epoch, o.owner, o.partition, o.state, o.last_seq, encode(o.chain, 'hex'),
       extract(epoch FROM clock_timestamp() - o.handed_over_at) * 1000,
       d.seq, d.since_us, d.first_sym, d.past_sym, encode(d.digest, 'hex'),
       l.seq_lo, l.seq_hi, encode(l.payload, 'hex'), encode(l.chain, 'hex')
  FROM unnest($1::int[], $2::bigint[]) AS b(slot_id, seq)
  JOIN slot_owner o ON o.slot_id = b.slot_id
  LEFT JOIN slot_digest d ON d.slot_id = b.slot_id AND d.move_id = $3::uuid
  LEFT JOIN LATERAL (
    SELECT * FROM slot_log WHERE slot_id = b.slot_id AND seq_hi > b.seq
     ORDER BY seq_hi LIMIT {LOG_ROWS_MAX}) l ON true
 ORDER BY o.slot_id, l.seq_hi
"""
TELL = """
INSERT INTO slot_follower AS f
SELECT slot_id, $3::uuid, $4::int, $5, $6::uuid, seq, verified, past, $9, clock_timestamp()
  FROM unnest($1::int[], $2::bigint[], $7::bigint[], $8::text[]) AS b(slot_id, seq, verified, past)
ON CONFLICT (slot_id) DO UPDATE SET move_id = excluded.move_id, attempt = excluded.attempt,
  partition = excluded.partition, incarnation = excluded.incarnation, at_seq = excluded.at_seq,
  verified_seq = excluded.verified_seq, verified_sym = excluded.verified_sym,
  problem = excluded.problem, told_at = excluded.told_at
"""
WITHDRAW = "DELETE FROM slot_follower WHERE slot_id = ANY ($1::int[]) AND incarnation = $2::uuid"
