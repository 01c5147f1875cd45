-- As wide as our open_orders; the ids come from a sequence, as usual in this design.
CREATE TABLE IF NOT EXISTS orders (
  order_id       bigint GENERATED ALWAYS AS IDENTITY,
  symbol         text COLLATE "C" NOT NULL,
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
);
