// The payload of a slot_log row: what the partition accepted, so that replaying it gives the same
// books.
//
// Byte 0: version (2). Then records, each: kind, side | type << 4, time_in_force | self_trade << 4,
// flags, length of the symbol, length of the client id (one byte each), the symbol, the client id,
// then order_id, target_id, account, price, quantity, quote_quantity and the time in microseconds
// less that of the record before (the first: of 0), each as zig-zag LEB128.
#pragma once

#include <cstdint>
#include <string_view>

#include "trading/core/command.hpp"
#include "trading/sequencer/bytes.hpp"

namespace trading::sequencer {

inline constexpr char kLogVersion = 2;

inline char* put_varint(char* at, std::int64_t value) {
  auto bits = static_cast<std::uint64_t>(value) << 1U ^ static_cast<std::uint64_t>(value >> 63);
  while (bits >= 128) {
    at = put(at, static_cast<char>(bits | 128U));
    bits >>= 7U;
  }
  return put(at, static_cast<char>(bits));
}

inline void append_log(Bytes& out, const core::Command& c, std::string_view symbol,
                       std::string_view client_id, std::int64_t time_step_us) {
  char* at = out.room(1 + 6 + symbol.size() + client_id.size() + 7 * 10);
  if (out.empty()) at = put(at, kLogVersion);
  const auto byte = [&](unsigned value) { at = put(at, static_cast<char>(value)); };
  byte(static_cast<unsigned>(c.kind));
  byte(static_cast<unsigned>(c.side) | static_cast<unsigned>(c.type) << 4U);
  byte(static_cast<unsigned>(c.time_in_force) | static_cast<unsigned>(c.self_trade) << 4U);
  byte(c.flags);
  byte(static_cast<unsigned>(symbol.size()));
  byte(static_cast<unsigned>(client_id.size()));
  at = put_text(put_text(at, symbol), client_id);
  for (const std::int64_t word :
       {c.order_id, c.target_id, c.account, c.price, c.quantity, c.quote_quantity, time_step_us}) {
    at = put_varint(at, word);
  }
  out.extend_to(at);
}

}  // namespace trading::sequencer
