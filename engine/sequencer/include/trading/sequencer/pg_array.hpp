// One-dimensional PostgreSQL arrays in the binary format of the wire protocol (array_recv): ready
// to be sent as a parameter.
#pragma once

#include <cstdint>
#include <string_view>

#include "trading/sequencer/bytes.hpp"

namespace trading::sequencer {

namespace oid {
inline constexpr std::uint32_t kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23,
                               kText = 25;
}

class PgArray {
 public:
  explicit PgArray(std::uint32_t element) : element_(element) { clear(); }

  void clear() {
    bytes_.clear();
    bytes_.extend_to(bytes_.room(kHeadBytes) + kHeadBytes);
    count_ = 0;
  }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] std::size_t capacity() const { return bytes_.capacity(); }

  void add(std::int64_t value) { add_integer(value); }
  void add(std::int32_t value) { add_integer(value); }
  void add(std::int16_t value) { add_integer(value); }
  void add(bool value) { add_integer(static_cast<std::int8_t>(value ? 1 : 0)); }
  void add(std::string_view text) {
    char* at = bytes_.room(sizeof(std::int32_t) + text.size());
    at = put_big_endian(at, static_cast<std::int32_t>(text.size()));
    bytes_.extend_to(put_text(at, text));
    ++count_;
  }

  // The whole parameter; valid until the next change.
  std::string_view finish() {
    char* at = bytes_.data();
    at = put_big_endian<std::int32_t>(at, count_ == 0 ? 0 : 1);  // dimensions
    at = put_big_endian<std::int32_t>(at, 0);                    // no nulls
    at = put_big_endian(at, element_);
    if (count_ == 0) return bytes_.view().substr(0, 12);
    at = put_big_endian(at, count_);
    put_big_endian<std::int32_t>(at, 1);  // lower bound
    return bytes_.view();
  }

 private:
  static constexpr std::size_t kHeadBytes = 20;

  template <typename Integer>
  void add_integer(Integer value) {
    char* at = bytes_.room(sizeof(std::int32_t) + sizeof value);
    at = put_big_endian(at, static_cast<std::int32_t>(sizeof value));
    bytes_.extend_to(put_big_endian(at, value));
    ++count_;
  }

  std::uint32_t element_;
  std::uint32_t count_ = 0;
  Bytes bytes_;
};

}  // namespace trading::sequencer
