// From the shard's rows back to books, counters and idempotency set.
#include <algorithm>

#include "trading/sequencer/sequencer.hpp"

namespace trading::sequencer {
namespace {

// PostgreSQL's COPY binary format: signature, flags, extension, then rows of counted fields.
class CopyReader {
 public:
  explicit CopyReader(std::string_view bytes) : left_(bytes) {
    constexpr std::string_view kSignature("PGCOPY\n\xff\r\n\0", 11);
    ok_ = left_.size() >= 19 && left_.substr(0, 11) == kSignature;
    if (ok_) left_.remove_prefix(19);
  }

  // The next row has `fields` fields; false at the end or on malformed input (see ok()).
  bool next_row(std::int16_t fields) {
    const std::int16_t count = integer<std::int16_t>();
    if (!ok_ || count == -1) return false;
    ok_ = count == fields;
    return ok_;
  }

  std::string_view bytes() {
    const auto size = integer<std::int32_t>();
    if (!ok_ || size < 0 || static_cast<std::size_t>(size) > left_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view out = left_.substr(0, static_cast<std::size_t>(size));
    left_.remove_prefix(out.size());
    return out;
  }

  template <typename Integer>
  Integer field() {
    const std::string_view raw = bytes();
    if (raw.size() != sizeof(Integer)) {
      ok_ = false;
      return 0;
    }
    return decode<Integer>(raw);
  }

  // Where the row that next_row() has just begun stands, for go_to().
  [[nodiscard]] std::string_view here() const { return left_; }
  void go_to(std::string_view row) { left_ = row; }

  [[nodiscard]] bool ok() const { return ok_; }

 private:
  template <typename Integer>
  static Integer decode(std::string_view raw) {
    std::uint64_t bits = 0;
    for (const char c : raw) bits = bits << 8U | static_cast<unsigned char>(c);
    return static_cast<Integer>(bits);
  }

  template <typename Integer>
  Integer integer() {
    if (left_.size() < sizeof(Integer)) {
      ok_ = false;
      return -1;
    }
    const auto value = decode<Integer>(left_.substr(0, sizeof(Integer)));
    left_.remove_prefix(sizeof(Integer));
    return value;
  }

  std::string_view left_;
  bool ok_;
};

constexpr std::int16_t kOrderFields = 15;

// The columns of open_orders, in the order of the schema.
void read_order(CopyReader& rows, ColdOrder& order) {
  order.order_id = rows.field<std::int64_t>();
  order.account = rows.field<std::int64_t>();
  const std::string_view client = rows.bytes();
  std::memcpy(order.client_id, client.data(), std::min(client.size(), sizeof order.client_id));
  const auto attributes = static_cast<std::uint32_t>(rows.field<std::int32_t>());
  order.side = static_cast<wire::Side>(attributes & 15U);
  order.type = static_cast<wire::OrderType>(attributes >> 4U & 15U);
  order.time_in_force = static_cast<wire::TimeInForce>(attributes >> 8U & 15U);
  order.self_trade = static_cast<wire::SelfTrade>(attributes >> 12U & 15U);
  order.price = rows.field<std::int64_t>();
  order.quantity = rows.field<std::int64_t>();
  order.executed = rows.field<std::int64_t>();
  order.executed_quote = rows.field<std::int64_t>();
  order.prevented = rows.field<std::int64_t>();
  order.priority = rows.field<std::int64_t>();
  order.entry_trade_id = rows.field<std::int64_t>();
  order.body_hash = rows.field<std::int64_t>();
  order.created_us = rows.field<std::int64_t>();
  order.seq = rows.field<std::int64_t>();
}

}  // namespace

std::int64_t Sequencer::load_symbol_state(std::string_view copy) {
  CopyReader rows(copy);
  std::int64_t count = 0;
  for (; rows.next_row(10); ++count) {
    const std::uint32_t index = symbol_for(rows.bytes());
    core::SymbolCounters counters;
    const auto order_seq = rows.field<std::int64_t>();
    counters.trade_id = rows.field<std::int64_t>();
    counters.prevented_id = rows.field<std::int64_t>();
    counters.priority = rows.field<std::int64_t>();
    const auto update_seq = rows.field<std::int64_t>();
    const auto sym_seq = rows.field<std::int64_t>();
    counters.last_price = rows.field<std::int64_t>();
    const bool halted = rows.field<std::int8_t>() != 0;
    (void)rows.field<std::int64_t>();
    if (!rows.ok()) return -1;
    if (index == kNoSlot) return -1;
    engine_.set_counters(index, counters);
    engine_.set_halted(index, halted);
    Symbol& symbol = symbols_[index];
    symbol.order_seq = order_seq;
    symbol.update_seq = update_seq;
    symbol.published_update = update_seq;
    symbol.sym_seq = sym_seq;
  }
  return rows.ok() ? count : -1;
}

// Rows come in the order of the table's pages. Restoring is fast in the order of priority, so the
// rows are visited twice: once for their places, once to restore them.
std::int64_t Sequencer::load_open_orders(std::string_view copy) {
  struct Place {
    std::uint32_t symbol;
    std::int64_t priority;
    std::string_view row;
  };
  std::vector<Place> places;
  CopyReader rows(copy);
  ColdOrder cold;
  while (rows.next_row(kOrderFields)) {
    const std::string_view row = rows.here();
    const std::uint32_t index = symbol_for(rows.bytes());
    read_order(rows, cold);
    if (!rows.ok() || index == kNoSlot) return -1;
    places.push_back({index, cold.priority, row});
  }
  if (!rows.ok()) return -1;
  const auto older = [](const Place& a, const Place& b) {
    return a.symbol != b.symbol ? a.symbol < b.symbol : a.priority < b.priority;
  };
  if (!std::is_sorted(places.begin(), places.end(), older)) {
    std::sort(places.begin(), places.end(), older);
  }
  idempotency_.reserve(places.size());
  for (const Place& place : places) {
    rows.go_to(place.row);
    (void)rows.bytes();
    cold = ColdOrder{};
    read_order(rows, cold);
    if (!restore_order(place.symbol, cold)) return -1;
  }
  for (std::uint32_t index = 0; index < symbols_.size(); ++index) {  // restored is not changed
    engine_.take_depth_changes(index, depth_changes_);
    depth_changes_.clear();
  }
  return static_cast<std::int64_t>(places.size());
}

bool Sequencer::restore_order(std::uint32_t index, ColdOrder& cold) {
  cold.symbol = index;
  cold.open = true;
  cold.generation = ++generation_;
  cold.key = idempotency_.key_of(index, cold.account, cold.client());
  core::OrderState state{};
  state.order_id = cold.order_id;
  state.account = cold.account;
  state.price = cold.price;
  state.quantity = cold.quantity;
  state.remaining = cold.quantity - cold.executed - cold.prevented;
  state.priority = cold.priority;
  state.symbol = index;
  state.side = cold.side;
  state.type = cold.type;
  state.self_trade = cold.self_trade;
  state.traded = cold.executed > 0;
  core::Handle handle = core::kNoHandle;
  if (engine_.restore(state, &handle) != wire::Code::kOk) return false;
  cold_at(handle) = cold;
  return idempotency_.insert({cold.key, cold.order_id, cold.body_hash});
}

std::int64_t Sequencer::load_closed_orders(std::string_view copy) {
  struct Ended {
    IdempotencySet::Entry entry;
    std::int64_t time_us;
  };
  std::vector<Ended> ended;
  CopyReader rows(copy);
  while (rows.next_row(6)) {
    const std::uint32_t index = symbol_for(rows.bytes());
    const auto order_id = rows.field<std::int64_t>();
    const auto account = rows.field<std::int64_t>();
    const std::string_view client = rows.bytes();
    const auto body_hash = rows.field<std::int64_t>();
    const auto time_us = rows.field<std::int64_t>();
    if (!rows.ok() || index == kNoSlot) return -1;
    ended.push_back({{idempotency_.key_of(index, account, client), order_id, body_hash}, time_us});
  }
  if (!rows.ok()) return -1;
  std::stable_sort(ended.begin(), ended.end(),
                   [](const Ended& a, const Ended& b) { return a.time_us < b.time_us; });
  idempotency_.reserve(ended.size());
  for (const Ended& each : ended) {
    if (idempotency_.insert(each.entry)) idempotency_.ended(each.entry.key, each.time_us);
  }
  return static_cast<std::int64_t>(ended.size());
}

}  // namespace trading::sequencer
