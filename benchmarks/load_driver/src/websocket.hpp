// WebSocket frames as a client writes and reads them (RFC 6455): masked out, whole messages in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trading::load {

enum class Opcode : std::uint8_t { kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

struct ServerFrame {
  Opcode opcode = Opcode::kText;
  std::string_view payload;
  std::size_t bytes = 0;  // of the whole frame
};

enum class FrameState : std::uint8_t { kNeedMore, kComplete, kFault };

// Appends one final frame, its payload masked with `mask`.
void append_masked(std::string& out, Opcode opcode, std::string_view payload, std::uint32_t mask);
// Reads one frame from the beginning of `data`. Fragments and masked frames are a fault: servers of
// order entry send neither.
FrameState read_frame(std::string_view data, ServerFrame& frame);

}  // namespace trading::load
