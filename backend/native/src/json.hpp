// A strict JSON reader for small messages. Numbers keep their text: money never becomes a float.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trading::entry {

enum class JsonType : std::uint8_t { kNull, kFalse, kTrue, kNumber, kString, kObject, kArray };

struct JsonValue {
  JsonType type = JsonType::kNull;
  std::string_view text;  // a string's content, else the value's raw text (of all of it)
};

// Walks one text once. Content of strings with escapes lives in `unescaped`, which must have room
// (capacity) for the whole text beforehand. After the first fault every call answers false.
class JsonReader {
 public:
  JsonReader(std::string_view text, std::string& unescaped) noexcept
      : at_(text.data()), end_(text.data() + text.size()), unescaped_(&unescaped) {}

  // Reads a value whole; the inside of objects and arrays is checked and passed over.
  bool value(JsonValue& out);
  // Steps into an array or an object; false: it is none.
  bool enter(char open) noexcept;
  // After enter() or an element: true = another follows (its key is read), false = closed or fault.
  bool element(bool first) noexcept;
  bool member(bool first, std::string_view& key);
  // Nothing but space follows.
  bool at_end() noexcept;
  bool failed() const noexcept { return failed_; }

 private:
  void space() noexcept;
  bool fail() noexcept {
    failed_ = true;
    return false;
  }
  bool string(std::string_view& out);
  bool escape();
  bool unicode(std::uint32_t& code) noexcept;
  bool number() noexcept;
  bool word(std::string_view text) noexcept;
  bool nested(char open, char close);

  const char* at_;
  const char* end_;
  std::string* unescaped_;
  int depth_ = 0;
  bool failed_ = false;
};

}  // namespace trading::entry
