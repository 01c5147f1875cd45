// Answers of an HTTP/1.1 server: those with a Content-Length, which is all that is sent here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace trading::load {

struct HttpAnswer {
  int status = 0;
  bool closes = false;    // Connection: close
  std::size_t bytes = 0;  // of head and body
  std::string_view head;  // without the empty line
  std::string_view body;
};

enum class HttpState : std::uint8_t { kNeedMore, kComplete, kFault };

// Reads one answer from the beginning of `data`; a 101 has no body.
HttpState read_answer(std::string_view data, HttpAnswer& answer);
// The value of a header, found whatever its case; empty when it is not there.
std::string_view header_of(std::string_view head, std::string_view lower_case_name);

}  // namespace trading::load
