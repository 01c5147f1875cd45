// The book of one symbol: its resting orders, and how a command meets them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "account_index.hpp"
#include "id_table.hpp"
#include "order_pool.hpp"
#include "price_ladder.hpp"
#include "trading/core/matching_engine.hpp"

namespace trading::core {

// What all books of an engine share.
struct Shared {
  OrderPool pool;
  AccountIndex accounts;
  std::vector<Handle> listed;  // scratch

  // The account's open orders on the symbol, oldest priority first, appended to `handles`.
  void list_orders(std::uint32_t symbol, std::int64_t account, std::vector<Handle>& handles) const;
};

// Where the events of the present command go.
struct Output {
  EventBuffer* events;
  std::uint32_t command;

  void operator()(Event event) const {
    event.command = command;
    events->push() = event;
  }
};

class Book {
 public:
  Book(Shared& shared, std::uint32_t symbol, const SymbolLimits& symbol_limits)
      : limits(symbol_limits), shared_(shared), symbol_(symbol) {}

  void apply(const Command& command, Output out);
  Code restore(const OrderState& state, Handle* handle);
  void forget_orders();

  [[nodiscard]] Handle find(std::int64_t order_id) const {
    return ids_.find(order_id, shared_.pool);
  }
  [[nodiscard]] OrderState state_of(Handle handle) const;
  [[nodiscard]] Handle first(Side side) const;
  [[nodiscard]] Handle next(Handle handle) const;
  [[nodiscard]] std::size_t open_orders() const { return ids_.size(); }
  [[nodiscard]] const PriceLadder& ladder(Side side) const { return ladders_[index_of(side)]; }
  bool take_depth_changes(std::vector<DepthChange>& changes);
  [[nodiscard]] std::uint64_t state_hash() const;
  [[nodiscard]] std::size_t memory_bytes() const;
  void check_invariants() const;

  // Steps that bring the memory a later command will touch; each reads what the one before brought.
  // `handle` is kept from step to step: the order that the command is likely to name.
  static constexpr std::size_t kPrefetchSteps = 4;
  void prefetch(std::size_t step, const Command& command, Handle& handle) const;

  SymbolLimits limits;
  SymbolCounters counters;
  bool halted = false;

 private:
  struct Taker;

  static std::size_t index_of(Side side) { return static_cast<std::size_t>(side); }
  static std::int64_t id_of(const Command& command) {
    return command.kind == Kind::kCancelReplace ? command.target_id : command.order_id;
  }
  PriceLadder& ladder_at(Side side) { return ladders_[index_of(side)]; }
  std::int64_t& lots(Side side) { return lots_[index_of(side)]; }

  // commands.cpp
  void place(const Command& command, Output out);
  void cancel(const Command& command, Output out);
  void reduce(const Command& command, Output out);
  void amend(const Command& command, Output out);
  void replace(const Command& command, Output out);
  void cancel_replace(const Command& command, Output out);
  void cancel_all(const Command& command, Output out);
  void clear(const Command& command, Output out);
  void cancel_resting(Handle handle, EndReason reason, Output out, std::uint8_t flags = 0);
  void enter_new(const Command& command, Output out);
  void take_lots(Handle handle, std::int64_t lots, Output out);
  [[nodiscard]] Handle find_owned(std::int64_t order_id, std::int64_t account) const;
  [[nodiscard]] Code refusal(const Command& command, Handle leaving) const;
  [[nodiscard]] bool crosses(Side side, std::int64_t price) const;

  // matching.cpp
  void enter(Taker& taker, Output out);
  void match(Taker& taker, Output out);
  void trade(Taker& taker, Handle maker_handle, std::int64_t lots, Output out);
  bool prevent(Taker& taker, Handle maker_handle, std::int64_t taker_lots, Output out);
  [[nodiscard]] bool fills_whole(const Taker& taker) const;
  void end_taker(const Taker& taker, Output out);
  void rest(const Taker& taker, Output out);

  // book.cpp
  [[nodiscard]] std::int64_t account_of(Handle handle) const {
    return shared_.accounts[shared_.pool[handle].account_entry].account;
  }
  Level& level_of(const Order& order);
  void link(Handle handle, bool youngest);
  void unlink(Handle handle) { unlink_from(level_of(shared_.pool[handle]), handle); }
  void unlink_from(Level& level, Handle handle);
  void remove_lots(Level& level, Order& order, std::int64_t lots);
  void release(Handle handle);
  void end_resting(Handle handle, EndReason reason, std::int64_t lost, Output out,
                   std::uint8_t flags = 0);

  Shared& shared_;
  std::uint32_t symbol_;
  std::array<PriceLadder, 2> ladders_;
  std::array<std::int64_t, 2> lots_{};  // resting, by side
  IdTable ids_;
};

constexpr OrderStatus open_status(bool traded) {
  return traded ? OrderStatus::kPartiallyFilled : OrderStatus::kNew;
}

// What a reason means for the status of the order that ends by it.
constexpr OrderStatus status_of(EndReason reason) {
  switch (reason) {
    case EndReason::kUser:
    case EndReason::kMassCancel:
    case EndReason::kReplaced:
    case EndReason::kDisconnect:
    case EndReason::kDeadMan:
      return OrderStatus::kCanceled;
    case EndReason::kSelfTrade:
      return OrderStatus::kExpiredInMatch;
    case EndReason::kNone:
      return OrderStatus::kFilled;
    default:
      return OrderStatus::kExpired;
  }
}

// An order on its way through the other side of the book.
struct Book::Taker {
  std::int64_t order_id = 0;
  std::int64_t account = 0;
  std::int64_t price = 0;
  std::int64_t quantity = 0;   // original
  std::int64_t remaining = 0;  // lots; not used by quote
  std::int64_t quote_left = 0;
  Side side{};
  OrderType type{};
  TimeInForce time_in_force{};
  SelfTrade self_trade{};
  bool by_quote = false;
  bool traded = false;
  bool prevented = false;
  bool expired = false;                // by self-trade prevention
  std::uint32_t own_entry = kNoEntry;  // makers with this account entry are its own
  Handle handle = kNoHandle;           // of a replaced order: unlinked, still in the id table

  [[nodiscard]] Side other_side() const { return side == Side::kBuy ? Side::kSell : Side::kBuy; }
  [[nodiscard]] Key limit_key() const {
    return type == OrderType::kMarket ? INT64_MAX : key_of(other_side(), price);
  }
};

}  // namespace trading::core
