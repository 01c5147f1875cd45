// Recovery, reading, depth changes, handles, and the parts below the book.
#include <doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "account_index.hpp"
#include "id_table.hpp"
#include "market.hpp"
#include "price_ladder.hpp"

using namespace trading::core;
using namespace trading::core::tests;

namespace {

// A small generator of our own: the tests must be the same everywhere.
class Random {
 public:
  std::uint64_t below(std::uint64_t bound) { return (word() << 31 ^ word()) % bound; }

 private:
  std::uint64_t word() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return state_ >> 33;
  }
  std::uint64_t state_ = 42;
};

std::map<std::int64_t, std::int64_t> depth_of(const MatchingEngine& engine, Side side) {
  std::vector<trading::wire::Level> levels;
  engine.depth(0, side, SIZE_MAX, levels);
  std::map<std::int64_t, std::int64_t> result;
  for (const auto& level : levels) result[level.price] = level.quantity;
  CHECK(result.size() == levels.size());
  return result;
}

}  // namespace

TEST_CASE("restored orders stand where their priority puts them, in whatever order they come") {
  Market first;
  first.quietly({buy(1, 5, 50, 7), buy(2, 5, 50, 8), buy(3, 5, 51, 7), sell(4, 5, 60, 7),
                 replace(1, 6, 0, 7), sell(5, 1, 51, 9)});
  std::vector<OrderState> orders;
  for (const std::int64_t id : {4, 1, 3, 2}) orders.push_back(*first.engine().find(0, id));
  Market second;
  for (const OrderState& order : orders) {
    Handle handle = kNoHandle;
    CHECK(second.engine().restore(order, &handle) == Code::kOk);
    CHECK(second.engine().order(handle).order_id == order.order_id);
  }
  second.engine().set_counters(0, first.engine().counters(0));
  CHECK(second.book() == first.book());
  CHECK(second.engine().state_hash(0) == first.engine().state_hash(0));
  CHECK(second.run({of_kind(Kind::kCancelAll, 7)}) == first.run({of_kind(Kind::kCancelAll, 7)}));
}

TEST_CASE("restore refuses what cannot be, and changes nothing") {
  Market market;
  market.quietly({sell(1, 5, 60)});
  const OrderState good{.order_id = 2, .price = 50, .quantity = 5, .remaining = 5, .priority = 9};
  const auto refused = [&](auto spoil, Code code) {
    OrderState order = good;
    spoil(order);
    Handle handle = kNoHandle;
    CHECK(market.engine().restore(order, &handle) == code);
    CHECK(handle == kNoHandle);
  };
  refused([](OrderState& o) { o.order_id = 1; }, Code::kDuplicateOther);
  refused([](OrderState& o) { o.order_id = 0; }, Code::kInvalidOrder);
  refused([](OrderState& o) { o.price = 60; }, Code::kInvalidOrder);
  refused([](OrderState& o) { o.remaining = 0; }, Code::kInvalidOrder);
  refused([](OrderState& o) { o.remaining = 6; }, Code::kInvalidOrder);
  refused([](OrderState& o) { o.priority = 0; }, Code::kInvalidOrder);
  refused([](OrderState& o) { o.type = OrderType::kMarket; }, Code::kInvalidOrder);
  refused([](OrderState& o) { o.symbol = 3; }, Code::kUnknownSymbol);
  CHECK(market.book() == Lines{"1:5@60"});
  Handle handle = kNoHandle;
  CHECK(market.engine().restore(good, &handle) == Code::kOk);
  CHECK(market.engine().counters(0).priority == 9);
}

TEST_CASE("the state hash sees orders, their turn, counters and phase") {
  std::set<std::uint64_t> hashes;
  Market market;
  const auto differs = [&] { CHECK(hashes.insert(market.engine().state_hash(0)).second); };
  differs();
  market.quietly({buy(1, 5, 50)});
  differs();
  market.quietly({buy(2, 5, 50)});
  differs();
  market.quietly({replace(1, 0, 0)});
  differs();
  market.quietly({of_kind(Kind::kHalt)});
  differs();
  market.engine().set_counters(0, {.trade_id = 1, .priority = 3});
  differs();
}

TEST_CASE("a handle lives from rested to ended and is not given again in the same batch") {
  Market market;
  market.quietly({buy(1, 1, 50), cancel(1), buy(2, 1, 50), cancel(2), buy(3, 1, 50)});
  std::set<Handle> given;
  for (const Event& event : market.events()) {
    if (event.kind == EventKind::kRested) CHECK(given.insert(event.handle).second);
  }
  CHECK(market.engine().handles_past() == 3);
  market.quietly({buy(4, 1, 50), buy(5, 1, 50)});
  CHECK(market.engine().handles_past() == 3);  // now they are given again
}

TEST_CASE("symbols are independent and a removed one leaves nothing behind") {
  MatchingEngine engine;
  EventBuffer events;
  const std::uint32_t first = engine.add_symbol();
  const std::uint32_t second = engine.add_symbol();
  Command order = buy(1, 1, 50, 7);
  for (const std::uint32_t symbol : {first, second}) {
    order.symbol = symbol;
    engine.apply({&order, 1}, events);
  }
  CHECK(engine.open_orders(first, 7) == 1);
  CHECK(engine.first_of_account(first, 7) != engine.first_of_account(second, 7));
  engine.remove_symbol(first);
  engine.check_invariants();
  CHECK_FALSE(engine.has_symbol(first));
  CHECK(engine.open_orders() == 1);
  CHECK(engine.add_symbol() == first);
  CHECK(engine.open_orders(first) == 0);
  CHECK(engine.open_orders(first, 7) == 0);
  CHECK(engine.counters(first).priority == 0);
}

TEST_CASE("changes of depth, applied one after the other, give the depth") {
  Market market;
  Random random;
  std::map<std::int64_t, std::int64_t> followed[2];
  for (int round = 0; round < 300; ++round) {
    for (int i = 0; i < 7; ++i) {
      const auto id = static_cast<std::int64_t>(random.below(60)) + 1;
      const auto price = static_cast<std::int64_t>(random.below(40) * random.below(40)) + 1;
      const auto side = static_cast<Side>(random.below(2));
      market.quietly({place(side, id, 1 + static_cast<std::int64_t>(random.below(5)), price)});
      market.quietly({random.below(2) == 0 ? cancel(id) : change(Kind::kReduce, id, 1)});
    }
    std::vector<DepthChange> changes;
    CHECK(market.engine().take_depth_changes(0, changes));
    for (const DepthChange& change : changes) {
      auto& levels = followed[static_cast<int>(change.side)];
      if (change.quantity == 0) {
        levels.erase(change.price);
      } else {
        levels[change.price] = change.quantity;
      }
    }
    for (const Side side : {Side::kBuy, Side::kSell})
      CHECK(followed[static_cast<int>(side)] == depth_of(market.engine(), side));
  }
  std::vector<DepthChange> none;
  CHECK(market.engine().take_depth_changes(0, none));
  CHECK(none.empty());
}

TEST_CASE("too many changed levels are told as such, once") {
  Market market;
  for (std::int64_t i = 1; i <= static_cast<std::int64_t>(MatchingEngine::kDirtyLevelsMax) + 1;
       ++i) {
    EventBuffer events;
    const Command command = buy(i, 1, i * 1000);
    market.engine().apply({&command, 1}, events);
  }
  std::vector<DepthChange> changes;
  CHECK_FALSE(market.engine().take_depth_changes(0, changes));
  CHECK(changes.empty());
  market.quietly({cancel(5)});
  CHECK(market.engine().take_depth_changes(0, changes));
  CHECK(changes.size() == 1);
  CHECK(changes[0].price == 5000);
}

TEST_CASE("prices at the ends of the range trade like others") {
  Market market;
  const std::int64_t highest = INT64_MAX;
  CHECK(market.run({sell(1, 1, highest), buy(2, 1, 1), sell(3, 1, highest - 1), buy(4, 1, 2)})
            .size() == 8);
  CHECK(market.book() == Lines{"4:1@2", "2:1@1", "3:1@" + std::to_string(highest - 1),
                               "1:1@" + std::to_string(highest)});
  CHECK(market.run({buy(5, 1, highest)})[1] == "trade 5x3 1@" + std::to_string(highest - 1));
  CHECK(market.run({sell(6, 1, 1)})[1] == "trade 6x4 1@2");
}

TEST_CASE("the ladder is a sorted map of levels for any prices") {
  for (const std::uint64_t span : {50ULL, 5'000ULL, 3'000'000ULL, 1ULL << 60}) {
    Random random;
    PriceLadder ladder;
    std::map<Key, std::int64_t> model;
    Key middle = 0;
    for (int i = 0; i < 20'000; ++i) {
      if (random.below(500) == 0)
        middle = static_cast<Key>(random.below(span * 4)) - static_cast<Key>(span * 2);
      Key key = middle + static_cast<Key>(random.below(random.below(span) + 1));
      if (random.below(300) == 0) key = random.below(2) == 0 ? INT64_MIN : INT64_MAX;
      if (!model.empty() && random.below(2) == 0) {
        const auto found = model.lower_bound(key);
        key = found == model.end() ? model.begin()->first : found->first;
        CHECK(ladder.find(key)->quantity == model[key]);
        ladder.find(key)->quantity = 0;
        ladder.erase(key);
        model.erase(key);
      } else {
        ladder.acquire(key).quantity += 1;
        model[key] += 1;
      }
      REQUIRE(ladder.empty() == model.empty());
      REQUIRE(ladder.levels() == model.size());
      if (!model.empty()) REQUIRE(ladder.best_key() == model.begin()->first);
      if (i % 1'000 != 0 || model.empty()) continue;
      Key at = ladder.best_key();
      const Level* level = &ladder.best();
      for (auto it = model.begin(); it != model.end(); ++it) {
        REQUIRE(at == it->first);
        REQUIRE(level->quantity == it->second);
        REQUIRE(ladder.next(at, &at, &level) == (std::next(it) != model.end()));
      }
    }
  }
}

TEST_CASE("the memory of a ladder is bounded by its levels, not by its prices") {
  PriceLadder ladder;
  for (Key i = 0; i < 5'000; ++i) ladder.acquire(i * 1'000'000'007).quantity = 1;
  CHECK(ladder.memory_bytes() < 5'000 * 1'024);
}

TEST_CASE("the id table finds any ids, dense, sparse or alike in their low bits") {
  for (const std::int64_t stride :
       {std::int64_t{1}, std::int64_t{8}, std::int64_t{1} << 20, std::int64_t{1} << 33}) {
    Random random;
    OrderPool pool;
    IdTable table;
    std::map<std::int64_t, Handle> model;
    for (int i = 0; i < 20'000; ++i) {
      // More and more of them: finds and ends fall into the time in which a larger table is filled.
      const std::uint64_t ids = 40 + static_cast<std::uint64_t>(i) / 10;
      const std::int64_t id = (1 + static_cast<std::int64_t>(random.below(ids))) * stride;
      const auto found = model.find(id);
      REQUIRE(table.find(id, pool) == (found == model.end() ? kNoHandle : found->second));
      if (found == model.end()) {
        const Handle handle = pool.allocate();
        pool[handle].order_id = id;
        table.insert(id, handle);
        model[id] = handle;
      } else {
        table.erase(id, found->second);
        pool.release(found->second);
        model.erase(found);
      }
      REQUIRE(table.size() == model.size());
    }
  }
}

TEST_CASE("fetching ahead in a deep book changes nothing") {
  Random random;
  std::vector<Command> commands;
  for (std::int64_t id = 1; id <= 60'000; ++id) {
    const auto account = static_cast<std::int64_t>(random.below(50));
    const auto away = static_cast<std::int64_t>(random.below(3'000));
    const bool sells = random.below(2) == 1;
    commands.push_back(place(sells ? Side::kSell : Side::kBuy, id, 5,
                             sells ? 9'990 + away : 10'010 - away, account));
    if (id < 40'000 || random.below(3) != 0) continue;
    const auto target = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(id))) + 1;
    const std::int64_t owner = commands[static_cast<std::size_t>(target) - 1].account;
    switch (random.below(5)) {
      case 0:
        commands.push_back(cancel(target, owner));
        break;
      case 1:
        commands.push_back(change(Kind::kReduce, target, 1, owner));
        break;
      case 2:
        commands.push_back(instead_of(target, buy(100'000 + id, 1, 9'000, owner)));
        break;
      case 3:
        commands.push_back(ioc(sell(200'000 + id, 9, 9'900, owner)));
        break;
      default:
        commands.push_back(replace(target, 3, 10'000 + away / 10, owner));
    }
  }
  MatchingEngine whole;
  MatchingEngine single;
  EventBuffer events;
  EventBuffer single_events;
  whole.add_symbol();
  single.add_symbol();
  whole.apply(std::span(commands).first(45'000), events);
  whole.apply(std::span(commands).subspan(45'000), events);
  for (const Command& command : commands) single.apply({&command, 1}, single_events);
  whole.check_invariants();
  CHECK(whole.open_orders() > 40'000);
  CHECK(events.size() == single_events.size());
  CHECK(whole.state_hash(0) == single.state_hash(0));
}

TEST_CASE("accounts without orders do not pile up") {
  Market market;
  for (std::int64_t account = 1; account <= 50'000; ++account) {
    EventBuffer events;
    const Command commands[] = {buy(1, 1, 50, account), cancel(1, account)};
    market.engine().apply(commands, events);
  }
  market.engine().check_invariants();
  CHECK(market.engine().memory_bytes() < (4U << 20));
}
