#include "tape.hpp"

#include "trading/core/matching_engine.hpp"

namespace trading::benchmarks {
namespace {

using namespace core;

constexpr std::int64_t kMiddle = 1'000'000;

// Steele, Lea, Flood: SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::int64_t below(std::int64_t bound) {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return static_cast<std::int64_t>((z ^ (z >> 31)) % static_cast<std::uint64_t>(bound));
  }

 private:
  std::uint64_t state_;
};

// Makes commands and runs them at once, to know which orders are open.
class Maker {
 public:
  explicit Maker(const Mix& mix) : mix_(mix), random_(mix.resting * 31 + mix.messages) {
    symbol_ = engine_.add_symbol();
  }

  Tape make() {
    Tape tape;
    while (static_cast<std::int64_t>(open_.size()) < mix_.resting)
      add(tape.filling, place(TimeInForce::kGtc, 1 + random_.below(mix_.price_span)));
    for (std::int64_t i = 0; i < mix_.messages; ++i) add(tape.measured, next());
    return tape;
  }

 private:
  Command next() {
    const std::int64_t dice = random_.below(100);
    // The book keeps its depth: places and cancels give way to each other.
    const bool shallow = static_cast<std::int64_t>(open_.size()) < mix_.resting;
    const int places = mix_.places + mix_.cancels;
    if (dice < mix_.immediates) return place(TimeInForce::kIoc, -random_.below(5));
    if (dice < mix_.immediates + places) {
      const bool wanted = dice - mix_.immediates < mix_.places;
      if (shallow || (wanted && mix_.places <= mix_.cancels)) {
        // One in twenty crosses the spread.
        const bool crosses = random_.below(20) == 0;
        return place(TimeInForce::kGtc, crosses ? -random_.below(3) : distance());
      }
      return change(Kind::kCancel);
    }
    if (dice < mix_.immediates + places + mix_.reduces) return change(Kind::kReduce);
    return change(Kind::kReplace);
  }

  // Ticks from the middle, into the own side.
  std::int64_t distance() { return 1 + random_.below(mix_.price_span); }

  Command place(TimeInForce time_in_force, std::int64_t distance) {
    const bool sell = random_.below(2) == 1;
    return {.order_id = ++last_id_,
            .account = 1 + random_.below(mix_.accounts),
            .price = sell ? kMiddle + distance : kMiddle - distance,
            .quantity = 1 + random_.below(100),
            .symbol = symbol_,
            .kind = Kind::kPlace,
            .side = sell ? Side::kSell : Side::kBuy,
            .type = OrderType::kLimit,
            .time_in_force = time_in_force,
            .self_trade = SelfTrade::kExpireTaker};
  }

  Command change(Kind kind) {
    const auto i = static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(open_.size())));
    const OrderState order = *engine_.find(symbol_, open_[i]);
    Command command{
        .order_id = order.order_id, .account = order.account, .symbol = symbol_, .kind = kind};
    if (kind == Kind::kReduce) command.quantity = 1;
    if (kind == Kind::kReplace) {
      const std::int64_t off = random_.below(200) == 0 ? -random_.below(3) : distance();
      command.price = order.side == Side::kSell ? kMiddle + off : kMiddle - off;
    }
    return command;
  }

  void add(std::vector<Command>& tape, const Command& command) {
    tape.push_back(command);
    events_.clear();
    engine_.apply({&command, 1}, events_);
    for (const Event& event : events_) {
      const auto id = static_cast<std::size_t>(event.order_id);
      if (place_of_.size() <= id) place_of_.resize(id * 2 + 1024, kAbsent);
      if (event.kind == EventKind::kRested && place_of_[id] == kAbsent) {
        place_of_[id] = open_.size();
        open_.push_back(event.order_id);
      } else if (event.kind == EventKind::kEnded && place_of_[id] != kAbsent) {
        const std::size_t i = place_of_[id];
        place_of_[static_cast<std::size_t>(open_.back())] = i;
        open_[i] = open_.back();
        open_.pop_back();
        place_of_[id] = kAbsent;
      }
    }
  }

  static constexpr std::size_t kAbsent = SIZE_MAX;

  const Mix& mix_;
  Random random_;
  MatchingEngine engine_;
  EventBuffer events_;
  std::uint32_t symbol_ = 0;
  std::int64_t last_id_ = 0;
  std::vector<std::int64_t> open_;     // ids, in no order
  std::vector<std::size_t> place_of_;  // id -> index in open_
};

}  // namespace

Tape make_tape(const Mix& mix) {
  return Maker(mix).make();
}

std::vector<Mix> standard_mixes() {
  return {
      {"exchange-core-mix", 1'000, 2'000'000, 100, 1'000, 9, 3, 6, 0},
      {"deep-10k", 10'000, 2'000'000, 2'000, 1'000, 25, 5, 25, 5},
      {"deep-1m", 1'000'000, 2'000'000, 20'000, 10'000, 25, 5, 25, 5},
  };
}

}  // namespace trading::benchmarks
