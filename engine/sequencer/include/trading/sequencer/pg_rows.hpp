// An array of rows (of a composite type) in the binary format of PostgreSQL's wire protocol
// (array_recv, record_recv): ready to be sent as a parameter. One such array costs the server a
// tenth of what one array per column does.
#pragma once

#include <cstdint>
#include <string_view>

#include "trading/sequencer/bytes.hpp"

namespace trading::sequencer {

struct Bytea {
  std::string_view bytes;
};

class PgRows {
 public:
  PgRows() { clear(); }

  void clear() {
    bytes_.clear();
    bytes_.extend_to(bytes_.room(kHeadBytes) + kHeadBytes);
    count_ = 0;
  }

  // One row; the types of the columns are those of the values.
  template <typename... Columns>
  void add(const Columns&... columns) {
    const std::size_t size = kCountBytes + (field_bytes(columns) + ...);
    char* at = bytes_.room(kLengthBytes + size);
    at = put_big_endian(at, static_cast<std::int32_t>(size));
    at = put_big_endian(at, static_cast<std::int32_t>(sizeof...(columns)));
    ((at = put_field(at, columns)), ...);
    bytes_.extend_to(at);
    ++count_;
  }

  // The whole parameter; `type` is the shard's number of the row type. Valid until the next change.
  std::string_view finish(std::uint32_t type) {
    char* at = bytes_.data();
    at = put_big_endian<std::int32_t>(at, count_ == 0 ? 0 : 1);  // dimensions
    at = put_big_endian<std::int32_t>(at, 0);                    // no nulls
    at = put_big_endian(at, type);
    if (count_ == 0) return bytes_.view().substr(0, kEmptyBytes);
    at = put_big_endian(at, count_);
    put_big_endian<std::int32_t>(at, 1);  // lower bound
    return bytes_.view();
  }

 private:
  static constexpr std::size_t kHeadBytes = 20, kEmptyBytes = 12, kLengthBytes = 4,
                               kCountBytes = 4, kFieldHeadBytes = 8;

  // Numbers of built-in types are the same on every server.
  static constexpr std::uint32_t type_of(bool) { return 16; }
  static constexpr std::uint32_t type_of(const Bytea&) { return 17; }
  static constexpr std::uint32_t type_of(std::int64_t) { return 20; }
  static constexpr std::uint32_t type_of(std::int16_t) { return 21; }
  static constexpr std::uint32_t type_of(std::int32_t) { return 23; }
  static constexpr std::uint32_t type_of(std::string_view) { return 25; }

  static std::size_t field_bytes(std::string_view text) { return kFieldHeadBytes + text.size(); }
  static std::size_t field_bytes(const Bytea& raw) { return field_bytes(raw.bytes); }
  template <typename Integer>
  static constexpr std::size_t field_bytes(Integer) {
    return kFieldHeadBytes + sizeof(Integer);
  }

  static char* put_value(char* at, std::string_view text) { return put_text(at, text); }
  static char* put_value(char* at, const Bytea& raw) { return put_text(at, raw.bytes); }
  static char* put_value(char* at, bool value) { return put(at, value ? '\1' : '\0'); }
  template <typename Integer>
  static char* put_value(char* at, Integer value) {
    return put_big_endian(at, value);
  }

  template <typename Column>
  static char* put_field(char* at, const Column& column) {
    at = put_big_endian(at, type_of(column));
    at = put_big_endian(at, static_cast<std::int32_t>(field_bytes(column) - kFieldHeadBytes));
    return put_value(at, column);
  }

  std::uint32_t count_ = 0;
  Bytes bytes_;
};

}  // namespace trading::sequencer
