// What the core does not need to know of an order, and what the shard stores of it. Indexed by the
// core's handle while the order rests.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "trading/sequencer/idempotency.hpp"
#include "trading/wire.hpp"

namespace trading::sequencer {

// Of an order in the running batch: what open_orders must be told.
enum class Touch : std::uint8_t { kNone, kInserted, kUpdated };

struct ColdOrder {
  std::int64_t order_id = 0;
  std::int64_t account = 0;
  std::int64_t price = 0;
  std::int64_t quantity = 0;
  std::int64_t executed = 0;
  std::int64_t executed_quote = 0;
  std::int64_t prevented = 0;
  std::int64_t priority = 0;
  std::int64_t entry_trade_id = 0;
  std::int64_t body_hash = 0;
  std::int64_t created_us = 0;
  std::int64_t updated_us = 0;  // of the last change
  std::int64_t seq = 0;
  ClientKey key;
  std::uint32_t symbol = 0;
  std::uint32_t generation = 0;  // tells orders apart that had the same handle in one batch
  char client_id[wire::kClientIdBytes] = {};
  wire::Side side{};
  wire::OrderType type{};
  wire::TimeInForce time_in_force{};
  wire::SelfTrade self_trade{};
  Touch touch = Touch::kNone;
  bool open = false;

  [[nodiscard]] std::string_view client() const {
    return {client_id, strnlen(client_id, sizeof client_id)};
  }
  [[nodiscard]] wire::OrderStatus open_status() const {
    return executed > 0 ? wire::OrderStatus::kPartiallyFilled : wire::OrderStatus::kNew;
  }
  // The packed column; see the schema.
  [[nodiscard]] std::int32_t attributes(wire::OrderStatus status, wire::EndReason reason) const {
    return static_cast<std::int32_t>(
        static_cast<std::uint32_t>(side) | static_cast<std::uint32_t>(type) << 4U |
        static_cast<std::uint32_t>(time_in_force) << 8U |
        static_cast<std::uint32_t>(self_trade) << 12U | static_cast<std::uint32_t>(status) << 16U |
        static_cast<std::uint32_t>(reason) << 20U);
  }
};

}  // namespace trading::sequencer
