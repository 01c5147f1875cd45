#include "http.hpp"

#include <charconv>

namespace trading::load {
namespace {

constexpr std::size_t kHeadBytesMax = 64 * 1024;
constexpr std::size_t kBodyBytesMax = 64U << 20;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool same(std::string_view text, std::string_view lower_case) {
  if (text.size() != lower_case.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != lower_case[i]) return false;
  }
  return true;
}

}  // namespace

std::string_view header_of(std::string_view head, std::string_view lower_case_name) {
  std::size_t at = head.find("\r\n");
  while (at != std::string_view::npos) {
    const std::size_t from = at + 2;
    at = head.find("\r\n", from);
    const std::string_view line = head.substr(from, at == std::string_view::npos ? at : at - from);
    if (line.size() <= lower_case_name.size() || line[lower_case_name.size()] != ':' ||
        !same(line.substr(0, lower_case_name.size()), lower_case_name)) {
      continue;
    }
    std::string_view value = line.substr(lower_case_name.size() + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    return value;
  }
  return {};
}

HttpState read_answer(std::string_view data, HttpAnswer& answer) {
  const std::size_t end = data.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    return data.size() > kHeadBytesMax ? HttpState::kFault : HttpState::kNeedMore;
  }
  answer.head = data.substr(0, end);
  if (!answer.head.starts_with("HTTP/1.1 ") || answer.head.size() < 12) return HttpState::kFault;
  if (std::from_chars(data.data() + 9, data.data() + 12, answer.status).ec != std::errc{}) {
    return HttpState::kFault;
  }
  std::size_t length = 0;
  if (answer.status != 101) {
    const std::string_view text = header_of(answer.head, "content-length");
    const auto done = std::from_chars(text.data(), text.data() + text.size(), length);
    if (text.empty() || done.ec != std::errc{} || length > kBodyBytesMax) return HttpState::kFault;
  }
  answer.bytes = end + 4 + length;
  if (data.size() < answer.bytes) return HttpState::kNeedMore;
  answer.body = data.substr(end + 4, length);
  answer.closes = same(header_of(answer.head, "connection"), "close");
  return HttpState::kComplete;
}

}  // namespace trading::load
