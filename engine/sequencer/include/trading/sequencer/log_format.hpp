// The payload of a slot_log row: what the partition accepted, so that replaying it gives the same
// books.
//
// Byte 0: version (3). Then records, each: kind, side | type << 4, time_in_force | self_trade << 4,
// flags, length of the symbol, length of the client id (one byte each), the symbol, the client id,
// then order_id, target_id, account, price, quantity, quote_quantity and the time in microseconds
// less that of the record before (the first: of 0), each as zig-zag LEB128; then, of a command that
// places an order, its body_hash (8 bytes, little-endian). Version 2 had no body_hash.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "trading/core/command.hpp"
#include "trading/sequencer/bytes.hpp"

namespace trading::sequencer {

inline constexpr char kLogVersion = 3;

inline bool places(wire::Kind kind) {
  return kind == wire::Kind::kPlace || kind == wire::Kind::kCancelReplace;
}

inline char* put_varint(char* at, std::int64_t value) {
  auto bits = static_cast<std::uint64_t>(value) << 1U ^ static_cast<std::uint64_t>(value >> 63);
  while (bits >= 128) {
    at = put(at, static_cast<char>(bits | 128U));
    bits >>= 7U;
  }
  return put(at, static_cast<char>(bits));
}

inline void append_log(Bytes& out, const core::Command& c, std::string_view symbol,
                       std::string_view client_id, std::int64_t time_step_us,
                       std::int64_t body_hash) {
  char* at = out.room(1 + 6 + symbol.size() + client_id.size() + 7 * 10 + sizeof body_hash);
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
  if (places(c.kind)) at = put(at, body_hash);
  out.extend_to(at);
}

struct LogRecord {
  core::Command command;  // without the symbol's index
  std::string_view symbol;
  std::string_view client_id;
  std::int64_t time_us = 0;
  std::int64_t body_hash = 0;
};

// Reads what append_log wrote. Nothing is read out of bounds, whatever the bytes are.
class LogReader {
 public:
  explicit LogReader(std::string_view payload) : left_(payload) {
    ok_ = !left_.empty() && left_.front() == kLogVersion;
    if (ok_) left_.remove_prefix(1);
  }

  // False: the end, or malformed.
  bool next(LogRecord& record) {
    constexpr std::size_t kHeadBytes = 6;
    if (!ok_ || left_.empty()) return false;
    if (left_.size() < kHeadBytes) return fail();
    const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(left_[i]); };
    core::Command& c = record.command;
    c = {};
    c.kind = static_cast<wire::Kind>(byte(0));
    c.side = static_cast<wire::Side>(byte(1) & 15U);
    c.type = static_cast<wire::OrderType>(byte(1) >> 4U);
    c.time_in_force = static_cast<wire::TimeInForce>(byte(2) & 15U);
    c.self_trade = static_cast<wire::SelfTrade>(byte(2) >> 4U);
    c.flags = byte(3);
    const std::size_t symbol_size = byte(4);
    const std::size_t client_size = byte(5);
    left_.remove_prefix(kHeadBytes);
    if (symbol_size > wire::kSymbolBytes || client_size > wire::kClientIdBytes ||
        left_.size() < symbol_size + client_size) {
      return fail();
    }
    record.symbol = left_.substr(0, symbol_size);
    record.client_id = left_.substr(symbol_size, client_size);
    left_.remove_prefix(symbol_size + client_size);
    std::int64_t step_us = 0;
    for (std::int64_t* word : {&c.order_id, &c.target_id, &c.account, &c.price, &c.quantity,
                               &c.quote_quantity, &step_us}) {
      if (!varint(*word)) return fail();
    }
    if (__builtin_add_overflow(time_us_, step_us, &time_us_)) return fail();
    record.time_us = time_us_;
    record.body_hash = 0;
    if (places(c.kind)) {
      if (left_.size() < sizeof record.body_hash) return fail();
      std::memcpy(&record.body_hash, left_.data(), sizeof record.body_hash);
      left_.remove_prefix(sizeof record.body_hash);
    }
    return true;
  }

  [[nodiscard]] bool ok() const { return ok_; }

 private:
  bool fail() {
    ok_ = false;
    return false;
  }
  bool varint(std::int64_t& value) {
    std::uint64_t bits = 0;
    for (unsigned shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      bits |= static_cast<std::uint64_t>(byte & 127U) << shift;
      if (byte < 128) {
        value = static_cast<std::int64_t>(bits >> 1U ^ (0 - (bits & 1U)));
        return true;
      }
    }
    return false;
  }

  std::string_view left_;
  std::int64_t time_us_ = 0;
  bool ok_ = false;
};

}  // namespace trading::sequencer
