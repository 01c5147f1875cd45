#include "market.hpp"

namespace trading::core::tests {
namespace {

const char* word(OrderStatus status) {
  constexpr const char* kWords[] = {"new",      "partly",  "filled",          "canceled",
                                    "rejected", "expired", "expired-in-match"};
  return kWords[static_cast<int>(status)];
}

const char* word(EndReason reason) {
  constexpr const char* kWords[] = {"none",         "user",       "mass-cancel",  "replaced",
                                    "disconnect",   "dead-man",   "ioc-unfilled", "fok-unfilled",
                                    "no-liquidity", "price-band", "exchange",     "self-trade"};
  return kWords[static_cast<int>(reason)];
}

std::string word(Code code) {
  switch (code) {
    case Code::kDuplicateOther:
      return "duplicate";
    case Code::kOrderNotActive:
      return "not-active";
    case Code::kInvalidOrder:
      return "invalid-order";
    case Code::kInvalidReplacement:
      return "invalid-replacement";
    case Code::kPostOnlyWouldTake:
      return "would-take";
    case Code::kSymbolHalted:
      return "halted";
    case Code::kUnknownSymbol:
      return "unknown-symbol";
    case Code::kTooManyOpenOrders:
      return "too-many";
    case Code::kMalformed:
      return "malformed";
    case Code::kInvalidAmend:
      return "invalid-amend";
    default:
      return "code-" + std::to_string(static_cast<int>(code));
  }
}

std::string at(std::int64_t quantity, std::int64_t price) {
  return std::to_string(quantity) + "@" + std::to_string(price);
}

std::string meeting(const Event& e) {
  return std::to_string(e.order_id) + "x" + std::to_string(e.other_id);
}

}  // namespace

std::string tell(const Event& e) {
  const std::string id = std::to_string(e.order_id);
  switch (e.kind) {
    case EventKind::kAccepted:
      return "accepted " + id;
    case EventKind::kRejected:
      return "rejected " + id + " " + word(e.code) +
             ((e.flags & event_flag::kTargetPart) != 0 ? " (target)" : "");
    case EventKind::kTrade:
      return "trade " + meeting(e) + " " + at(e.quantity, e.price);
    case EventKind::kPrevented:
      return "prevented " + meeting(e) + " taker-" + std::to_string(e.quantity) + " maker-" +
             std::to_string(e.remaining);
    case EventKind::kRested:
      return "rested " + id + " " + at(e.remaining, e.price);
    case EventKind::kEnded: {
      std::string line = "ended " + id + " " + word(e.status);
      if (e.reason != EndReason::kNone) line += std::string(" ") + word(e.reason);
      if (e.remaining != 0) line += " lost " + std::to_string(e.remaining);
      if (e.number != 0) line += " unspent " + std::to_string(e.number);
      return line;
    }
    case EventKind::kReduced:
      return "reduced " + id + " to " + std::to_string(e.remaining) + " of " +
             std::to_string(e.quantity);
    case EventKind::kReplaced:
      return "replaced " + id + " " + at(e.remaining, e.price);
    case EventKind::kDone:
      return "done " + std::to_string(e.quantity);
  }
  return "?";
}

Lines Market::run(std::initializer_list<Command> commands) {
  events_.clear();
  std::vector<Command> batch(commands);
  for (Command& command : batch) command.symbol = symbol_;
  engine_.apply(batch, events_);
  engine_.check_invariants();
  Lines lines;
  for (const Event& event : events_) lines.push_back(tell(event));
  return lines;
}

Lines Market::book() const {
  Lines lines;
  for (const Side side : {Side::kBuy, Side::kSell}) {
    for (Handle h = engine_.first_of_side(symbol_, side); h != kNoHandle;
         h = engine_.next_of_side(h)) {
      const OrderState order = engine_.order(h);
      lines.push_back(std::to_string(order.order_id) + ":" + at(order.remaining, order.price));
    }
  }
  return lines;
}

}  // namespace trading::core::tests
