// Market data of the symbols that changed, and snapshots of their books.
#include <vector>

#include "trading/sequencer/msgpack.hpp"
#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {
namespace {

constexpr std::size_t kSnapshotLevels = 1000;
constexpr std::int64_t kSnapshotGapUs = 100'000;

void level(std::string& out, std::int64_t price, std::int64_t quantity) {
  msgpack::array(out, 2);
  msgpack::integer(out, price);
  msgpack::integer(out, quantity);
}

void best(std::string& out, std::string_view name, const std::optional<wire::Level>& value) {
  msgpack::text(out, name);
  if (!value) return msgpack::nil(out);
  level(out, value->price, value->quantity);
}

void number(std::string& out, std::string_view name, std::int64_t value) {
  msgpack::text(out, name);
  msgpack::integer(out, value);
}

}  // namespace

Publication Sequencer::snapshot(Symbol& symbol, std::uint32_t index, std::int64_t now_us) {
  symbol.snapshot_us = now_us;
  Publication out{"{" + symbol.name + "}:depth", {}, true};
  std::string& m = out.message;
  msgpack::map(m, 9);
  msgpack::text(m, "s");
  msgpack::text(m, symbol.name);
  number(m, "e", slots_[symbol.slot].state.epoch);
  number(m, "T", now_us);
  number(m, "u", symbol.update_seq);
  number(m, "lp", engine_.counters(index).last_price);
  for (const wire::Side side : {wire::Side::kBuy, wire::Side::kSell}) {
    std::vector<wire::Level> levels;
    engine_.depth(index, side, kSnapshotLevels, levels);
    msgpack::text(m, side == wire::Side::kBuy ? "b" : "a");
    msgpack::array(m, levels.size());
    for (const wire::Level& each : levels) level(m, each.price, each.quantity);
  }
  best(m, "bb", engine_.best(index, wire::Side::kBuy));
  best(m, "ba", engine_.best(index, wire::Side::kSell));
  return out;
}

bool Sequencer::has_publications(std::uint32_t shard) const {
  return shard < outlets_.size() &&
         (!outlets_[shard].dirty.empty() || !outlets_[shard].executions.empty());
}

std::vector<Publication> Sequencer::publications(std::uint32_t shard, std::int64_t now_us) {
  std::vector<Publication> out;
  if (shard >= outlets_.size()) return out;
  Outlet& outlet = outlets_[shard];
  for (const std::uint32_t index : outlet.dirty) {
    Symbol& symbol = symbols_[index];
    symbol.dirty = false;
    if (symbol.slot == kNoSlot) continue;
    std::vector<core::DepthChange> changes;
    const bool whole = !engine_.take_depth_changes(index, changes);
    std::string m;
    msgpack::map(m, 11);
    msgpack::text(m, "s");
    msgpack::text(m, symbol.name);
    number(m, "e", slots_[symbol.slot].state.epoch);
    number(m, "T", now_us);
    // A first update id beyond the last one sent says "take the snapshot": too much has changed.
    number(m, "U", whole ? symbol.update_seq + 1 : symbol.published_update + 1);
    number(m, "u", symbol.update_seq);
    for (const wire::Side side : {wire::Side::kBuy, wire::Side::kSell}) {
      std::size_t count = 0;
      for (const core::DepthChange& change : changes) count += change.side == side ? 1 : 0;
      msgpack::text(m, side == wire::Side::kBuy ? "b" : "a");
      msgpack::array(m, count);
      for (const core::DepthChange& change : changes) {
        if (change.side == side) level(m, change.price, change.quantity);
      }
    }
    msgpack::text(m, "t");
    msgpack::array(m, symbol.trade_count);
    m.append(symbol.trades);
    best(m, "bb", engine_.best(index, wire::Side::kBuy));
    best(m, "ba", engine_.best(index, wire::Side::kSell));
    number(m, "lp", engine_.counters(index).last_price);
    symbol.trades.clear();
    symbol.trade_count = 0;
    symbol.published_update = symbol.update_seq;
    if (whole || now_us - symbol.snapshot_us >= kSnapshotGapUs) {
      out.push_back(snapshot(symbol, index, now_us));  // stored before the change is announced
    }
    out.push_back({"{" + symbol.name + "}:market", std::move(m), false});
  }
  outlet.dirty.clear();
  for (std::size_t channel = 0; !outlet.executions.empty() && channel < kExecutionChannels; ++channel) {
    auto [count, maps] = outlet.executions.take(channel);
    if (count == 0) continue;
    std::string items;
    msgpack::array(items, count);
    items.append(maps);
    out.push_back({"{user-" + std::to_string(channel) + "}:executions", std::move(items), false});
  }
  return out;
}

std::vector<Publication> Sequencer::snapshots(std::uint32_t shard, std::int64_t now_us) {
  std::vector<Publication> out;
  for (std::uint32_t index = 0; index < symbols_.size(); ++index) {
    const std::uint32_t slot = symbols_[index].slot;
    if (slot != kNoSlot && slots_[slot].state.shard == shard) {
      out.push_back(snapshot(symbols_[index], index, now_us));
    }
  }
  return out;
}

}  // namespace trading::sequencer
