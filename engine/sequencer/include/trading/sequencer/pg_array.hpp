// One-dimensional PostgreSQL arrays in the binary format of the wire protocol (array_recv): ready to
// be sent as a parameter.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace trading::sequencer {

namespace oid {
inline constexpr std::uint32_t kBool = 16, kBytea = 17, kInt8 = 20, kInt2 = 21, kInt4 = 23,
                               kText = 25;
}

template <typename Integer>
inline void append_big_endian(std::string& out, Integer value) {
  using U = std::make_unsigned_t<Integer>;
  char bytes[sizeof(Integer)];
  auto bits = static_cast<U>(value);
  for (std::size_t i = sizeof(Integer); i-- > 0;) {
    bytes[i] = static_cast<char>(bits & 0xFFU);
    if constexpr (sizeof(Integer) > 1) bits = static_cast<U>(bits >> 8U);
  }
  out.append(bytes, sizeof(Integer));
}

class PgArray {
 public:
  explicit PgArray(std::uint32_t element) : element_(element) { clear(); }

  void clear() {
    bytes_.assign(20, '\0');
    count_ = 0;
  }
  [[nodiscard]] std::uint32_t count() const { return count_; }

  void add(std::int64_t value) { add_integer<std::int64_t>(value); }
  void add(std::int32_t value) { add_integer<std::int32_t>(value); }
  void add(std::int16_t value) { add_integer<std::int16_t>(value); }
  void add(bool value) { add_integer<std::int8_t>(value ? 1 : 0); }
  void add(std::string_view text) {
    append_big_endian(bytes_, static_cast<std::int32_t>(text.size()));
    bytes_.append(text);
    ++count_;
  }

  // The whole parameter; valid until the next change.
  std::string_view finish() {
    if (count_ == 0) {
      bytes_.clear();
      append_big_endian<std::int32_t>(bytes_, 0);
      append_big_endian<std::int32_t>(bytes_, 0);
      append_big_endian(bytes_, element_);
      return bytes_;
    }
    std::string head;
    append_big_endian<std::int32_t>(head, 1);  // dimensions
    append_big_endian<std::int32_t>(head, 0);  // no nulls
    append_big_endian(head, element_);
    append_big_endian(head, count_);
    append_big_endian<std::int32_t>(head, 1);  // lower bound
    std::memcpy(bytes_.data(), head.data(), head.size());
    return bytes_;
  }

 private:
  template <typename Integer>
  void add_integer(Integer value) {
    append_big_endian(bytes_, static_cast<std::int32_t>(sizeof(Integer)));
    append_big_endian(bytes_, value);
    ++count_;
  }

  std::uint32_t element_;
  std::uint32_t count_ = 0;
  std::string bytes_;
};

}  // namespace trading::sequencer
