#include "link.hpp"

#include <cstring>

namespace trading::entry {

void FrameCutter::feed(std::string_view bytes) {
  from_kept_ = !kept_.empty();
  if (from_kept_) {
    kept_.append(bytes);
    now_ = kept_;
  } else {
    now_ = bytes;
  }
}

void FrameCutter::keep_rest() {
  if (from_kept_) {
    kept_.erase(0, kept_.size() - now_.size());
  } else {
    kept_.assign(now_);
  }
  now_ = {};
}

bool FrameCutter::next(Frame& frame) {
  wire::FrameHeader header;
  if (failed_) return false;
  if (now_.size() < sizeof header) {
    keep_rest();
    return false;
  }
  std::memcpy(&header, now_.data(), sizeof header);
  if (header.length < sizeof header || header.length > wire::kFrameBytesMax) {
    failed_ = true;
    return false;
  }
  if (now_.size() < header.length) {
    keep_rest();
    return false;
  }
  frame.type = static_cast<wire::FrameType>(header.type);
  frame.payload = now_.substr(sizeof header, header.length - sizeof header);
  now_.remove_prefix(header.length);
  return true;
}

void FrameCutter::reset() noexcept {
  kept_.clear();
  now_ = {};
  from_kept_ = failed_ = false;
}

}  // namespace trading::entry
