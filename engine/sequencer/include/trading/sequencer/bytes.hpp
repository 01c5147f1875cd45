// A growing run of bytes that is written through a pointer: one check of the room per record, not
// per field. Keeps its memory when cleared.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include "trading/core/check.hpp"

namespace trading::sequencer {

static_assert(std::endian::native == std::endian::little, "records of the wire are little-endian");

template <typename Integer>
[[nodiscard]] inline auto big_endian(Integer value) {
  static_assert(std::is_integral_v<Integer>);
  if constexpr (sizeof(Integer) == 8) {
    return __builtin_bswap64(static_cast<std::uint64_t>(value));
  } else if constexpr (sizeof(Integer) == 4) {
    return __builtin_bswap32(static_cast<std::uint32_t>(value));
  } else if constexpr (sizeof(Integer) == 2) {
    return __builtin_bswap16(static_cast<std::uint16_t>(value));
  } else {
    return static_cast<std::uint8_t>(value);
  }
}

template <typename Value>
inline char* put(char* at, const Value& value) {
  static_assert(std::is_trivially_copyable_v<Value>);
  std::memcpy(at, &value, sizeof value);
  return at + sizeof value;
}

template <typename Integer>
inline char* put_big_endian(char* at, Integer value) {
  return put(at, big_endian(value));
}

inline char* put_text(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  Bytes(Bytes&& other) noexcept { swap(other); }
  Bytes& operator=(Bytes&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Bytes() { std::free(data_); }

  // Room for `size` more bytes, not yet part of the run: write there, then extend_to() the end.
  char* room(std::size_t size) {
    if (capacity_ - size_ < size) [[unlikely]]
      grow(size);
    return data_ + size_;
  }
  void extend_to(const char* end) { size_ = static_cast<std::size_t>(end - data_); }

  template <typename Value>
  void add(const Value& value) {
    extend_to(put(room(sizeof value), value));
  }
  void append(std::string_view text) { extend_to(put_text(room(text.size()), text)); }

  void clear() { size_ = 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] char* data() { return data_; }
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }

  void swap(Bytes& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  [[gnu::noinline]] void grow(std::size_t size) {
    std::size_t wanted = capacity_ < 128 ? 256 : capacity_ * 2;
    while (wanted - size_ < size) wanted *= 2;
    auto* larger = static_cast<char*>(std::realloc(data_, wanted));
    TRADING_CHECK(larger != nullptr);
    data_ = larger;
    capacity_ = wanted;
  }

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace trading::sequencer
