// What each kind of command does to a book.
#include "book.hpp"

namespace trading::core {
namespace {

using Wide = __int128;

Event rejected(std::int64_t order_id, Code code, std::uint8_t flags = 0) {
  return {.kind = EventKind::kRejected,
          .status = OrderStatus::kRejected,
          .code = code,
          .flags = flags,
          .order_id = order_id};
}

bool notional_fits(std::int64_t price, std::int64_t quantity) {
  return static_cast<Wide>(price) * quantity <= kNotionalMax;
}

bool sum_fits(std::int64_t a, std::int64_t b) {
  return static_cast<Wide>(a) + b <= INT64_MAX;
}

EndReason reason_of(const Command& command, EndReason otherwise) {
  return command.reason == EndReason::kNone ? otherwise : command.reason;
}

bool enums_known(const Command& c) {
  return c.side <= Side::kSell && c.type <= OrderType::kLimitMaker &&
         c.time_in_force <= TimeInForce::kFok && c.self_trade <= SelfTrade::kDecrement &&
         c.reason <= EndReason::kSelfTrade;
}

bool can_rest(const Command& c) {
  return c.type != OrderType::kMarket && c.time_in_force == TimeInForce::kGtc;
}

// What can be said of a new order without the book.
bool order_valid(const Command& c) {
  if (c.order_id <= 0) return false;
  if (c.type == OrderType::kMarket) {
    const bool by_lots = c.quantity > 0 && c.quote_quantity == 0;
    const bool by_quote = c.quantity == 0 && c.quote_quantity > 0;
    return c.price == 0 && c.time_in_force != TimeInForce::kFok && (by_lots || by_quote);
  }
  if (c.type == OrderType::kLimitMaker && c.time_in_force != TimeInForce::kGtc) return false;
  return c.price > 0 && c.quantity > 0 && c.quote_quantity == 0 &&
         notional_fits(c.price, c.quantity);
}

}  // namespace

void Book::apply(const Command& command, Output out) {
  if (!enums_known(command)) return out(rejected(command.order_id, Code::kMalformed));
  switch (command.kind) {
    case Kind::kPlace:
      return place(command, out);
    case Kind::kCancel:
      return cancel(command, out);
    case Kind::kReduce:
      return reduce(command, out);
    case Kind::kAmend:
      return amend(command, out);
    case Kind::kReplace:
      return replace(command, out);
    case Kind::kCancelReplace:
      return cancel_replace(command, out);
    case Kind::kCancelAll:
      return cancel_all(command, out);
    case Kind::kClear:
      return clear(command, out);
    case Kind::kHalt:
    case Kind::kResume:
      halted = command.kind == Kind::kHalt;
      return out({.kind = EventKind::kDone});
    default:
      return out(rejected(command.order_id, Code::kMalformed));
  }
}

// Another account's order looks exactly like an unknown one.
Handle Book::find_owned(std::int64_t order_id, std::int64_t account) const {
  const Handle handle = find(order_id);
  if (handle == kNoHandle || account_of(handle) != account) return kNoHandle;
  return handle;
}

bool Book::crosses(Side side, std::int64_t price) const {
  const Side other = side == Side::kBuy ? Side::kSell : Side::kBuy;
  const PriceLadder& others = ladder(other);
  return !others.empty() && others.best_key() <= key_of(other, price);
}

// Why a new order may not enter, given that the order `leaving` (or none) leaves before it.
Code Book::refusal(const Command& command, Handle leaving) const {
  if (!order_valid(command)) return Code::kInvalidOrder;
  if (halted) return Code::kSymbolHalted;
  if (find(command.order_id) != kNoHandle) return Code::kDuplicateOther;
  if (!can_rest(command)) return Code::kOk;
  std::int64_t side_lots = lots_[index_of(command.side)];
  std::size_t left = 0;
  if (leaving != kNoHandle) {
    left = 1;
    const Order& order = shared_.pool[leaving];
    if (order.side == command.side) side_lots -= order.remaining;
  }
  if (!sum_fits(side_lots, command.quantity)) return Code::kInvalidOrder;
  if (open_orders() - left >= limits.open_orders_max) return Code::kTooManyOpenOrders;
  if (open_orders() - left < limits.open_orders_per_account_max) return Code::kOk;
  const std::uint32_t entry = shared_.accounts.find(symbol_, command.account);
  const std::size_t own = entry == kNoEntry ? 0 : shared_.accounts[entry].count;
  return own - left >= limits.open_orders_per_account_max ? Code::kTooManyOpenOrders : Code::kOk;
}

void Book::place(const Command& command, Output out) {
  if (const Code code = refusal(command, kNoHandle); code != Code::kOk)
    return out(rejected(command.order_id, code));
  enter_new(command, out);
}

void Book::enter_new(const Command& command, Output out) {
  if (command.type == OrderType::kLimitMaker && crosses(command.side, command.price))
    return out(rejected(command.order_id, Code::kPostOnlyWouldTake));
  Taker taker{.order_id = command.order_id,
              .account = command.account,
              .price = command.price,
              .quantity = command.quantity,
              .remaining = command.quantity,
              .quote_left = command.quote_quantity,
              .side = command.side,
              .type = command.type,
              .time_in_force = command.time_in_force,
              .self_trade = command.self_trade,
              .by_quote = command.quote_quantity != 0};
  out({.kind = EventKind::kAccepted,
       .side = taker.side,
       .order_id = taker.order_id,
       .price = taker.price,
       .quantity = taker.quantity,
       .remaining = taker.quantity,
       .number = taker.quote_left});
  enter(taker, out);
}

void Book::cancel(const Command& command, Output out) {
  const Handle handle = find_owned(command.order_id, command.account);
  if (handle == kNoHandle) return out(rejected(command.order_id, Code::kOrderNotActive));
  cancel_resting(handle, reason_of(command, EndReason::kUser), out);
}

void Book::cancel_resting(Handle handle, EndReason reason, Output out, std::uint8_t flags) {
  const std::int64_t lost = shared_.pool[handle].remaining;
  unlink(handle);
  end_resting(handle, reason, lost, out, flags);
}

void Book::reduce(const Command& command, Output out) {
  const Handle handle = find_owned(command.order_id, command.account);
  if (handle == kNoHandle) return out(rejected(command.order_id, Code::kOrderNotActive));
  const std::int64_t remaining = shared_.pool[handle].remaining;
  if (command.quantity <= 0 || command.quantity > remaining)
    return out(rejected(command.order_id, Code::kInvalidOrder));
  if (command.quantity == remaining) return cancel_resting(handle, EndReason::kUser, out);
  take_lots(handle, command.quantity, out);
}

void Book::amend(const Command& command, Output out) {
  const Handle handle = find_owned(command.order_id, command.account);
  if (handle == kNoHandle) return out(rejected(command.order_id, Code::kOrderNotActive));
  const Order& order = shared_.pool[handle];
  const std::int64_t used = order.quantity - order.remaining;  // executed or prevented
  if (command.quantity <= used || command.quantity >= order.quantity)
    return out(rejected(command.order_id, Code::kInvalidAmend));
  take_lots(handle, order.quantity - command.quantity, out);
}

void Book::take_lots(Handle handle, std::int64_t lots, Output out) {
  Order& order = shared_.pool[handle];
  remove_lots(level_of(order), order, lots);
  order.quantity -= lots;
  out({.kind = EventKind::kReduced,
       .side = order.side,
       .status = open_status(order.traded),
       .handle = handle,
       .order_id = order.order_id,
       .price = order.price,
       .quantity = order.quantity,
       .remaining = order.remaining,
       .number = lots});
}

// All is checked before anything is touched; then it is a new order with the old id and handle.
void Book::replace(const Command& command, Output out) {
  const Handle handle = find_owned(command.order_id, command.account);
  if (handle == kNoHandle) return out(rejected(command.order_id, Code::kOrderNotActive));
  const Order& order = shared_.pool[handle];
  const std::int64_t price = command.price == 0 ? order.price : command.price;
  const std::int64_t lots = command.quantity == 0 ? order.remaining : command.quantity;
  const std::int64_t used = order.quantity - order.remaining;
  if (price <= 0 || lots <= 0 || command.quote_quantity != 0 || !notional_fits(price, lots) ||
      !sum_fits(used, lots) || !sum_fits(lots_[index_of(order.side)] - order.remaining, lots))
    return out(rejected(command.order_id, Code::kInvalidReplacement));
  if (halted) return out(rejected(command.order_id, Code::kSymbolHalted));
  if (order.type == OrderType::kLimitMaker && crosses(order.side, price))
    return out(rejected(command.order_id, Code::kPostOnlyWouldTake));
  Taker taker{.order_id = order.order_id,
              .account = command.account,
              .price = price,
              .quantity = used + lots,
              .remaining = lots,
              .side = order.side,
              .type = order.type,
              .time_in_force = TimeInForce::kGtc,
              .self_trade = order.self_trade,
              .traded = order.traded,
              .handle = handle};
  unlink(handle);
  out({.kind = EventKind::kReplaced,
       .side = taker.side,
       .status = open_status(taker.traded),
       .handle = handle,
       .order_id = taker.order_id,
       .price = price,
       .quantity = taker.quantity,
       .remaining = lots});
  enter(taker, out);
}

// The new order's own faults first, then the cancel, then the new order.
void Book::cancel_replace(const Command& command, Output out) {
  constexpr std::uint8_t kTarget = event_flag::kTargetPart;
  const Handle target = find_owned(command.target_id, command.account);
  const Code missing = target == kNoHandle ? Code::kOrderNotActive : Code::kOk;
  if (const Code code = refusal(command, target); code != Code::kOk) {
    const Code untouched = missing != Code::kOk ? missing : Code::kInvalidReplacement;
    out(rejected(command.target_id, untouched, kTarget));
    return out(rejected(command.order_id, code));
  }
  if (missing != Code::kOk) {
    out(rejected(command.target_id, missing, kTarget));
    if ((command.flags & wire::flag::kAllowFailure) == 0)
      return out(rejected(command.order_id, Code::kInvalidReplacement));
  } else {
    cancel_resting(target, EndReason::kReplaced, out, kTarget);
  }
  enter_new(command, out);
}

void Book::cancel_all(const Command& command, Output out) {
  const EndReason reason = reason_of(command, EndReason::kMassCancel);
  std::vector<Handle>& handles = shared_.listed;
  handles.clear();
  shared_.list_orders(symbol_, command.account, handles);
  for (const Handle handle : handles) cancel_resting(handle, reason, out);
  out({.kind = EventKind::kDone, .quantity = static_cast<std::int64_t>(handles.size())});
}

void Book::clear(const Command& command, Output out) {
  const EndReason reason = reason_of(command, EndReason::kExchange);
  std::int64_t ended = 0;
  for (PriceLadder& side : ladders_) {
    for (; !side.empty(); ++ended) cancel_resting(side.best().first, reason, out);
  }
  out({.kind = EventKind::kDone, .quantity = ended});
}

}  // namespace trading::core
