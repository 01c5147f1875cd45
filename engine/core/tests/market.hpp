// One symbol and short words for what is sent to it and what it answers.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <string>
#include <vector>

#include "trading/core/matching_engine.hpp"

namespace trading::core::tests {

using Lines = std::vector<std::string>;

// One event in words, e.g. "trade 2x1 3@100", "ended 1 expired ioc-unfilled lost 2".
std::string tell(const Event& event);

inline Command place(Side side, std::int64_t id, std::int64_t quantity, std::int64_t price,
                     std::int64_t account = 0) {
  return {.order_id = id,
          .account = account,
          .price = price,
          .quantity = quantity,
          .kind = Kind::kPlace,
          .side = side};
}
inline Command buy(std::int64_t id, std::int64_t quantity, std::int64_t price,
                   std::int64_t account = 0) {
  return place(Side::kBuy, id, quantity, price, account);
}
inline Command sell(std::int64_t id, std::int64_t quantity, std::int64_t price,
                    std::int64_t account = 0) {
  return place(Side::kSell, id, quantity, price, account);
}
inline Command ioc(Command command) {
  command.time_in_force = TimeInForce::kIoc;
  return command;
}
inline Command fok(Command command) {
  command.time_in_force = TimeInForce::kFok;
  return command;
}
inline Command maker_only(Command command) {
  command.type = OrderType::kLimitMaker;
  return command;
}
inline Command with(SelfTrade mode, Command command) {
  command.self_trade = mode;
  return command;
}
inline Command market(Side side, std::int64_t id, std::int64_t quantity, std::int64_t account = 0) {
  Command command = place(side, id, quantity, 0, account);
  command.type = OrderType::kMarket;
  return command;
}
inline Command market_quote(Side side, std::int64_t id, std::int64_t quote,
                            std::int64_t account = 0) {
  Command command = market(side, id, 0, account);
  command.quote_quantity = quote;
  return command;
}
inline Command change(Kind kind, std::int64_t id, std::int64_t quantity = 0,
                      std::int64_t account = 0) {
  return {.order_id = id, .account = account, .quantity = quantity, .kind = kind};
}
inline Command cancel(std::int64_t id, std::int64_t account = 0) {
  return change(Kind::kCancel, id, 0, account);
}
inline Command replace(std::int64_t id, std::int64_t quantity, std::int64_t price,
                       std::int64_t account = 0) {
  Command command = change(Kind::kReplace, id, quantity, account);
  command.price = price;
  return command;
}
inline Command instead_of(std::int64_t target, Command command, bool allow_failure = false) {
  command.kind = Kind::kCancelReplace;
  command.target_id = target;
  command.flags = allow_failure ? wire::flag::kAllowFailure : std::uint8_t{0};
  return command;
}
inline Command of_kind(Kind kind, std::int64_t account = 0) {
  return {.account = account, .kind = kind};
}

class Market {
 public:
  explicit Market(const SymbolLimits& limits = {}) : symbol_(engine_.add_symbol(limits)) {}

  // Runs the commands as one batch, checks all invariants, and tells what happened.
  Lines run(std::initializer_list<Command> commands);
  void quietly(std::initializer_list<Command> commands) { run(commands); }

  // The L3 book, "id:lots@price", bids then asks, each best first, then oldest.
  [[nodiscard]] Lines book() const;
  MatchingEngine& engine() { return engine_; }
  [[nodiscard]] const EventBuffer& events() const { return events_; }

 private:
  MatchingEngine engine_;
  std::uint32_t symbol_;
  EventBuffer events_;
};

}  // namespace trading::core::tests

namespace std {
inline ostream& operator<<(ostream& out, const vector<string>& lines) {
  out << "{\n";
  for (const string& line : lines) out << "  \"" << line << "\",\n";
  return out << "}";
}
}  // namespace std
