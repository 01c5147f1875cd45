// WebSocket frames of RFC 6455 as a server reads and writes them. No I/O, bounded memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trading::entry {

enum class Opcode : std::uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10,
};

namespace close_code {
inline constexpr std::uint16_t kNormal = 1000;
inline constexpr std::uint16_t kGoingAway = 1001;
inline constexpr std::uint16_t kProtocolError = 1002;
inline constexpr std::uint16_t kUnsupported = 1003;
inline constexpr std::uint16_t kInvalidText = 1007;
inline constexpr std::uint16_t kPolicy = 1008;
inline constexpr std::uint16_t kTooLarge = 1009;
}  // namespace close_code

enum class FrameEvent : std::uint8_t { kNeedMore, kText, kPing, kPong, kClose, kFault };

class FrameReader {
 public:
  explicit FrameReader(std::size_t message_bytes_max) : message_bytes_max_(message_bytes_max) {}

  void feed(std::string_view bytes);
  // The payload is a view that lives until the next call. After kFault: `fault()` says why.
  FrameEvent next(std::string_view& payload);
  std::uint16_t fault() const noexcept { return fault_; }

 private:
  struct Header {
    Opcode opcode = Opcode::kText;
    bool final = false;
    std::size_t bytes = 0;  // header with mask
    std::size_t payload = 0;
  };
  FrameEvent fail(std::uint16_t code) noexcept;
  FrameEvent header(Header& out) noexcept;
  FrameEvent control(const Header& header, std::string_view payload) noexcept;
  FrameEvent data(const Header& header, std::string_view payload, std::string_view& message);

  std::string buffer_;
  std::size_t at_ = 0;
  std::string fragments_;
  bool fragmented_ = false;
  bool fragments_given_ = false;
  std::size_t message_bytes_max_;
  std::uint16_t fault_ = 0;
};

// Appends an unmasked final frame.
void append_frame(std::string& out, Opcode opcode, std::string_view payload);
void append_frame_header(std::string& out, Opcode opcode, std::size_t payload_bytes);
void append_close(std::string& out, std::uint16_t code, std::string_view reason);
bool is_utf8(std::string_view text) noexcept;

}  // namespace trading::entry
