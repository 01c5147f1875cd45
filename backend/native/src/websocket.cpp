#include "websocket.hpp"

#include <cstring>

namespace trading::entry {
namespace {

constexpr std::size_t kControlBytesMax = 125;

void unmask(char* data, std::size_t bytes, const char* mask) noexcept {
  std::uint32_t word = 0;
  std::memcpy(&word, mask, sizeof word);
  const std::uint64_t wide = (static_cast<std::uint64_t>(word) << 32) | word;
  std::size_t i = 0;
  for (; i + sizeof wide <= bytes; i += sizeof wide) {
    std::uint64_t part = 0;
    std::memcpy(&part, data + i, sizeof part);
    part ^= wide;
    std::memcpy(data + i, &part, sizeof part);
  }
  for (; i < bytes; ++i) data[i] = static_cast<char>(data[i] ^ mask[i & 3]);
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  std::size_t i = 0;
  const auto at = [&text](std::size_t n) { return static_cast<unsigned char>(text[n]); };
  while (i < text.size()) {
    std::uint64_t part = 0;
    if (i + sizeof part <= text.size()) {
      std::memcpy(&part, text.data() + i, sizeof part);
      if ((part & 0x8080808080808080ULL) == 0) {
        i += sizeof part;
        continue;
      }
    }
    const unsigned char lead = at(i);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const std::size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || i + more >= text.size()) return false;
    for (std::size_t n = 1; n <= more; ++n) {
      if ((at(i + n) & 0xc0) != 0x80) return false;
    }
    const unsigned char second = at(i + 1);
    const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool outside = (lead == 0xed && second >= 0xa0) || (lead == 0xf4 && second >= 0x90);
    if (overlong || outside) return false;
    i += more + 1;
  }
  return true;
}

void FrameReader::feed(std::string_view bytes) {
  buffer_.erase(0, at_);
  at_ = 0;
  buffer_.append(bytes);
}

FrameEvent FrameReader::fail(std::uint16_t code) noexcept {
  fault_ = code;
  return FrameEvent::kFault;
}

FrameEvent FrameReader::header(Header& out) noexcept {
  const std::size_t left = buffer_.size() - at_;
  if (left < 2) return FrameEvent::kNeedMore;
  const auto* data = reinterpret_cast<const unsigned char*>(buffer_.data()) + at_;
  if ((data[0] & 0x70) != 0 || (data[1] & 0x80) == 0) return fail(close_code::kProtocolError);
  out.final = (data[0] & 0x80) != 0;
  out.opcode = static_cast<Opcode>(data[0] & 0x0f);
  std::uint64_t payload = data[1] & 0x7f;
  const std::size_t extra = payload == 126 ? 2 : payload == 127 ? 8 : 0;
  if (left < 2 + extra) return FrameEvent::kNeedMore;
  if (extra != 0) {
    payload = 0;
    for (std::size_t i = 0; i < extra; ++i) payload = (payload << 8) | data[2 + i];
  }
  const bool control = (data[0] & 0x08) != 0;
  if (control && (payload > kControlBytesMax || !out.final)) {
    return fail(close_code::kProtocolError);
  }
  if (payload > message_bytes_max_) return fail(close_code::kTooLarge);
  out.bytes = 2 + extra + 4;
  out.payload = static_cast<std::size_t>(payload);
  return left < out.bytes + out.payload ? FrameEvent::kNeedMore : FrameEvent::kText;
}

FrameEvent FrameReader::control(const Header& header, std::string_view payload) noexcept {
  switch (header.opcode) {
    case Opcode::kPing:
      return FrameEvent::kPing;
    case Opcode::kPong:
      return FrameEvent::kPong;
    case Opcode::kClose:
      if (payload.size() == 1) return fail(close_code::kProtocolError);
      return FrameEvent::kClose;
    default:
      return fail(close_code::kProtocolError);
  }
}

FrameEvent FrameReader::data(const Header& header, std::string_view payload,
                             std::string_view& message) {
  const bool goes_on = header.opcode == Opcode::kContinuation;
  if (goes_on != fragmented_) return fail(close_code::kProtocolError);
  if (header.opcode == Opcode::kBinary) return fail(close_code::kUnsupported);
  if (goes_on || !header.final) {
    if (fragments_.size() + payload.size() > message_bytes_max_) {
      return fail(close_code::kTooLarge);
    }
    fragments_.append(payload);
    fragmented_ = !header.final;
    if (fragmented_) return FrameEvent::kNeedMore;
    fragments_given_ = true;
    message = fragments_;
  } else {
    message = payload;
  }
  return is_utf8(message) ? FrameEvent::kText : fail(close_code::kInvalidText);
}

FrameEvent FrameReader::next(std::string_view& payload) {
  if (fragments_given_) {
    fragments_.clear();
    fragments_given_ = false;
  }
  while (fault_ == 0) {
    Header found;
    if (const FrameEvent event = header(found); event != FrameEvent::kText) return event;
    char* start = buffer_.data() + at_ + found.bytes;
    unmask(start, found.payload, start - 4);
    at_ += found.bytes + found.payload;
    payload = std::string_view(start, found.payload);
    if ((static_cast<unsigned>(found.opcode) & 8U) != 0) return control(found, payload);
    if (static_cast<unsigned>(found.opcode) > 2U) return fail(close_code::kProtocolError);
    const FrameEvent event = data(found, payload, payload);
    if (event != FrameEvent::kNeedMore) return event;
  }
  return FrameEvent::kFault;
}

void append_frame_header(std::string& out, Opcode opcode, std::size_t payload_bytes) {
  const auto put = [&out](std::uint64_t byte) { out.push_back(static_cast<char>(byte & 0xff)); };
  put(0x80U | static_cast<unsigned>(opcode));
  if (payload_bytes < 126) {
    put(payload_bytes);
    return;
  }
  const bool wide = payload_bytes > 0xffff;
  put(wide ? 127 : 126);
  for (int shift = wide ? 56 : 8; shift >= 0; shift -= 8) put(payload_bytes >> shift);
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload) {
  append_frame_header(out, opcode, payload.size());
  out.append(payload);
}

void append_close(std::string& out, std::uint16_t code, std::string_view reason) {
  std::string payload;
  payload.push_back(static_cast<char>(code >> 8));
  payload.push_back(static_cast<char>(code & 0xff));
  payload.append(reason.substr(0, 120));
  append_frame(out, Opcode::kClose, payload);
}

}  // namespace trading::entry
