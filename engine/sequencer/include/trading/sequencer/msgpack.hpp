// Writing msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md): what publications need.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "trading/sequencer/pg_array.hpp"

namespace trading::sequencer::msgpack {

inline void nil(std::string& out) { out.push_back('\xc0'); }
inline void boolean(std::string& out, bool value) { out.push_back(value ? '\xc3' : '\xc2'); }

inline void integer(std::string& out, std::int64_t value) {
  if (value >= 0 && value < 128) {
    out.push_back(static_cast<char>(value));
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    out.push_back('\xd2');
    append_big_endian(out, static_cast<std::int32_t>(value));
  } else {
    out.push_back('\xd3');
    append_big_endian(out, value);
  }
}

inline void text(std::string& out, std::string_view value) {  // up to 255 bytes
  if (value.size() < 32) {
    out.push_back(static_cast<char>(0xa0U | value.size()));
  } else {
    out.push_back('\xd9');
    out.push_back(static_cast<char>(value.size()));
  }
  out.append(value);
}

inline void array(std::string& out, std::size_t count) {
  if (count < 16) {
    out.push_back(static_cast<char>(0x90U | count));
  } else {
    out.push_back('\xdd');
    append_big_endian(out, static_cast<std::uint32_t>(count));
  }
}

inline void map(std::string& out, std::size_t count) {
  if (count < 16) {
    out.push_back(static_cast<char>(0x80U | count));
  } else {
    out.push_back('\xde');
    append_big_endian(out, static_cast<std::uint16_t>(count));
  }
}

}  // namespace trading::sequencer::msgpack
