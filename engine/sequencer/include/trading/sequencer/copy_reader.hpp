// PostgreSQL's COPY binary format: signature, flags, extension, then rows of counted fields.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace trading::sequencer {

class CopyReader {
 public:
  enum class Row : std::uint8_t { kOne, kPartEnds, kLast, kMalformed };

  explicit CopyReader(std::string_view bytes) : left_(bytes) {}

  // The head of the whole stream; false when it is another format.
  bool skip_head() {
    constexpr std::string_view kSignature("PGCOPY\n\xff\r\n\0", 11);
    constexpr std::size_t kHeadBytes = 19;
    ok_ = left_.size() >= kHeadBytes && left_.substr(0, kSignature.size()) == kSignature;
    if (ok_) left_.remove_prefix(kHeadBytes);
    return ok_;
  }

  Row next_row(std::int16_t fields) {
    if (!ok_) return Row::kMalformed;
    if (left_.empty()) return Row::kPartEnds;
    const auto count = integer<std::int16_t>();
    if (ok_ && count == -1 && left_.empty()) return Row::kLast;
    ok_ = ok_ && count == fields;
    return ok_ ? Row::kOne : Row::kMalformed;
  }

  std::string_view bytes() {
    const auto size = integer<std::int32_t>();
    if (!ok_ || size < 0 || static_cast<std::size_t>(size) > left_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view out = left_.substr(0, static_cast<std::size_t>(size));
    left_.remove_prefix(out.size());
    return out;
  }

  template <typename Integer>
  Integer field() {
    const std::string_view raw = bytes();
    if (raw.size() != sizeof(Integer)) {
      ok_ = false;
      return 0;
    }
    return decode<Integer>(raw);
  }

  [[nodiscard]] bool ok() const { return ok_; }

 private:
  template <typename Integer>
  static Integer decode(std::string_view raw) {
    std::uint64_t bits = 0;
    for (const char c : raw) bits = bits << 8U | static_cast<unsigned char>(c);
    return static_cast<Integer>(bits);
  }

  template <typename Integer>
  Integer integer() {
    if (left_.size() < sizeof(Integer)) {
      ok_ = false;
      return 0;
    }
    const auto value = decode<Integer>(left_.substr(0, sizeof(Integer)));
    left_.remove_prefix(sizeof(Integer));
    return value;
  }

  std::string_view left_;
  bool ok_ = true;
};

}  // namespace trading::sequencer
