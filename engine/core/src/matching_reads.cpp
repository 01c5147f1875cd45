// What can be read between two batches.
#include "engine_state.hpp"

namespace trading::core {

std::uint32_t MatchingEngine::symbols_past() const {
  return static_cast<std::uint32_t>(state_->books.size());
}

bool MatchingEngine::has_symbol(std::uint32_t symbol) const {
  return state_->find(symbol) != nullptr;
}

Handle MatchingEngine::handle_of(std::uint32_t symbol, std::int64_t order_id) const {
  const Book* book = state_->find(symbol);
  return book == nullptr ? kNoHandle : book->find(order_id);
}

std::optional<OrderState> MatchingEngine::find(std::uint32_t symbol, std::int64_t order_id) const {
  const Handle handle = handle_of(symbol, order_id);
  if (handle == kNoHandle) return std::nullopt;
  return state_->book(symbol).state_of(handle);
}

OrderState MatchingEngine::order(Handle handle) const {
  return state_->book_of(handle).state_of(handle);
}

Handle MatchingEngine::handles_past() const {
  return state_->shared.pool.past();
}

void MatchingEngine::orders_of_account(std::uint32_t symbol, std::int64_t account,
                                       std::vector<Handle>& handles) const {
  state_->shared.list_orders(symbol, account, handles);
}

Handle MatchingEngine::first_of_account(std::uint32_t symbol, std::int64_t account) const {
  const AccountIndex& accounts = state_->shared.accounts;
  const std::uint32_t entry = accounts.find(symbol, account);
  return entry == kNoEntry ? kNoHandle : accounts[entry].first;
}

Handle MatchingEngine::next_of_account(Handle handle) const {
  return state_->live_order(handle).account_next;
}

Handle MatchingEngine::first_of_side(std::uint32_t symbol, Side side) const {
  return state_->book(symbol).first(side);
}

Handle MatchingEngine::next_of_side(Handle handle) const {
  return state_->book_of(handle).next(handle);
}

std::size_t MatchingEngine::open_orders() const {
  return state_->shared.pool.live();
}

std::size_t MatchingEngine::open_orders(std::uint32_t symbol) const {
  return state_->book(symbol).open_orders();
}

std::size_t MatchingEngine::open_orders(std::uint32_t symbol, std::int64_t account) const {
  const AccountIndex& accounts = state_->shared.accounts;
  const std::uint32_t entry = accounts.find(symbol, account);
  return entry == kNoEntry ? 0 : accounts[entry].count;
}

void MatchingEngine::depth(std::uint32_t symbol, Side side, std::size_t levels_max,
                           std::vector<wire::Level>& levels) const {
  const PriceLadder& ladder = state_->book(symbol).ladder(side);
  if (ladder.empty() || levels_max == 0) return;
  Key key = ladder.best_key();
  const Level* level = &ladder.best();
  for (std::size_t i = 0; i < levels_max; ++i) {
    levels.push_back({price_of(side, key), level->quantity});
    if (!ladder.next(key, &key, &level)) return;
  }
}

std::optional<wire::Level> MatchingEngine::best(std::uint32_t symbol, Side side) const {
  const PriceLadder& ladder = state_->book(symbol).ladder(side);
  if (ladder.empty()) return std::nullopt;
  return wire::Level{price_of(side, ladder.best_key()), ladder.best().quantity};
}

bool MatchingEngine::take_depth_changes(std::uint32_t symbol, std::vector<DepthChange>& changes) {
  return state_->book(symbol).take_depth_changes(changes);
}

std::uint64_t MatchingEngine::state_hash(std::uint32_t symbol) const {
  return state_->book(symbol).state_hash();
}

std::size_t MatchingEngine::memory_bytes() const {
  std::size_t bytes = state_->shared.pool.memory_bytes() + state_->shared.accounts.memory_bytes();
  for (const auto& book : state_->books) {
    if (book != nullptr) bytes += book->memory_bytes();
  }
  return bytes;
}

void MatchingEngine::check_invariants() const {
  std::size_t open = 0;
  for (const auto& book : state_->books) {
    if (book == nullptr) continue;
    book->check_invariants();
    open += book->open_orders();
  }
  TRADING_CHECK(open == state_->shared.pool.live());
}

}  // namespace trading::core
