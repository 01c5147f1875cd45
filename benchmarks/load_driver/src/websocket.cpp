#include "websocket.hpp"

#include <cstring>

namespace trading::load {
namespace {

constexpr std::uint64_t kPayloadBytesMax = 16U << 20;

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) {
    out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
  }
}

}  // namespace

void append_masked(std::string& out, Opcode opcode, std::string_view payload, std::uint32_t mask) {
  out.push_back(static_cast<char>(0x80 | static_cast<int>(opcode)));
  if (payload.size() < 126) {
    out.push_back(static_cast<char>(0x80 | payload.size()));
  } else if (payload.size() <= 0xffff) {
    out.push_back(static_cast<char>(0x80 | 126));
    append_big_endian(out, payload.size(), 2);
  } else {
    out.push_back(static_cast<char>(0x80 | 127));
    append_big_endian(out, payload.size(), 8);
  }
  char key[4];
  std::memcpy(key, &mask, sizeof key);
  out.append(key, sizeof key);
  const std::size_t start = out.size();
  out.append(payload);
  std::uint64_t wide = mask;
  wide |= wide << 32;
  char* at = out.data() + start;
  std::size_t left = payload.size();
  for (; left >= sizeof wide; left -= sizeof wide, at += sizeof wide) {
    std::uint64_t block;
    std::memcpy(&block, at, sizeof block);
    block ^= wide;
    std::memcpy(at, &block, sizeof block);
  }
  for (std::size_t i = 0; i < left; ++i) at[i] = static_cast<char>(at[i] ^ key[i & 3]);
}

FrameState read_frame(std::string_view data, ServerFrame& frame) {
  if (data.size() < 2) return FrameState::kNeedMore;
  const auto byte = [&data](std::size_t i) { return static_cast<unsigned char>(data[i]); };
  if ((byte(0) & 0x80) == 0 || (byte(0) & 0x70) != 0 || (byte(1) & 0x80) != 0) {
    return FrameState::kFault;
  }
  std::uint64_t length = byte(1);
  std::size_t head = 2;
  if (length >= 126) {
    const std::size_t more = length == 126 ? 2 : 8;
    if (data.size() < head + more) return FrameState::kNeedMore;
    length = 0;
    for (std::size_t i = 0; i < more; ++i) length = length << 8 | byte(head + i);
    head += more;
  }
  if (length > kPayloadBytesMax) return FrameState::kFault;
  frame.bytes = head + static_cast<std::size_t>(length);
  if (data.size() < frame.bytes) return FrameState::kNeedMore;
  frame.opcode = static_cast<Opcode>(byte(0) & 0x0f);
  frame.payload = data.substr(head, static_cast<std::size_t>(length));
  return FrameState::kComplete;
}

}  // namespace trading::load
