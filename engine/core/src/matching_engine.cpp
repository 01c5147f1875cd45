#include "trading/core/matching_engine.hpp"

#include <array>

#include "engine_state.hpp"

namespace trading::core {

MatchingEngine::MatchingEngine() : state_(std::make_unique<State>()) {}
MatchingEngine::~MatchingEngine() = default;

std::uint32_t MatchingEngine::add_symbol(const SymbolLimits& limits) {
  auto& books = state_->books;
  std::uint32_t symbol = 0;
  while (symbol < books.size() && books[symbol] != nullptr) ++symbol;
  if (symbol == books.size()) books.emplace_back();
  books[symbol] = std::make_unique<Book>(state_->shared, symbol, limits);
  return symbol;
}

void MatchingEngine::remove_symbol(std::uint32_t symbol) {
  state_->book(symbol).forget_orders();
  auto& books = state_->books;
  books[symbol].reset();
  while (!books.empty() && books.back() == nullptr) books.pop_back();
}

void MatchingEngine::set_limits(std::uint32_t symbol, const SymbolLimits& limits) {
  state_->book(symbol).limits = limits;
}

// With many resting orders nearly each of the five or so cache lines of a command is far away: they
// are fetched, step by step, while the commands before it run. A small book is near anyway.
void MatchingEngine::apply(std::span<const Command> commands, EventBuffer& events) noexcept {
  constexpr std::array<std::size_t, Book::kPrefetchSteps> kAhead = {28, 20, 12, 5};
  constexpr std::size_t kNearOrders = 1U << 15;
  std::array<Handle, 32> handles;  // of the commands ahead, by index modulo its size
  State& state = *state_;
  state.shared.pool.recycle();
  handles.fill(kNoHandle);
  const bool far = state.shared.pool.live() > kNearOrders;
  const std::size_t size = commands.size();
  TRADING_CHECK(size < UINT32_MAX);
  const auto prefetch = [&](std::size_t step, std::size_t later) {
    if (later >= size) return;
    if (const Book* book = state.find(commands[later].symbol); book != nullptr)
      book->prefetch(step, commands[later], handles[later % handles.size()]);
  };
  for (std::size_t step = 0; far && step < Book::kPrefetchSteps; ++step) {
    for (std::size_t later = 0; later < kAhead[step]; ++later) prefetch(step, later);
  }
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t step = 0; far && step < Book::kPrefetchSteps; ++step)
      prefetch(step, i + kAhead[step]);
    const Command& command = commands[i];
    const Output out{&events, static_cast<std::uint32_t>(i)};
    if (Book* book = state.find(command.symbol); book != nullptr) [[likely]] {
      book->apply(command, out);
    } else {
      out({.kind = EventKind::kRejected,
           .status = OrderStatus::kRejected,
           .code = Code::kUnknownSymbol,
           .order_id = command.order_id});
    }
  }
}

SymbolCounters MatchingEngine::counters(std::uint32_t symbol) const {
  return state_->book(symbol).counters;
}

void MatchingEngine::set_counters(std::uint32_t symbol, const SymbolCounters& counters) {
  state_->book(symbol).counters = counters;
}

bool MatchingEngine::halted(std::uint32_t symbol) const {
  return state_->book(symbol).halted;
}

void MatchingEngine::set_halted(std::uint32_t symbol, bool halted) {
  state_->book(symbol).halted = halted;
}

Code MatchingEngine::restore(const OrderState& order, Handle* handle) {
  Book* book = state_->find(order.symbol);
  if (book == nullptr) return Code::kUnknownSymbol;
  state_->shared.pool.recycle();
  return book->restore(order, handle);
}

}  // namespace trading::core
