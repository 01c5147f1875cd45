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
#include "trading/sequencer/pg_rows.hpp"
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
  Batch();
  ~Batch();
  void clear();

  void add_reply(std::uint64_t connection, const wire::Reply& reply,
                 std::span<const wire::Fill> fills = {});
  void add_depth(std::uint64_t connection, const wire::DepthHeader& header,
                 std::span<const wire::Level> levels);
  // `mirror`: 0, or the number of the mirror that takes the same row.
  void add_slot(const SlotCommit& slot, std::string_view payload, std::uint32_t mirror = 0);
  void add_trade(const TradeRow& row, std::uint32_t mirror = 0);
  void add_symbol(const SymbolRow& row, std::uint32_t mirror = 0);
  void add_open(std::string_view symbol, const ColdOrder& order, std::uint32_t mirror = 0);
  void add_update(std::string_view symbol, const ColdOrder& order, std::uint32_t mirror = 0);
  void add_delete(std::string_view symbol, std::int64_t order_id, std::uint32_t mirror = 0);
  void add_closed(std::string_view symbol, const ColdOrder& order, std::int32_t attributes,
                  std::int64_t ended_us, std::uint32_t mirror = 0);

  // Closes the frames that still grow. Call before reading the outboxes.
  void seal();
  // Replaces the answers of a sealed batch by those for a commit in doubt: one per request, queries
  // are kBusy, refusals stay, all others are kUnknownOutcome.
  void doubt();

  // Parameters 2.. of commit_changes in binary format; the first is the owner. `types` are the
  // shard's numbers of the row types, in the order of the parameters. They live as long as the
  // batch.
  static constexpr std::size_t kParameters = 7;
  using Types = std::array<std::uint32_t, kParameters>;
  [[nodiscard]] std::array<std::string_view, kParameters> parameters(const Types& types) {
    return rows_.finish(types);
  }
  // Rows of a single slot once more, for another shard; see Sequencer::mirror_slot.
  struct Mirror;
  [[nodiscard]] std::span<Mirror> mirrors();
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

  struct Rows {
    void clear();
    [[nodiscard]] std::array<std::string_view, kParameters> finish(const Types& types);
    PgRows slots, symbols, opened, updated, deleted, closed, trades;
  };
  // Calls `add(rows)` with the rows of the batch, and with those of the mirror.
  template <typename Add>
  void add(std::uint32_t mirror, Add add);

  std::vector<SlotCommit> slots_;
  std::vector<Outbox> outboxes_;  // those beyond outboxes_used_ keep their memory for later
  std::size_t outboxes_used_ = 0;
  std::size_t outbox_last_ = 0;
  std::size_t weight_ = 0;
  Rows rows_;
  std::vector<Mirror> mirrors_;  // those beyond mirrors_used_ keep their memory for later
  std::size_t mirrors_used_ = 0;
};

struct Batch::Mirror {
  std::uint32_t number = 0;
  SlotCommit slot;
  std::size_t weight = 0;
  Rows rows;
  [[nodiscard]] std::array<std::string_view, kParameters> parameters(const Types& types) {
    return rows.finish(types);
  }
};

// Batches that are done, for the next ones: their buffers have grown already. Not for two
// threads at once.
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
