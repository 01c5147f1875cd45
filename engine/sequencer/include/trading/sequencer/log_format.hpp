// The payload of a slot_log row: what the partition accepted, so that replaying it gives the same books.
//
// byte 0: version (1). Then records: kind, side | type << 4, time_in_force | self_trade << 4, flags,
// length of the symbol, length of the client id (one byte each), order_id, target_id, account, price,
// quantity, quote_quantity, time_us (8 bytes each, little-endian), the symbol, the client id.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "trading/core/command.hpp"

namespace trading::sequencer {

inline constexpr char kLogVersion = 1;

inline void append_log(std::string& out, const core::Command& c, std::string_view symbol,
                       std::string_view client_id, std::int64_t time_us) {
  if (out.empty()) out.push_back(kLogVersion);
  const auto byte = [&](unsigned value) { out.push_back(static_cast<char>(value)); };
  byte(static_cast<unsigned>(c.kind));
  byte(static_cast<unsigned>(c.side) | static_cast<unsigned>(c.type) << 4U);
  byte(static_cast<unsigned>(c.time_in_force) | static_cast<unsigned>(c.self_trade) << 4U);
  byte(c.flags);
  byte(static_cast<unsigned>(symbol.size()));
  byte(static_cast<unsigned>(client_id.size()));
  for (const std::int64_t word : {c.order_id, c.target_id, c.account, c.price, c.quantity,
                                  c.quote_quantity, time_us}) {
    out.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  out.append(symbol).append(client_id);
}

}  // namespace trading::sequencer
