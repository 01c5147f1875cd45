// The only writer of its slots: commands of the wire in, whole batches out. No I/O, no clock, no threads.
//
// Its memory runs ahead of the shard by the batches that are not committed yet. When a commit does not
// succeed, this object is of no use any more: the process drops it and recovers from the shard.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trading/core/matching_engine.hpp"
#include "trading/sequencer/batch.hpp"
#include "trading/sequencer/cold_order.hpp"
#include "trading/sequencer/idempotency.hpp"
#include "trading/sequencer/publications.hpp"

namespace trading::sequencer {

struct SymbolRules {
  std::string name;
  std::int64_t price_band_percent = 0;          // 0 = off
  std::uint32_t open_orders_per_account_max = 0;  // 0 = no limit
};

struct SlotState {
  std::int32_t id = 0;
  std::string first;
  std::string past;
  std::uint32_t shard = 0;  // index of the commit pipeline
  std::int64_t epoch = 0;
  std::int64_t sequence = 0;
  Chain chain{};
};

struct Publication {
  std::string channel;
  std::string message;
  bool is_snapshot = false;  // SET it under `channel` instead of publishing it
};

class Sequencer {
 public:
  Sequencer(std::size_t ended_max, std::int64_t window_us);

  // --- what it serves ---
  void set_symbol(const SymbolRules& rules);
  void set_slot(const SlotState& slot);  // an id that is known is replaced
  void drop_slot(std::int32_t id);
  [[nodiscard]] std::vector<SlotState> slots() const;

  // --- recovery: rows as COPY .. TO STDOUT (FORMAT binary) gives them; the number of rows, -1 = malformed ---
  std::int64_t load_symbol_state(std::string_view copy);
  std::int64_t load_open_orders(std::string_view copy);
  std::int64_t load_closed_orders(std::string_view copy);  // oldest first

  // --- commands ---
  // Takes n * wire::Command of one connection, sorted into the queues of the shards. False: not whole records.
  bool enqueue(std::uint64_t connection, std::string_view commands);
  [[nodiscard]] std::size_t waiting(std::uint32_t shard) const;
  // Sequences up to `commands_max` waiting commands of one shard.
  std::unique_ptr<Batch> sequence(std::uint32_t shard, std::int64_t now_us, std::size_t commands_max);
  // Answers all that wait for a shard with `code`, applying nothing.
  std::unique_ptr<Batch> refuse(std::uint32_t shard, wire::Code code, std::int64_t now_us);

  // --- what may be published once all batches of the shard so far are durable ---
  [[nodiscard]] bool has_publications(std::uint32_t shard) const;
  std::vector<Publication> publications(std::uint32_t shard, std::int64_t now_us);
  // Snapshots of all symbols of the shard, changed or not.
  std::vector<Publication> snapshots(std::uint32_t shard, std::int64_t now_us);

  [[nodiscard]] std::size_t open_orders() const { return engine_.open_orders(); }
  [[nodiscard]] std::size_t idempotency_entries() const { return idempotency_.size(); }
  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  static constexpr std::uint32_t kNoSlot = 0xFFFFFFFFU;

  struct Symbol {
    std::string name;
    SymbolRules rules;
    std::uint32_t slot = kNoSlot;
    std::int64_t order_seq = 0;
    std::int64_t update_seq = 0;
    std::int64_t sym_seq = 0;
    std::int64_t published_update = 0;
    std::int64_t snapshot_us = 0;
    std::string trades;  // msgpack arrays not yet published
    std::uint32_t trade_count = 0;
    bool touched = false;
    bool dirty = false;
  };
  struct Slot {
    SlotState state;
    std::int64_t previous = 0;
    std::string payload;
    bool touched = false;
    bool active = false;
  };

  // One command on its way; see apply.cpp.
  struct Run {
    const wire::Command* command = nullptr;
    core::Command core{};
    Symbol* symbol = nullptr;
    std::uint32_t index = 0;  // of the symbol
    ColdOrder fresh;          // the new order, until it rests
    ColdOrder* subject = nullptr;
    wire::Code refused = wire::Code::kOk;
    wire::OrderStatus status{};
    wire::EndReason reason{};
    std::int64_t ended = 0;
    bool accepted = false;
    bool changed = false;
    std::vector<wire::Fill> fills;
    std::string target_client_id;
  };

  [[nodiscard]] std::uint32_t symbol_index(std::string_view name) const;
  void place_symbols();
  void begin_batch();
  void end_batch();
  void one(const wire::Command& command);
  wire::Code admit(const wire::Command& command, Symbol*& symbol);
  void order(Run& run);
  wire::Code check_new(const Run& run);
  bool repeated(Run& run);
  void resolve_target(Run& run);
  void run_core(Run& run);
  void on_event(Run& run, const core::Event& event);
  void on_trade(Run& run, const core::Event& event);
  void on_rested(Run& run, const core::Event& event);
  void on_ended(Run& run, const core::Event& event);
  void end_order(Run& run, ColdOrder& cold, const core::Event& event);
  void touch(Run& run, ColdOrder& cold, core::Handle handle);
  void publish(Run& run, const ColdOrder& cold, Execution execution);
  void answer(Run& run);
  void answer_refused(const wire::Command& command, wire::Code code, std::int64_t epoch);
  wire::Reply reply_of(const Run& run, const ColdOrder& cold, wire::OrderStatus status,
                       wire::EndReason reason) const;
  void query_order(Run& run);
  void query_open(Run& run);
  void query_depth(Run& run);
  Publication snapshot(Symbol& symbol, std::uint32_t index, std::int64_t now_us);
  ColdOrder& cold_at(core::Handle handle);

  core::MatchingEngine engine_;
  core::EventBuffer events_;
  std::vector<Symbol> symbols_;  // by the core's index
  std::unordered_map<std::string, std::uint32_t> by_name_;
  std::vector<Slot> slots_;
  std::vector<std::vector<wire::Command>> queues_;  // by shard
  std::vector<ColdOrder> cold_;                     // by the core's handle
  IdempotencySet idempotency_;
  std::unique_ptr<Batch> batch_;
  std::vector<std::pair<core::Handle, std::uint32_t>> touched_orders_;  // with the generation
  std::vector<std::uint32_t> touched_symbols_;
  struct Outlet {  // of one shard: what is not published yet
    std::vector<std::uint32_t> dirty;  // symbols
    ExecutionFeed executions;
  };
  [[nodiscard]] Outlet& outlet(const Symbol& symbol) {
    return outlets_[slots_[symbol.slot].state.shard];
  }
  std::vector<Outlet> outlets_;  // by shard
  Run run_;
  std::int64_t now_us_ = 0;
  std::uint32_t generation_ = 0;
};

}  // namespace trading::sequencer
