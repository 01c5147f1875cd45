// The one input of the core: a fixed record of 64 bytes. Values of the enums are those of the wire.
#pragma once

#include <cstdint>
#include <type_traits>

#include "trading/wire.hpp"

namespace trading::core {

using wire::Code;
using wire::EndReason;
using wire::Kind;
using wire::OrderStatus;
using wire::OrderType;
using wire::SelfTrade;
using wire::Side;
using wire::TimeInForce;

// What each kind reads (every kind: symbol, kind):
//   kPlace          order_id (new), account, side, type, time_in_force, self_trade, price,
//   quantity,
//                   quote_quantity
//   kCancel         order_id, account, reason
//   kReduce         order_id, account, quantity = lots taken away
//   kAmend          order_id, account, quantity = new original quantity
//   kReplace        order_id, account, price (0 = keep), quantity = new remaining (0 = keep)
//   kCancelReplace  all of kPlace, target_id = order to cancel, flags (wire::flag::kAllowFailure)
//   kCancelAll      account, reason
//   kHalt, kResume  nothing more
//   kClear          reason
// Queries never reach the core: they are answered by its reading functions. Any other value of an
// enum is refused with Code::kMalformed; nothing is read out of bounds.
struct Command {
  std::int64_t order_id = 0;  // > 0 for a new order; unique among the symbol's open orders
  std::int64_t target_id = 0;
  std::int64_t account = 0;   // 0 = system: never self-trade-prevented
  std::int64_t price = 0;     // ticks; 0 for kMarket
  std::int64_t quantity = 0;  // lots; 0 for a kMarket by quote
  std::int64_t quote_quantity =
      0;                     // kMarket by quote: trade at most this many ticks * lots, whole lots
  std::uint32_t symbol = 0;  // from MatchingEngine::add_symbol
  Kind kind{};
  Side side{};
  OrderType type{};
  TimeInForce time_in_force{};  // kMarket: kGtc or kIoc, the same; kLimitMaker: kGtc
  SelfTrade self_trade{};
  std::uint8_t flags = 0;  // wire::flag
  EndReason reason{};      // of a cancel; kNone = kUser, kMassCancel, kExchange by the kind
  std::uint8_t reserved0 = 0;
  std::uint32_t reserved1 = 0;
};
static_assert(sizeof(Command) == 64 && std::is_trivially_copyable_v<Command>);

}  // namespace trading::core
