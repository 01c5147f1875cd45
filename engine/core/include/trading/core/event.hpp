// What the core tells: fixed records of 64 bytes, in the order in which things happened.
//
// The events of one command stand together; Event::command names it. Every kind gives at least one
// event. The groups, with [] = may be missing and * = any number:
//   refused             REJECTED
//   kPlace              ACCEPTED meeting* (RESTED | ENDED of the order)
//   kReplace            REPLACED meeting* (RESTED | ENDED of the order)
//   kCancel             ENDED
//   kReduce, kAmend     REDUCED, or ENDED when a reduce takes all that was left
//   kCancelReplace      target then new: (ENDED | REJECTED) of the target, flagged kTargetPart,
//   then
//                       REJECTED of the new order, or the group of a kPlace
//   kCancelAll, kClear  ENDED* DONE
//   kHalt, kResume      DONE
//   meeting             TRADE [ENDED of the maker] | PREVENTED [ENDED of the maker]
// Every order that was ACCEPTED ends with exactly one ENDED, makers too, whatever the way.
#pragma once

#include <cstdint>
#include <type_traits>

#include "trading/core/command.hpp"

namespace trading::core {

// Dense index of a resting order, below MatchingEngine::handles_past(): the index of the caller's
// arrays of cold data. RESTED gives it. It stays with the order through REDUCED, TRADE and REPLACED
// until ENDED, which carries it for the last time. It is not given to another order before the next
// call of apply() or restore(): so cold data can be read while the events of a batch are consumed.
// Handles are the one thing that depends on how commands were cut into batches.
using Handle = std::uint32_t;
inline constexpr Handle kNoHandle = 0xFFFFFFFFU;

enum class EventKind : std::uint8_t {
  kAccepted = 1,
  kRejected = 2,
  kTrade = 3,
  kPrevented = 4,
  kRested = 5,
  kEnded = 6,
  kReduced = 7,
  kReplaced = 8,
  kDone = 9,
};

namespace event_flag {
inline constexpr std::uint8_t kTargetPart =
    1;  // this event is about the target of a kCancelReplace
inline constexpr std::uint8_t kWasResting = 2;  // ENDED: the order had been in the book
}  // namespace event_flag

// Field by kind ("-" = 0; handle "-" = kNoHandle):
//             order_id  other_id  price       quantity      remaining     number         handle
//  ACCEPTED   new       -         limit       original      original      quote given(1) -
//  REJECTED   as sent   -         -           -             -             -              -
//  TRADE      taker     maker     maker's     traded        maker's, now  trade id       maker
//  PREVENTED  taker     maker     maker's     taker's loss  maker's loss  prevented id   maker
//  RESTED     order     -         limit       original      in the book   priority       order
//  ENDED      order     -         limit       original      lost lots(2)  quote left(1)  order(3)
//  REDUCED    order     -         limit       original now  remaining now lots taken     order
//  REPLACED   order     -         new limit   original now  remaining now -              order
//  DONE       -         -         -           orders ended  -             -              -
// (1) kMarket by quote only. (2) lots that ended neither by a trade nor by prevention, so that for
// every order: original = traded + prevented + lost (+ taken by reduces, which lower the original);
// 0 for a kMarket by quote, whose original is 0 too. (3) kNoHandle for an order that never rested.
// A PREVENTED tells what both sides lose: EXPIRE_TAKER all of the taker, EXPIRE_MAKER all of the
// maker, EXPIRE_BOTH both, DECREMENT the smaller of the two from each. When nothing is left of an
// order by prevention it ends with kExpiredInMatch, kSelfTrade; when its last lot traded, with
// kFilled. side: the order's; of TRADE and PREVENTED: the taker's. status: of order_id after the
// event; of TRADE and PREVENTED: of the maker. reason: ENDED only. code: REJECTED only. "original"
// counts what was executed, prevented and what remains: a reduce lowers it, a replace sets it to
// executed + prevented + the new remaining quantity.
struct Event {
  EventKind kind{};
  Side side{};
  OrderStatus status{};
  EndReason reason{};
  Code code{};
  std::uint8_t flags = 0;  // event_flag
  std::uint8_t reserved = 0;
  std::uint32_t command = 0;  // index in the batch; its symbol is the event's symbol
  Handle handle = kNoHandle;
  std::int64_t order_id = 0;
  std::int64_t other_id = 0;
  std::int64_t price = 0;
  std::int64_t quantity = 0;
  std::int64_t remaining = 0;
  std::int64_t number = 0;
};
static_assert(sizeof(Event) == 64 && std::is_trivially_copyable_v<Event>);

}  // namespace trading::core
