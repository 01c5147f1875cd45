// One batch: everything that one commit needs, and what may be told once it is durable.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "trading/sequencer/bytes.hpp"
#include "trading/sequencer/cold_order.hpp"
#include "trading/sequencer/pg_array.hpp"
#include "trading/wire.hpp"

namespace trading::sequencer {

// More fills than that are cut from a reply, so that its frame stays within the wire's bound;
// `executed` still tells the whole, and the trades are on the shard.
inline constexpr std::size_t kReplyFillsMax = 65536;

using Chain = std::array<std::uint8_t, 32>;

struct SlotCommit {
  std::int32_t id = 0;
  std::int64_t epoch = 0;
  std::int64_t previous = 0;
  std::int64_t sequence = 0;
  Chain chain{};
};

// Columns of open_orders and closed_orders in the order of the schema.
class OrderRows {
 public:
  void clear();
  void add(std::string_view symbol, const ColdOrder& order, std::int32_t attributes);
  void add_ended(std::int64_t ended_us) { ended_.add(ended_us); }
  void finish(std::vector<std::string_view>& parameters, bool with_ended);

 private:
  PgArray symbol_{oid::kText}, order_{oid::kInt8}, account_{oid::kInt8}, client_{oid::kText},
      attributes_{oid::kInt4}, price_{oid::kInt8}, quantity_{oid::kInt8}, executed_{oid::kInt8},
      quote_{oid::kInt8}, prevented_{oid::kInt8}, priority_{oid::kInt8}, entry_{oid::kInt8},
      body_{oid::kInt8}, created_{oid::kInt8}, seq_{oid::kInt8}, ended_{oid::kInt8};
};

struct Outbox {  // frames for one connection
  std::uint64_t connection = 0;
  Bytes bytes;
  std::size_t open_frame = SIZE_MAX;  // where the kReplies frame that still grows begins
};

struct SymbolRow {
  std::string_view symbol;
  std::int64_t order_seq, trade_seq, prevented_seq, priority_seq, update_seq, sym_seq, last_price;
  bool halted;
  std::int64_t seq;
};

struct TradeRow {
  std::string_view symbol;
  std::int64_t trade_id, maker_order, taker_order, maker_account, taker_account, price, quantity;
  std::int16_t taker_side;
  std::int64_t time_us, seq;
};

class Batch {
 public:
  void clear();

  void add_reply(std::uint64_t connection, const wire::Reply& reply,
                 std::span<const wire::Fill> fills = {});
  void add_depth(std::uint64_t connection, const wire::DepthHeader& header,
                 std::span<const wire::Level> levels);
  void add_slot(const SlotCommit& slot, std::string_view payload);
  void add_trade(const TradeRow& row);
  void add_symbol(const SymbolRow& row);
  void add_open(std::string_view symbol, const ColdOrder& order);
  void add_update(std::string_view symbol, const ColdOrder& order);
  void add_delete(std::string_view symbol, std::int64_t order_id);
  void add_closed(std::string_view symbol, const ColdOrder& order, std::int32_t attributes,
                  std::int64_t ended_us);

  // Closes the frames that still grow. Call before reading the outboxes.
  void seal();
  // Replaces the answers of a sealed batch by those for a commit in doubt: one per request, queries
  // are kBusy, refusals stay, all others are kUnknownOutcome.
  void doubt();

  // Parameters 2.. of commit_batch in binary format; the first is the owner. They live as long as
  // the batch.
  [[nodiscard]] std::vector<std::string_view> parameters();
  [[nodiscard]] std::span<Outbox> outboxes() { return {outboxes_.data(), outboxes_used_}; }
  [[nodiscard]] const std::vector<SlotCommit>& slots() const { return slots_; }
  [[nodiscard]] bool changes() const { return !slots_.empty(); }
  // Roughly the bytes it holds; what bounds a batch beside the number of its commands.
  [[nodiscard]] std::size_t weight() const { return weight_; }

  std::size_t commands = 0;

 private:
  Outbox& outbox(std::uint64_t connection);
  static void close_frame(Outbox& box);
  void doubt_frame(std::uint64_t connection, std::string_view frame);

  std::vector<SlotCommit> slots_;
  std::vector<Outbox> outboxes_;  // those beyond outboxes_used_ keep their memory for later
  std::size_t outboxes_used_ = 0;
  std::size_t outbox_last_ = 0;
  std::size_t weight_ = 0;
  OrderRows opened_;
  OrderRows closed_;
  PgArray sl_id_{oid::kInt4}, sl_epoch_{oid::kInt8}, sl_previous_{oid::kInt8},
      sl_sequence_{oid::kInt8}, sl_chain_{oid::kBytea}, sl_payload_{oid::kBytea};
  PgArray st_symbol_{oid::kText}, st_order_{oid::kInt8}, st_trade_{oid::kInt8},
      st_prevented_{oid::kInt8}, st_priority_{oid::kInt8}, st_update_{oid::kInt8},
      st_sym_{oid::kInt8}, st_last_{oid::kInt8}, st_halted_{oid::kBool}, st_seq_{oid::kInt8};
  PgArray up_symbol_{oid::kText}, up_order_{oid::kInt8}, up_attributes_{oid::kInt4},
      up_price_{oid::kInt8}, up_quantity_{oid::kInt8}, up_executed_{oid::kInt8},
      up_quote_{oid::kInt8}, up_prevented_{oid::kInt8}, up_priority_{oid::kInt8},
      up_seq_{oid::kInt8};
  PgArray de_symbol_{oid::kText}, de_order_{oid::kInt8};
  PgArray tr_symbol_{oid::kText}, tr_trade_{oid::kInt8}, tr_maker_{oid::kInt8},
      tr_taker_{oid::kInt8}, tr_maker_account_{oid::kInt8}, tr_taker_account_{oid::kInt8},
      tr_price_{oid::kInt8}, tr_quantity_{oid::kInt8}, tr_side_{oid::kInt2}, tr_time_{oid::kInt8},
      tr_seq_{oid::kInt8};
};

// Batches that are done, for the next ones: a batch has some 70 buffers. Not for two threads at
// once.
class BatchPool {
 public:
  std::unique_ptr<Batch> take();
  void give(std::unique_ptr<Batch> batch);

 private:
  static constexpr std::size_t kSpareMax = 4;
  static constexpr std::size_t kSpareWeightMax = 16U << 20;  // a huge batch is not kept
  std::vector<std::unique_ptr<Batch>> spare_;
};

struct BatchReturn {
  std::shared_ptr<BatchPool> pool;
  void operator()(Batch* batch) const {
    std::unique_ptr<Batch> owned(batch);
    if (pool) pool->give(std::move(owned));
  }
};
using BatchPtr = std::unique_ptr<Batch, BatchReturn>;

}  // namespace trading::sequencer
