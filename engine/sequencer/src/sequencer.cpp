// What is served, queues, and the frame of a batch. The commands themselves: apply.cpp.
#include "trading/sequencer/sequencer.hpp"

#include <algorithm>

#include "trading/sequencer/sha256.hpp"

namespace trading::sequencer {
namespace {

// A batch is closed early when its answers and rows are that large: a few mass cancels may be.
constexpr std::size_t kWeightMax = 32U << 20;

}  // namespace

// chain' = SHA-256(chain, sequence as 8 bytes big-endian, payload)
void extend_chain(Chain& chain, std::int64_t sequence, std::string_view payload) {
  static thread_local Sha256 hash;
  char head[sizeof(Chain) + sizeof sequence];
  put_big_endian(put(head, chain), sequence);
  hash.begin();
  hash.add({head, sizeof head});
  hash.add(payload);
  chain = hash.end();
}

Sequencer::Sequencer(std::size_t ended_max, std::int64_t window_us)
    : shards_(1), idempotency_(ended_max, window_us), pool_(std::make_shared<BatchPool>()) {}

void Sequencer::set_symbol(const SymbolRules& rules) {
  const std::uint32_t index = symbol_for(rules.name);
  if (index == kNoSlot) return;
  symbols_[index].rules = rules;
  set_limits(index);
}

// Whoever replays has no limits of its own: what is in the log was accepted.
void Sequencer::set_limits(std::uint32_t index) {
  const Symbol& symbol = symbols_[index];
  core::SymbolLimits limits;
  if (symbol.rules.open_orders_per_account_max > 0 && !symbol.followed) {
    limits.open_orders_per_account_max = symbol.rules.open_orders_per_account_max;
  }
  engine_.set_limits(index, limits);
}

std::uint32_t Sequencer::symbol_for(std::string_view name) {
  if (name.empty() || name.size() > wire::kSymbolBytes) return kNoSlot;
  const std::uint32_t known = names_.find(name);
  if (known != SymbolNames::kNone) return known;
  const std::uint32_t index = engine_.add_symbol();
  if (symbols_.size() <= index) symbols_.resize(index + 1);
  Symbol& symbol = symbols_[index];
  symbol.name = name;
  symbol.tag = ++tags_;
  symbol.rules.name = name;
  symbol.rules.listed = false;
  for (const Slot& slot : slots_) {
    symbol.followed = symbol.followed || (slot.followed && slot.has(name));
  }
  names_.insert(name, index);
  place(symbol);
  return index;
}

void Sequencer::place(Symbol& symbol) const {
  symbol.slot = kNoSlot;
  const auto past = std::upper_bound(slots_by_first_.begin(), slots_by_first_.end(), symbol.name,
                                     [this](const std::string& name, std::uint32_t slot) {
                                       return name < slots_[slot].state.first;
                                     });
  if (past == slots_by_first_.begin()) return;
  const std::uint32_t slot = *std::prev(past);
  if (symbol.name < slots_[slot].state.past) symbol.slot = slot;
}

void Sequencer::place_all() {
  slots_by_first_.clear();
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].active) slots_by_first_.push_back(i);
  }
  std::sort(slots_by_first_.begin(), slots_by_first_.end(),
            [this](std::uint32_t a, std::uint32_t b) {
              return slots_[a].state.first < slots_[b].state.first;
            });
  for (Slot& slot : slots_) slot.counters.open_orders = 0;
  for (Symbol& symbol : symbols_) {
    place(symbol);
    if (symbol.slot != kNoSlot) slots_[symbol.slot].counters.open_orders += symbol.open_orders;
  }
}

void Sequencer::set_slot(const SlotState& state) {
  auto at = std::find_if(slots_.begin(), slots_.end(),
                         [&](const Slot& slot) { return slot.state.id == state.id; });
  if (at == slots_.end()) at = slots_.insert(slots_.end(), Slot{});
  at->state = state;
  at->active = true;
  at->followed = at->held = at->mirrored = at->mirror_next = false;
  if (shards_.size() <= state.shard) shards_.resize(state.shard + 1);
  place_all();
}

std::vector<SlotState> Sequencer::slots() const {
  std::vector<SlotState> out;
  for (const Slot& slot : slots_) {
    if (slot.active) out.push_back(slot.state);
  }
  return out;
}

bool Sequencer::enqueue(std::uint64_t connection, std::string_view commands) {
  if (commands.size() % sizeof(wire::Command) != 0) return false;
  for (std::size_t at = 0; at < commands.size(); at += sizeof(wire::Command)) {
    const char* raw = commands.data() + at;
    const std::uint32_t index = names_.find(raw + offsetof(wire::Command, symbol));
    std::uint32_t shard = 0;  // what nobody owns is refused in any queue
    if (index != SymbolNames::kNone && symbols_[index].slot != kNoSlot) {
      shard = slots_[symbols_[index].slot].state.shard;
    }
    wire::Command& command = shards_[shard].queue.emplace_back();
    std::memcpy(&command, raw, sizeof command);
    command.connection = connection;
  }
  return true;
}

std::size_t Sequencer::waiting(std::uint32_t shard) const {
  if (shard >= shards_.size()) return 0;
  return shards_[shard].queue.size() - shards_[shard].queue_next;
}

void Sequencer::begin(std::uint32_t shard, std::int64_t now_us) {
  now_us_ = std::max(now_us_, now_us);  // the host's clock may be set back
  if (shards_.size() <= shard) shards_.resize(shard + 1);
  shard_ = &shards_[shard];
  if (!shard_->open) shard_->open = BatchPtr(pool_->take().release(), BatchReturn{pool_});
  batch_ = shard_->open.get();
}

std::size_t Sequencer::advance(std::uint32_t shard, std::int64_t now_us, std::size_t commands_max) {
  begin(shard, now_us);
  std::vector<wire::Command>& queue = shard_->queue;
  while (shard_->queue_next < queue.size() && batch_->commands < commands_max &&
         batch_->weight() < kWeightMax) {
    if (shard_->queue_next + 2 < queue.size()) __builtin_prefetch(&queue[shard_->queue_next + 2]);
    one(queue[shard_->queue_next++]);
    ++batch_->commands;
  }
  if (shard_->queue_next == queue.size()) {
    queue.clear();
    shard_->queue_next = 0;
  } else if (shard_->queue_next > queue.size() / 2) {
    queue.erase(queue.begin(), queue.begin() + static_cast<std::ptrdiff_t>(shard_->queue_next));
    shard_->queue_next = 0;
  }
  return batch_->commands;
}

BatchPtr Sequencer::seal(std::uint32_t shard) {
  begin(shard, now_us_);
  Shard& s = *shard_;
  for (const auto& [handle, generation] : s.touched_orders) {
    ColdOrder& cold = cold_[handle];
    if (cold.generation != generation || !cold.open) continue;  // ended meanwhile
    const std::string& name = symbols_[cold.symbol].name;
    const std::uint32_t mirror = mirror_of(symbols_[cold.symbol].slot);
    if (cold.touch == Touch::kInserted) {
      batch_->add_open(name, cold, mirror);
    } else if (cold.touch == Touch::kUpdated) {
      batch_->add_update(name, cold, mirror);
    }
    cold.touch = Touch::kNone;
  }
  for (const auto& [index, slot] : s.touched_symbols) {  // the slot may have been dropped meanwhile
    Symbol& symbol = symbols_[index];
    const core::SymbolCounters counters = engine_.counters(index);
    batch_->add_symbol({symbol.name, symbol.order_seq, counters.trade_id, counters.prevented_id,
                        counters.priority, symbol.update_seq, symbol.sym_seq, counters.last_price,
                        engine_.halted(index), slots_[slot].state.sequence},
                       slots_[slot].mirror());
    symbol.touched = false;
  }
  for (const std::uint32_t index : s.touched_slots) {
    Slot& slot = slots_[index];
    const std::string_view payload = slot.payload.view();
    extend_chain(slot.state.chain, slot.state.sequence, payload);
    batch_->add_slot(
        {slot.state.id, slot.state.epoch, slot.previous, slot.state.sequence, slot.state.chain},
        payload, slot.mirror());
    slot.mirrored = slot.mirror_next;
    slot.payload.clear();
    slot.logged_us = 0;
    slot.touched = false;
  }
  s.touched_orders.clear();
  s.touched_symbols.clear();
  s.touched_slots.clear();
  batch_->seal();
  idempotency_.evict(now_us_);
  batch_ = nullptr;
  return std::move(s.open);
}

BatchPtr Sequencer::sequence(std::uint32_t shard, std::int64_t now_us, std::size_t commands_max) {
  advance(shard, now_us, commands_max);
  return seal(shard);
}

BatchPtr Sequencer::refuse(std::uint32_t shard, wire::Code code, std::int64_t now_us) {
  begin(shard, now_us);
  BatchPtr refusals(pool_->take().release(), BatchReturn{pool_});
  batch_ = refusals.get();
  std::vector<wire::Command>& queue = shard_->queue;
  for (const wire::Command& each : shard_->held) answer_refused(each, code, 0);
  for (std::size_t i = shard_->queue_next; i < queue.size(); ++i) answer_refused(queue[i], code, 0);
  refusals->commands = shard_->held.size() + queue.size() - shard_->queue_next;
  shard_->held.clear();
  queue.clear();
  shard_->queue_next = 0;
  refusals->seal();
  batch_ = nullptr;
  return refusals;
}

std::size_t Sequencer::memory_bytes() const {
  return engine_.memory_bytes() + cold_.memory_bytes() + idempotency_.memory_bytes();
}

}  // namespace trading::sequencer
