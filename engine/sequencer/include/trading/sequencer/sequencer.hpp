// The only writer of its slots: commands of the wire in, whole batches out. No I/O, no clock, no
// threads.
//
// Its memory runs ahead of the shard by the batches that are not committed yet. When a commit does
// not succeed, this object is of no use any more: the process drops it and recovers from the shard.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trading/core/matching_engine.hpp"
#include "trading/sequencer/batch.hpp"
#include "trading/sequencer/cold_orders.hpp"
#include "trading/sequencer/idempotency.hpp"
#include "trading/sequencer/log_format.hpp"
#include "trading/sequencer/publications.hpp"
#include "trading/sequencer/slot_load.hpp"
#include "trading/sequencer/slot_rows.hpp"
#include "trading/sequencer/symbol_names.hpp"

namespace trading::sequencer {

struct SymbolRules {
  std::string name;
  std::int64_t price_band_percent = 0;            // 0 = off
  std::uint32_t open_orders_per_account_max = 0;  // 0 = no limit
  bool halted = false;                            // no new orders, whatever the symbol's own phase
  bool listed = true;                             // false: only what is open may still be cancelled
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

struct DigestPart {
  Chain sum{};
  std::string past;     // the first symbol that is not in it
  bool known = false;   // false: not enough is remembered to compute it
};

void extend_chain(Chain& chain, std::int64_t sequence, std::string_view payload);

struct Publication {
  std::string channel;
  Bytes message;
  bool is_snapshot = false;  // SET it under `channel` instead of publishing it
};

class Sequencer {
 public:
  Sequencer(std::size_t ended_max, std::int64_t window_us);

  // --- what it serves ---
  void set_symbol(const SymbolRules& rules);
  void set_slot(const SlotState& slot);  // an id that is known is replaced
  // Takes nothing more for the slot; what was applied is still sealed into its batch.
  void drop_slot(std::int32_t id);
  // Frees the books of a dropped slot, of which everything is durable. It may be loaded again.
  void forget_slot(std::int32_t id);
  [[nodiscard]] std::vector<SlotState> slots() const;

  // --- following what another partition commits; see following.cpp ---
  // From now on the slot is fed by replay() alone; commands for it are another's. After adopt().
  void follow_slot(const SlotState& slot);
  // Applies the payload of one log row; returns its number of commands. -1: it does not continue
  // what is here, or gives another result or chain than it gave there; the slot is to be dropped.
  std::int64_t replay(std::int32_t id, std::string_view payload, std::int64_t sequence,
                      const Chain& chain);
  // Serves a followed slot. False, changing nothing: it is not at that sequence and chain.
  bool open_slot(std::int32_t id, std::uint32_t shard, std::int64_t epoch, std::int64_t sequence,
                 const Chain& chain);
  [[nodiscard]] const SlotState* slot(std::int32_t id) const;  // served or followed, or nullptr

  // --- changes of owner and of ranges; see holding.cpp ---
  // Sets commands of the slot aside from now on. Call right after seal().
  void hold_slot(std::int32_t id);
  [[nodiscard]] std::size_t held(std::uint32_t shard) const;
  // Ends the holding: what was set aside goes first.
  void resume_held(std::uint32_t shard);
  // Ends the holding: what was set aside is answered with `code`.
  BatchPtr refuse_held(std::uint32_t shard, wire::Code code, std::int64_t now_us);
  // Answers what was set aside with `code`; the holding goes on.
  BatchPtr answer_held(std::uint32_t shard, wire::Code code, std::int64_t now_us);
  // The slot commits with another pipeline (or the same) at that epoch from now on, and what was
  // set aside or waits for it goes there. Only of slots that are not in an open batch.
  bool place_slot(std::int32_t id, std::uint32_t shard, std::int64_t epoch);
  // Batches carry the rows of the slot once more, as Batch::mirrors, from the first one on that
  // has no row of it yet. False: no more of them.
  void mirror_slot(std::int32_t id, bool mirrored);
  // Only of held slots. False, changing nothing: not possible.
  bool split_slot(std::int32_t id, std::string_view at, std::int32_t right, std::int64_t epoch);
  bool merge_slots(const SlotState& left, std::int32_t right);

  // Digest of the symbols of a slot from `from` on, before `past` ("" = to the slot's end), but no
  // further symbol once that many orders are in it. Orders that ended are in it from `since_us` on.
  [[nodiscard]] DigestPart digest(std::int32_t id, std::string_view from, std::string_view past,
                                  std::size_t orders_max, std::int64_t since_us) const;
  [[nodiscard]] std::int64_t digest_since_us(std::int64_t now_us) const;

  // --- recovery ---
  // Takes at most that many orders out of finished rows; returns how many are left, -1: they make
  // no book. Counters come with the first call. To be repeated until nothing is left, before
  // set_slot.
  std::int64_t adopt(SlotRows& rows, std::size_t most);

  // --- commands ---
  // Takes n * wire::Command of one connection, sorted into the queues of the shards. False: not
  // whole records.
  bool enqueue(std::uint64_t connection, std::string_view commands);
  [[nodiscard]] std::size_t waiting(std::uint32_t shard) const;
  // Sequences waiting commands into the shard's open batch until that has `commands_max` commands
  // (or is large for another reason); returns how many it has. May go on while the batch before
  // commits.
  std::size_t advance(std::uint32_t shard, std::int64_t now_us, std::size_t commands_max);
  // Closes the open batch and gives it away; it may be empty.
  BatchPtr seal(std::uint32_t shard);
  // advance() and seal().
  BatchPtr sequence(std::uint32_t shard, std::int64_t now_us, std::size_t commands_max);
  // Answers all that wait for a shard with `code`, applying nothing.
  BatchPtr refuse(std::uint32_t shard, wire::Code code, std::int64_t now_us);

  // --- what may be published once all batches sealed so far are durable; call right after seal()
  // ---
  [[nodiscard]] bool has_publications(std::uint32_t shard) const;
  std::vector<Publication> publications(std::uint32_t shard, std::int64_t now_us);
  // Snapshots of all symbols of the shard, changed or not.
  std::vector<Publication> snapshots(std::uint32_t shard, std::int64_t now_us);

  // --- load; see slot_load.cpp ---
  // Time that the host measured for work of a shard, shared out by share_out(), after seal().
  void add_busy(std::uint32_t shard, std::uint64_t nanoseconds);
  void share_out(std::uint32_t shard);
  // Now and then: who was hot long ago is told no longer.
  void begin_round();
  [[nodiscard]] std::vector<SlotLoad> slot_loads() const;  // of the slots that are served
  [[nodiscard]] std::uint64_t refusals() const { return refusals_; }

  [[nodiscard]] std::size_t open_orders() const { return engine_.open_orders(); }
  [[nodiscard]] std::size_t idempotency_entries() const { return idempotency_.size(); }
  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  static constexpr std::uint32_t kNoSlot = 0xFFFFFFFFU;

  struct Symbol {
    std::string name;
    SymbolRules rules;
    std::uint32_t slot = kNoSlot;
    std::uint32_t tag = 0;  // for client ids: never given twice
    std::int64_t order_seq = 0;
    std::int64_t update_seq = 0;
    std::int64_t sym_seq = 0;
    std::int64_t published_update = 0;
    std::int64_t snapshot_us = 0;
    std::int64_t snapshot_of = -1;  // update it shows
    Bytes trades;                   // msgpack arrays not yet published
    std::uint32_t trade_count = 0;
    bool touched = false;
    bool dirty = false;
    bool followed = false;
    std::uint32_t round = 0;  // of round_ns
    std::uint64_t work = 0;   // not shared out yet
    std::uint64_t busy_ns = 0;
    std::uint64_t round_ns = 0;
    std::int64_t open_orders = 0;
  };
  struct Slot {
    SlotState state;
    std::int64_t previous = 0;  // the sequence before the open batch
    std::int64_t logged_us = 0;
    Bytes payload;
    bool touched = false;
    bool active = false;
    bool followed = false;
    bool held = false;
    bool mirrored = false;
    bool mirror_next = false;  // from the next batch on
    SlotCounters counters;
    std::vector<std::uint32_t> hottest;  // symbols of this round
    std::vector<std::uint32_t> hottest_before;
    std::uint64_t least_ns = 0;  // no noted symbol has less
    [[nodiscard]] std::uint32_t mirror() const {
      return mirrored ? static_cast<std::uint32_t>(state.id) + 1 : 0;
    }
    [[nodiscard]] bool has(std::string_view symbol) const {
      return symbol >= state.first && symbol < state.past;
    }
  };
  struct Shard {
    std::vector<wire::Command> queue;
    std::size_t queue_next = 0;  // those before are sequenced
    std::vector<wire::Command> held;  // set aside
    BatchPtr open;
    std::vector<std::pair<core::Handle, std::uint32_t>> touched_orders;    // with the generation
    std::vector<std::pair<std::uint32_t, std::uint32_t>> touched_symbols;  // with the slot
    std::vector<std::uint32_t> touched_slots;
    std::vector<std::uint32_t> dirty_symbols;  // with something to publish
    std::vector<std::uint32_t> stale_symbols;  // changed since their last snapshot; may repeat
    ExecutionFeed executions;
    std::vector<std::uint32_t> worked;  // symbols with work that is not shared out
    std::uint64_t busy_ns = 0;          // to be shared out
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
  };

  std::uint32_t symbol_for(std::string_view name);  // makes an unlisted one when it is not known
  void place(Symbol& symbol) const;
  void place_all();
  void forget_symbol(std::uint32_t index);
  void begin(std::uint32_t shard, std::int64_t now_us);
  void set_limits(std::uint32_t index);
  Slot* find_slot(std::int32_t id);
  [[nodiscard]] std::uint32_t mirror_of(std::uint32_t slot) const {
    return slot == kNoSlot ? 0 : slots_[slot].mirror();
  }
  void mark_followed(const Slot& slot, bool followed);
  bool replay_one(std::uint32_t slot, const LogRecord& record);
  void forget_replayed();
  void start(Run& run, const wire::Command& command, std::uint32_t index);
  void one(const wire::Command& command);
  wire::Code admit(const wire::Command& command, Symbol*& symbol);
  void order(Run& run);
  wire::Code check_new(const Run& run);
  bool repeated(Run& run);
  void resolve_target(Run& run);
  void run_core(Run& run);
  void on_event(Run& run, const core::Event& event);
  void on_trade(Run& run, const core::Event& event);
  void add_published_trade(Symbol& symbol, const core::Event& event, const ColdOrder& maker,
                           const ColdOrder& taker);
  void on_rested(Run& run, const core::Event& event);
  void on_ended(Run& run, const core::Event& event);
  void end_order(Run& run, ColdOrder& cold, const core::Event& event);
  void touch(Run& run, ColdOrder& cold, core::Handle handle);
  void publish(Run& run, const ColdOrder& cold, Execution execution);
  void answer(Run& run);
  void answer_refused(const wire::Command& command, wire::Code code, std::int64_t epoch);
  [[nodiscard]] wire::Reply reply_of_open(const Run& run, const ColdOrder& cold) const;
  wire::Reply reply_of(const Run& run, const ColdOrder& cold, wire::OrderStatus status,
                       wire::EndReason reason) const;
  void query_order(Run& run);
  void query_open(Run& run);
  void query_depth(Run& run);
  Publication changes_of(Symbol& symbol, std::uint32_t index, std::int64_t now_us, bool* whole);
  Publication snapshot(Symbol& symbol, std::uint32_t index, std::int64_t now_us);
  bool adopt_symbols(SlotRows& rows);
  bool restore_order(std::uint32_t index, ColdOrder& cold);
  void count(const Run& run);
  void count_open(Symbol& symbol, std::int64_t more);
  void note_hottest(Slot& slot, std::uint32_t index) const;

  core::MatchingEngine engine_;
  core::EventBuffer events_;
  std::vector<Symbol> symbols_;  // by the core's index
  SymbolNames names_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> slots_by_first_;  // the active ones
  std::vector<Shard> shards_;
  ColdOrders cold_;
  IdempotencySet idempotency_;
  std::shared_ptr<BatchPool> pool_;
  Shard* shard_ = nullptr;  // whose batch is being filled
  Batch* batch_ = nullptr;
  Run run_;
  Shard replay_;  // where rows and publications of replayed commands end
  std::vector<core::DepthChange> depth_changes_;
  std::vector<core::Handle> listed_;  // scratch
  std::int64_t now_us_ = 0;
  std::uint32_t generation_ = 0;
  std::uint32_t tags_ = 0;
  std::uint32_t round_ = 1;
  std::uint64_t refusals_ = 0;
};

}  // namespace trading::sequencer
