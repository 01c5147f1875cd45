// Who causes the work. The host measures how long a batch took; here that is shared out to symbols
// and slots by what their commands did, so that no command pays for a clock.
#include "trading/sequencer/slot_load.hpp"

#include <algorithm>

#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {

// An order that trades or ends writes about as much again for each of these.
void Sequencer::count(const Run& run) {
  Symbol& symbol = *run.symbol;
  SlotCounters& slot = slots_[symbol.slot].counters;
  const std::size_t trades = run.fills.size();
  ++slot.commands;
  slot.orders += run.accepted ? 1 : 0;
  slot.trades += trades;
  if (symbol.work == 0) shard_->worked.push_back(run.index);
  symbol.work += 1 + trades + static_cast<std::uint64_t>(run.ended);
}

void Sequencer::count_open(Symbol& symbol, std::int64_t more) {
  symbol.open_orders += more;
  if (symbol.slot != kNoSlot) slots_[symbol.slot].counters.open_orders += more;
}

void Sequencer::add_busy(std::uint32_t shard, std::uint64_t nanoseconds) {
  if (shard < shards_.size()) shards_[shard].busy_ns += nanoseconds;
}

void Sequencer::share_out(std::uint32_t number) {
  if (number >= shards_.size()) return;
  Shard& shard = shards_[number];
  std::uint64_t work = 0;
  for (const std::uint32_t index : shard.worked) work += symbols_[index].work;
  if (work == 0) return;  // whoever comes next pays for it
  const double each = static_cast<double>(shard.busy_ns) / static_cast<double>(work);
  for (const std::uint32_t index : shard.worked) {
    Symbol& symbol = symbols_[index];
    const auto mine = static_cast<std::uint64_t>(each * static_cast<double>(symbol.work));
    symbol.work = 0;
    symbol.busy_ns += mine;
    if (symbol.round != round_) symbol.round_ns = 0;
    symbol.round = round_;
    symbol.round_ns += mine;
    if (symbol.slot == kNoSlot) continue;
    Slot& slot = slots_[symbol.slot];
    slot.counters.busy_ns += mine;
    note_hottest(slot, index);
  }
  shard.worked.clear();
  shard.busy_ns = 0;
}

// Exact, as within a round a symbol only gets busier: whoever is not noted is no busier than the
// least of the noted, whose time can only rise beyond `least_ns`.
void Sequencer::note_hottest(Slot& slot, std::uint32_t index) const {
  std::vector<std::uint32_t>& noted = slot.hottest;
  const std::uint64_t mine = symbols_[index].round_ns;
  if (noted.size() == kHottestMax && mine <= slot.least_ns) return;
  if (std::find(noted.begin(), noted.end(), index) != noted.end()) return;
  if (noted.size() < kHottestMax) return noted.push_back(index);
  const auto least = std::min_element(noted.begin(), noted.end(), [this](auto a, auto b) {
    return symbols_[a].round_ns < symbols_[b].round_ns;
  });
  slot.least_ns = symbols_[*least].round_ns;
  if (slot.least_ns < mine) *least = index;
}

void Sequencer::begin_round() {
  ++round_;
  for (Slot& slot : slots_) {
    slot.hottest_before.swap(slot.hottest);
    slot.hottest.clear();
    slot.least_ns = 0;
  }
}

std::vector<SlotLoad> Sequencer::slot_loads() const {
  std::vector<SlotLoad> out;
  for (std::uint32_t at = 0; at < slots_.size(); ++at) {
    const Slot& slot = slots_[at];
    if (!slot.active) continue;
    SlotLoad& load = out.emplace_back();
    load.id = slot.state.id;
    load.counters = slot.counters;
    std::vector<std::uint32_t> noted = slot.hottest;
    noted.insert(noted.end(), slot.hottest_before.begin(), slot.hottest_before.end());
    std::sort(noted.begin(), noted.end());
    noted.erase(std::unique(noted.begin(), noted.end()), noted.end());
    for (const std::uint32_t index : noted) {
      const Symbol& symbol = symbols_[index];
      if (symbol.slot == at) load.hottest.push_back({symbol.name, symbol.busy_ns});
    }
  }
  return out;
}

}  // namespace trading::sequencer
