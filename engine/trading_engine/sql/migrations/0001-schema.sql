-- A shard: the truth of its slots. Keys begin with the symbol; there are no sequences; money and
-- quantities are integers of ticks and lots. Symbols compare as bytes, as slot bounds do
-- everywhere.

CREATE TABLE slot_owner (
  slot_id    int PRIMARY KEY,
  first_sym  text COLLATE "C" NOT NULL,
  past_sym   text COLLATE "C" NOT NULL CHECK (first_sym < past_sym),
  epoch      bigint NOT NULL,
  owner      uuid NOT NULL,
  state      text NOT NULL
    CHECK (state IN ('PREPARED','ACTIVE','SEALED','FOLLOWER','ABORTED','MOVED')),
  born_seq   bigint NOT NULL,
  last_seq   bigint NOT NULL,
  chain      bytea NOT NULL,
  move_id    uuid,
  peer_shard text
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0);
COMMENT ON TABLE slot_owner IS 'who may write a slot: the fence of every commit';

CREATE TABLE slot_log (
  slot_id int NOT NULL,
  seq_hi  bigint NOT NULL,
  seq_lo  bigint NOT NULL,
  epoch   bigint NOT NULL,
  payload bytea NOT NULL,
  chain   bytea NOT NULL,
  PRIMARY KEY (slot_id, seq_hi)
);
ALTER TABLE slot_log ALTER payload SET STORAGE EXTERNAL;
COMMENT ON TABLE slot_log IS 'one row per slot and batch: the accepted commands,
    and a hash chain over them';

CREATE TABLE symbol_state (
  symbol        text COLLATE "C" PRIMARY KEY,
  order_seq     bigint NOT NULL,
  trade_seq     bigint NOT NULL,
  prevented_seq bigint NOT NULL,
  priority_seq  bigint NOT NULL,
  update_seq    bigint NOT NULL,
  sym_seq       bigint NOT NULL,
  last_price    bigint NOT NULL,
  halted        boolean NOT NULL,
  seq           bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0);
COMMENT ON TABLE symbol_state IS 'counters of a symbol: the last number given';

-- attributes: side | type<<4 | time_in_force<<8 | self_trade<<12 | status<<16 | end_reason<<20
CREATE TABLE open_orders (
  symbol         text COLLATE "C" NOT NULL,
  order_id       bigint NOT NULL,
  account        bigint NOT NULL,
  client_id      text NOT NULL,
  attributes     int NOT NULL,
  price          bigint NOT NULL,
  quantity       bigint NOT NULL,
  executed       bigint NOT NULL,
  executed_quote bigint NOT NULL,
  prevented      bigint NOT NULL,
  priority       bigint NOT NULL,
  entry_trade_id bigint NOT NULL,
  body_hash      bigint NOT NULL,
  created_us     bigint NOT NULL,
  seq            bigint NOT NULL,
  PRIMARY KEY (symbol, order_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE open_orders IS 'the books: hot, small, exactly what recovery reads';

CREATE TABLE closed_orders (
  symbol         text COLLATE "C" NOT NULL,
  order_id       bigint NOT NULL,
  account        bigint NOT NULL,
  client_id      text NOT NULL,
  attributes     int NOT NULL,
  price          bigint NOT NULL,
  quantity       bigint NOT NULL,
  executed       bigint NOT NULL,
  executed_quote bigint NOT NULL,
  prevented      bigint NOT NULL,
  priority       bigint NOT NULL,
  entry_trade_id bigint NOT NULL,
  body_hash      bigint NOT NULL,
  created_us     bigint NOT NULL,
  seq            bigint NOT NULL,
  ended_us       bigint NOT NULL,
  PRIMARY KEY (symbol, account, order_id)
);
CREATE INDEX closed_orders_ended ON closed_orders USING brin (ended_us)
    WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE closed_orders IS 'orders that ended: cold, immutable';

CREATE TABLE trades (
  symbol         text COLLATE "C" NOT NULL,
  trade_id       bigint NOT NULL,
  maker_order_id bigint NOT NULL,
  taker_order_id bigint NOT NULL,
  maker_account  bigint NOT NULL,
  taker_account  bigint NOT NULL,
  price          bigint NOT NULL,
  quantity       bigint NOT NULL,
  taker_side     smallint NOT NULL,
  time_us        bigint NOT NULL,
  seq            bigint NOT NULL,
  PRIMARY KEY (symbol, trade_id)
);
CREATE INDEX trades_maker ON trades (symbol, maker_account, trade_id);
CREATE INDEX trades_taker ON trades (symbol, taker_account, trade_id);
COMMENT ON TABLE trades IS 'cold, immutable; trade ids of a symbol have no gap';

CREATE VIEW orders AS
  SELECT o.symbol, o.order_id, o.account, o.client_id,
         (ARRAY['BUY','SELL'])[1 + (attributes & 15)] AS side,
         (ARRAY['LIMIT','MARKET','LIMIT_MAKER'])[1 + (attributes >> 4 & 15)] AS type,
         (ARRAY['GTC','IOC','FOK'])[1 + (attributes >> 8 & 15)] AS time_in_force,
         (ARRAY['NONE','EXPIRE_TAKER','EXPIRE_MAKER','EXPIRE_BOTH','DECREMENT'])
           [1 + (attributes >> 12 & 15)]
           AS self_trade_prevention,
         (ARRAY['NEW','PARTIALLY_FILLED','FILLED','CANCELED','REJECTED','EXPIRED',
                'EXPIRED_IN_MATCH'])
           [1 + (attributes >> 16 & 15)] AS status,
         (ARRAY['NONE','USER','MASS_CANCEL','REPLACED','DISCONNECT','DEAD_MAN','IOC_UNFILLED',
                'FOK_UNFILLED','NO_LIQUIDITY','PRICE_BAND','EXCHANGE','SELF_TRADE'])
           [1 + (attributes >> 20 & 15)] AS end_reason,
         price, quantity, executed, executed_quote, prevented, priority, entry_trade_id,
             created_us, seq,
         ended_us, attributes
    FROM (SELECT *, NULL::bigint AS ended_us FROM open_orders
          UNION ALL SELECT * FROM closed_orders) o;
COMMENT ON VIEW orders IS 'all orders, in words';
