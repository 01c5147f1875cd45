// Matching of many symbols by price, then age. Single-threaded; deterministic: the same commands
// give the same events and the same state hash on every machine, however they are cut into batches.
// No clock, no chance, no exceptions; a broken invariant or an exhausted memory ends the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "trading/core/command.hpp"
#include "trading/core/event.hpp"
#include "trading/core/event_buffer.hpp"

namespace trading::core {

// price * quantity of an order may not be larger; nor may the lots of one side of a book.
inline constexpr std::int64_t kNotionalMax = INT64_MAX;

// Open-order limits: a new order that could rest is refused (kTooManyOpenOrders) at the limit.
struct SymbolLimits {
  std::uint32_t open_orders_max = 1U << 28;
  std::uint32_t open_orders_per_account_max = 1U << 28;
};

// The hot state of a symbol beside its orders: kept in symbol_state, travels in a move.
struct SymbolCounters {
  std::int64_t trade_id = 0;      // the last one given; the next is one higher
  std::int64_t prevented_id = 0;  // the same for prevented matches
  std::int64_t priority = 0;      // the same for RESTED::number
  std::int64_t last_price = 0;    // ticks; 0 = never traded
};

// One resting order. Also what restore() takes: then `handle` is ignored.
struct OrderState {
  std::int64_t order_id = 0;
  std::int64_t account = 0;
  std::int64_t price = 0;
  std::int64_t quantity = 0;   // original; see event.hpp
  std::int64_t remaining = 0;  // lots in the book
  std::int64_t priority = 0;   // lower = older
  std::uint32_t symbol = 0;
  Handle handle = kNoHandle;
  Side side{};
  OrderType type{};  // kLimit or kLimitMaker
  SelfTrade self_trade{};
  bool traded = false;  // some of it was executed: its status is kPartiallyFilled
  std::uint32_t reserved = 0;
};
static_assert(sizeof(OrderState) == 64 && std::is_trivially_copyable_v<OrderState>);

struct DepthChange {
  std::int64_t price;
  std::int64_t quantity;  // new total of the level; 0 = the level is gone
  Side side;
};

class MatchingEngine {
 public:
  MatchingEngine();
  ~MatchingEngine();
  MatchingEngine(const MatchingEngine&) = delete;
  MatchingEngine& operator=(const MatchingEngine&) = delete;

  // --- symbols: dense indexes; those of removed symbols are given again, lowest first ---
  std::uint32_t add_symbol(const SymbolLimits& limits = {});
  // Forgets the symbol and its orders, without events (the slot has moved away).
  void remove_symbol(std::uint32_t symbol);
  [[nodiscard]] bool has_symbol(std::uint32_t symbol) const;
  // All functions below that take a symbol need one of which has_symbol is true, unless they say
  // more.
  void set_limits(std::uint32_t symbol, const SymbolLimits& limits);
  [[nodiscard]] std::uint32_t symbols_past() const;  // one more than the largest index in use

  // Runs the commands in order and appends their events to `events` (which is not cleared).
  // A command whose symbol is not known is refused with Code::kUnknownSymbol.
  void apply(std::span<const Command> commands, EventBuffer& events) noexcept;

  // --- recovery ---
  [[nodiscard]] SymbolCounters counters(std::uint32_t symbol) const;
  void set_counters(std::uint32_t symbol, const SymbolCounters& counters);
  [[nodiscard]] bool halted(std::uint32_t symbol) const;
  void set_halted(std::uint32_t symbol, bool halted);
  // Puts an order back at the place its priority gives it: any order of calls gives the same book,
  // rising priorities are fast. `*handle` is its handle. Refuses, changing nothing: kUnknownSymbol,
  // kDuplicateOther (the id is open), kInvalidOrder (impossible values, or it would cross the
  // book).
  Code restore(const OrderState& order, Handle* handle);

  // --- reading, between two calls of apply() ---
  [[nodiscard]] std::optional<OrderState> find(std::uint32_t symbol, std::int64_t order_id) const;
  // kNoHandle when the symbol has no such open order.
  [[nodiscard]] Handle handle_of(std::uint32_t symbol, std::int64_t order_id) const;
  [[nodiscard]] OrderState order(Handle handle) const;  // an open order
  [[nodiscard]] Handle handles_past() const;            // all handles ever given are below

  // Open orders of an account on a symbol, oldest priority first, appended to `handles`. The index
  // is kept by the core: this costs what it yields, whatever else is in the book.
  void orders_of_account(std::uint32_t symbol, std::int64_t account,
                         std::vector<Handle>& handles) const;
  // The same without sorting or copying, in no order that means anything:
  // for (h = first..; h != kNoHandle; h = next..).
  [[nodiscard]] Handle first_of_account(std::uint32_t symbol, std::int64_t account) const;
  [[nodiscard]] Handle next_of_account(Handle handle) const;
  // Open orders of one side, best price first, then oldest: the L3 book.
  [[nodiscard]] Handle first_of_side(std::uint32_t symbol, Side side) const;
  [[nodiscard]] Handle next_of_side(Handle handle) const;

  [[nodiscard]] std::size_t open_orders() const;
  [[nodiscard]] std::size_t open_orders(std::uint32_t symbol) const;
  [[nodiscard]] std::size_t open_orders(std::uint32_t symbol, std::int64_t account) const;

  // Best first, at most `levels_max` levels, appended to `levels`.
  void depth(std::uint32_t symbol, Side side, std::size_t levels_max,
             std::vector<wire::Level>& levels) const;
  [[nodiscard]] std::optional<wire::Level> best(std::uint32_t symbol, Side side) const;

  // Levels whose total may have changed since the last call, each once, appended to `changes`: bids
  // from high to low, then asks from low to high. false: too many were touched to remember
  // (kDirtyLevelsMax a side); nothing is appended and the reader needs the whole depth instead.
  // restore() and remove_symbol() mark nothing.
  bool take_depth_changes(std::uint32_t symbol, std::vector<DepthChange>& changes);
  static constexpr std::size_t kDirtyLevelsMax = 1U << 16;

  // Hash of the symbol's counters, phase and open orders (with their priorities). Equal states have
  // equal hashes. Reads every order of the symbol.
  [[nodiscard]] std::uint64_t state_hash(std::uint32_t symbol) const;

  // Bytes held for orders, indexes and levels of all symbols.
  [[nodiscard]] std::size_t memory_bytes() const;

  // Walks everything and ends the process when an invariant does not hold. For tests.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trading::core
