// Writing msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md): what publications need.
// Each function writes at `at` and returns the end; the caller has made room.
#pragma once

#include <cstdint>
#include <string_view>

#include "trading/sequencer/bytes.hpp"

namespace trading::sequencer::msgpack {

inline constexpr std::size_t kIntegerBytesMax = 9;
inline constexpr std::size_t kHeadBytesMax = 5;  // of an array, a map or a text

inline char* nil(char* at) {
  return put(at, '\xc0');
}
inline char* boolean(char* at, bool value) {
  return put(at, value ? '\xc3' : '\xc2');
}

inline char* integer(char* at, std::int64_t value) {
  if (value >= 0 && value < 128) return put(at, static_cast<char>(value));
  if (value >= INT32_MIN && value <= INT32_MAX) {
    return put_big_endian(put(at, '\xd2'), static_cast<std::int32_t>(value));
  }
  return put_big_endian(put(at, '\xd3'), value);
}

inline char* text(char* at, std::string_view value) {  // up to 255 bytes
  if (value.size() < 32) {
    at = put(at, static_cast<char>(0xa0U | value.size()));
  } else {
    at = put(put(at, '\xd9'), static_cast<char>(value.size()));
  }
  return put_text(at, value);
}

inline char* array(char* at, std::size_t count) {
  if (count < 16) return put(at, static_cast<char>(0x90U | count));
  return put_big_endian(put(at, '\xdd'), static_cast<std::uint32_t>(count));
}

inline char* map(char* at, std::size_t count) {
  if (count < 16) return put(at, static_cast<char>(0x80U | count));
  return put_big_endian(put(at, '\xde'), static_cast<std::uint16_t>(count));
}

}  // namespace trading::sequencer::msgpack
