#include "json.hpp"

#include <cstring>

namespace trading::entry {
namespace {

constexpr int kDepthMax = 16;

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&out](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3f));
    put(0x80 | ((code >> 6) & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

}  // namespace

void JsonReader::space() noexcept {
  while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\t' || *at_ == '\r')) ++at_;
}

bool JsonReader::at_end() noexcept {
  space();
  return !failed_ && at_ == end_;
}

bool JsonReader::enter(char open) noexcept {
  space();
  if (failed_ || at_ == end_ || *at_ != open) return fail();
  ++at_;
  return true;
}

bool JsonReader::element(bool first) noexcept {
  space();
  if (failed_ || at_ == end_) return fail();
  if (*at_ == ']') {
    ++at_;
    return false;
  }
  if (first) return true;
  if (*at_ != ',') return fail();
  ++at_;
  space();
  return at_ != end_ && *at_ != ']' ? true : fail();
}

bool JsonReader::member(bool first, std::string_view& key) {
  space();
  if (failed_ || at_ == end_) return fail();
  if (*at_ == '}') {
    ++at_;
    return false;
  }
  if (!first) {
    if (*at_ != ',') return fail();
    ++at_;
    space();
  }
  if (!string(key)) return false;
  space();
  if (at_ == end_ || *at_ != ':') return fail();
  ++at_;
  return true;
}

bool JsonReader::unicode(std::uint32_t& code) noexcept {
  if (end_ - at_ < 4) return fail();
  code = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = *at_++;
    std::uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<std::uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<std::uint32_t>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<std::uint32_t>(c - 'A') + 10;
    } else {
      return fail();
    }
    code = code * 16 + digit;
  }
  return true;
}

bool JsonReader::escape() {
  if (at_ == end_) return fail();
  const char c = *at_++;
  switch (c) {
    case '"':
    case '\\':
    case '/':
      unescaped_->push_back(c);
      return true;
    case 'b':
      unescaped_->push_back('\b');
      return true;
    case 'f':
      unescaped_->push_back('\f');
      return true;
    case 'n':
      unescaped_->push_back('\n');
      return true;
    case 'r':
      unescaped_->push_back('\r');
      return true;
    case 't':
      unescaped_->push_back('\t');
      return true;
    case 'u':
      break;
    default:
      return fail();
  }
  std::uint32_t code = 0;
  if (!unicode(code)) return false;
  if (code >= 0xdc00 && code < 0xe000) return fail();
  if (code >= 0xd800 && code < 0xdc00) {
    std::uint32_t low = 0;
    if (end_ - at_ < 2 || at_[0] != '\\' || at_[1] != 'u') return fail();
    at_ += 2;
    if (!unicode(low) || low < 0xdc00 || low >= 0xe000) return fail();
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  append_utf8(*unescaped_, code);
  return true;
}

bool JsonReader::string(std::string_view& out) {
  if (at_ == end_ || *at_ != '"') return fail();
  const char* start = ++at_;
  while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<unsigned char>(*at_) >= 0x20) {
    ++at_;
  }
  if (at_ == end_ || static_cast<unsigned char>(*at_) < 0x20) return fail();
  if (*at_ == '"') {
    out = std::string_view(start, static_cast<std::size_t>(at_ - start));
    ++at_;
    return true;
  }
  const std::size_t from = unescaped_->size();
  unescaped_->append(start, at_);
  while (at_ != end_ && *at_ != '"') {
    if (static_cast<unsigned char>(*at_) < 0x20) return fail();
    if (*at_ == '\\') {
      ++at_;
      if (!escape()) return false;
    } else {
      unescaped_->push_back(*at_++);
    }
  }
  if (at_ == end_) return fail();
  ++at_;
  out = std::string_view(*unescaped_).substr(from);
  return true;
}

bool JsonReader::number() noexcept {
  const auto digits = [this] {
    const char* start = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ - start;
  };
  if (*at_ == '-') ++at_;
  const char* whole = at_;
  const auto length = digits();
  if (length == 0 || (length > 1 && *whole == '0')) return fail();
  if (at_ != end_ && *at_ == '.') {
    ++at_;
    if (digits() == 0) return fail();
  }
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (digits() == 0) return fail();
  }
  return true;
}

bool JsonReader::word(std::string_view text) noexcept {
  if (static_cast<std::size_t>(end_ - at_) < text.size() ||
      std::memcmp(at_, text.data(), text.size()) != 0) {
    return fail();
  }
  at_ += text.size();
  return true;
}

bool JsonReader::nested(char open, char close) {
  if (++depth_ > kDepthMax) return fail();
  enter(open);
  JsonValue inner;
  std::string_view key;
  const bool object = close == '}';
  bool first = true;
  while (object ? member(first, key) : element(first)) {
    if (!value(inner)) return false;
    first = false;
  }
  --depth_;
  return !failed_;
}

bool JsonReader::value(JsonValue& out) {
  space();
  if (failed_ || at_ == end_) return fail();
  const char* start = at_;
  bool good = false;
  switch (*at_) {
    case '"':
      out.type = JsonType::kString;
      return string(out.text);
    case '{':
      good = nested('{', '}');
      out.type = JsonType::kObject;
      break;
    case '[':
      good = nested('[', ']');
      out.type = JsonType::kArray;
      break;
    case 't':
      good = word("true");
      out.type = JsonType::kTrue;
      break;
    case 'f':
      good = word("false");
      out.type = JsonType::kFalse;
      break;
    case 'n':
      good = word("null");
      out.type = JsonType::kNull;
      break;
    default:
      good = number();
      out.type = JsonType::kNumber;
      break;
  }
  out.text = std::string_view(start, static_cast<std::size_t>(at_ - start));
  return good;
}

}  // namespace trading::entry
