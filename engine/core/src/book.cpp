// The resting orders of a book: in and out, recovery, reading.
#include "book.hpp"

#include <algorithm>

namespace trading::core {

void Shared::list_orders(std::uint32_t symbol, std::int64_t account,
                         std::vector<Handle>& handles) const {
  const std::uint32_t entry = accounts.find(symbol, account);
  if (entry == kNoEntry) return;
  const auto start = static_cast<std::ptrdiff_t>(handles.size());
  for (Handle h = accounts[entry].first; h != kNoHandle; h = pool[h].account_next)
    handles.push_back(h);
  std::sort(handles.begin() + start, handles.end(),
            [this](Handle a, Handle b) { return pool[a].priority < pool[b].priority; });
}

Level& Book::level_of(const Order& order) {
  Level* level = ladder_at(order.side).find(key_of(order.side, order.price));
  TRADING_CHECK(level != nullptr);
  return *level;
}

// Enters the order, all of whose values are set, into its level. One that is not known to be the
// youngest goes where its priority belongs.
void Book::link(Handle handle, bool youngest) {
  OrderPool& pool = shared_.pool;
  Order& order = pool[handle];
  PriceLadder& own = ladder_at(order.side);
  const Key key = key_of(order.side, order.price);
  Level& level = own.acquire(key);
  Handle before = level.quantity == 0 ? kNoHandle : level.last;
  Handle after = kNoHandle;
  if (!youngest) {
    for (; before != kNoHandle && pool[before].priority > order.priority;
         before = pool[before].previous)
      after = before;
  }
  order.previous = before;
  order.next = after;
  (before == kNoHandle ? level.first : pool[before].next) = handle;
  (after == kNoHandle ? level.last : pool[after].previous) = handle;
  level.quantity += order.remaining;
  lots(order.side) += order.remaining;
  own.mark(key);
}

// Takes the order and what remains of it out of its level.
void Book::unlink_from(Level& level, Handle handle) {
  OrderPool& pool = shared_.pool;
  const Order& order = pool[handle];
  const Key key = key_of(order.side, order.price);
  (order.previous == kNoHandle ? level.first : pool[order.previous].next) = order.next;
  (order.next == kNoHandle ? level.last : pool[order.next].previous) = order.previous;
  level.quantity -= order.remaining;
  lots(order.side) -= order.remaining;
  ladder_at(order.side).mark(key);
  if (level.quantity == 0) ladder_at(order.side).erase(key);
}

// Lowers an order at its place. At 0 the caller unlinks it.
void Book::remove_lots(Level& level, Order& order, std::int64_t lots_taken) {
  order.remaining -= lots_taken;
  level.quantity -= lots_taken;
  lots(order.side) -= lots_taken;
  ladder_at(order.side).mark(key_of(order.side, order.price));
}

void Book::release(Handle handle) {
  ids_.erase(shared_.pool[handle].order_id, handle);
  shared_.accounts.remove(shared_.pool, handle);
  shared_.pool.release(handle);
}

// Tells of the end of an order that is already unlinked, and gives its handle back.
void Book::end_resting(Handle handle, EndReason reason, std::int64_t lost, Output out,
                       std::uint8_t flags) {
  const Order& order = shared_.pool[handle];
  out({.kind = EventKind::kEnded,
       .side = order.side,
       .status = status_of(reason),
       .reason = reason,
       .flags = static_cast<std::uint8_t>(flags | event_flag::kWasResting),
       .handle = handle,
       .order_id = order.order_id,
       .price = order.price,
       .quantity = order.quantity,
       .remaining = lost});
  release(handle);
}

Code Book::restore(const OrderState& state, Handle* handle) {
  const bool possible = state.order_id > 0 && state.price > 0 && state.remaining > 0 &&
                        state.priority > 0 && state.quantity >= state.remaining &&
                        state.side <= Side::kSell &&
                        (state.type == OrderType::kLimit || state.type == OrderType::kLimitMaker) &&
                        state.self_trade <= SelfTrade::kDecrement &&
                        lots(state.side) <= INT64_MAX - state.remaining &&
                        static_cast<__int128>(state.price) * state.remaining <= kNotionalMax;
  if (!possible || crosses(state.side, state.price)) return Code::kInvalidOrder;
  if (find(state.order_id) != kNoHandle) return Code::kDuplicateOther;
  *handle = shared_.pool.allocate();
  Order& order = shared_.pool[*handle];
  order.order_id = state.order_id;
  order.price = state.price;
  order.remaining = state.remaining;
  order.quantity = state.quantity;
  order.priority = state.priority;
  order.side = state.side;
  order.type = state.type;
  order.self_trade = state.self_trade;
  order.live = true;
  order.traded = state.traded;
  ids_.insert(order.order_id, *handle);
  shared_.accounts.insert(shared_.pool, shared_.accounts.acquire(symbol_, state.account), *handle);
  link(*handle, false);
  if (counters.priority < order.priority) counters.priority = order.priority;
  return Code::kOk;
}

void Book::forget_orders() {
  for (PriceLadder& side : ladders_) {
    while (!side.empty()) {
      const Handle handle = side.best().first;
      unlink(handle);
      release(handle);
    }
  }
}

OrderState Book::state_of(Handle handle) const {
  const Order& order = shared_.pool[handle];
  return {.order_id = order.order_id,
          .account = account_of(handle),
          .price = order.price,
          .quantity = order.quantity,
          .remaining = order.remaining,
          .priority = order.priority,
          .symbol = symbol_,
          .handle = handle,
          .side = order.side,
          .type = order.type,
          .self_trade = order.self_trade,
          .traded = order.traded};
}

Handle Book::first(Side side) const {
  const PriceLadder& own = ladder(side);
  return own.empty() ? kNoHandle : own.best().first;
}

Handle Book::next(Handle handle) const {
  const Order& order = shared_.pool[handle];
  if (order.next != kNoHandle) return order.next;
  Key key = 0;
  const Level* level = nullptr;
  const bool found = ladder(order.side).next(key_of(order.side, order.price), &key, &level);
  return found ? level->first : kNoHandle;
}

bool Book::take_depth_changes(std::vector<DepthChange>& changes) {
  std::array<std::vector<Key>, 2> keys;
  bool complete = true;
  for (const Side side : {Side::kBuy, Side::kSell})
    complete &= ladder_at(side).take_marked(keys[index_of(side)]);
  if (!complete) return false;
  for (const Side side : {Side::kBuy, Side::kSell}) {
    for (const Key key : keys[index_of(side)]) {
      const Level* level = ladder(side).find(key);
      changes.push_back({price_of(side, key), level == nullptr ? 0 : level->quantity, side});
    }
  }
  return true;
}

std::uint64_t Book::state_hash() const {
  std::uint64_t hash = 0xCBF29CE484222325ULL;
  const auto add = [&hash](std::int64_t word) {
    hash = (hash ^ static_cast<std::uint64_t>(word)) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 32;
  };
  for (const std::int64_t word : {counters.trade_id, counters.prevented_id, counters.priority,
                                  counters.last_price, std::int64_t{halted}})
    add(word);
  for (const Side side : {Side::kBuy, Side::kSell}) {
    for (Handle h = first(side); h != kNoHandle; h = next(h)) {
      const OrderState o = state_of(h);
      const int attributes = static_cast<int>(o.side) | static_cast<int>(o.type) << 4 |
                             static_cast<int>(o.self_trade) << 8 | int{o.traded} << 12;
      for (const std::int64_t word : {o.order_id, o.account, o.price, o.quantity, o.remaining,
                                      o.priority, std::int64_t{attributes}})
        add(word);
    }
  }
  return hash;
}

std::size_t Book::memory_bytes() const {
  return sizeof(Book) + ids_.memory_bytes() + ladders_[0].memory_bytes() +
         ladders_[1].memory_bytes();
}

void Book::prefetch(std::size_t step, const Command& command, Handle& handle) const {
  const OrderPool& pool = shared_.pool;
  const bool enters = command.kind == Kind::kPlace && command.side <= Side::kSell;
  const bool moves = command.kind == Kind::kReplace;
  switch (step) {
    case 0:
      ids_.prefetch(id_of(command));
      if (!enters) return;
      shared_.accounts.prefetch_slot(symbol_, command.account);
      return ladder(command.side).prefetch(key_of(command.side, command.price));
    case 1:
      handle = enters ? kNoHandle : ids_.guess(id_of(command));
      if (handle != kNoHandle) return pool.prefetch(handle);
      if (!enters) return;
      shared_.accounts.prefetch_entry(symbol_, command.account);
      return pool.prefetch(ladder(command.side).guess_last(key_of(command.side, command.price)));
    case 2: {
      if (enters) return pool.prefetch(shared_.accounts.guess_first(symbol_, command.account));
      if (handle == kNoHandle) return;
      const Order& order = pool[handle];
      const PriceLadder& own = ladder(order.side);
      own.prefetch(key_of(order.side, order.price));
      if (moves) own.prefetch(key_of(order.side, command.price));
      shared_.accounts.prefetch_entry(order.account_entry);
      pool.prefetch(order.previous);
      return pool.prefetch(order.next);
    }
    default: {
      if (handle == kNoHandle) return;
      const Order& order = pool[handle];
      if (moves)
        return pool.prefetch(ladder(order.side).guess_last(key_of(order.side, command.price)));
      pool.prefetch(order.account_previous);
      return pool.prefetch(order.account_next);
    }
  }
}

}  // namespace trading::core
