#include "http.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace trading::entry {
namespace {

constexpr std::size_t kHeadBytesMax = 16 * 1024;

struct Route {
  std::string_view method;
  std::string_view path;
  Action action;
};
constexpr Route kRoutes[] = {
    {"POST", "/api/v3/order", Action::kPlace},
    {"DELETE", "/api/v3/order", Action::kCancel},
    {"GET", "/api/v3/order", Action::kQueryOrder},
    {"POST", "/api/v3/batchOrders", Action::kBatch},
    {"POST", "/api/v3/order/test", Action::kTest},
    {"POST", "/api/v3/order/cancelReplace", Action::kCancelReplace},
    {"PUT", "/api/v3/order/amend/keepPriority", Action::kAmend},
    {"DELETE", "/api/v3/openOrders", Action::kCancelAll},
    {"GET", "/api/v3/openOrders", Action::kQueryOpen},
};

bool same(std::string_view text, std::string_view lower) noexcept {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
         });
}

bool token_char(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool starts_like_an_order(std::string_view data) noexcept {
  return std::any_of(std::begin(kRoutes), std::end(kRoutes), [data](const Route& route) {
    return data.starts_with(route.method) && data.size() > route.method.size() &&
           data[route.method.size()] == ' ' &&
           data.substr(route.method.size() + 1).starts_with(route.path);
  });
}

struct Headers {
  bool length_seen = false;
  bool key_seen = false;
  bool type_seen = false;
  bool host_seen = false;
  std::size_t length = 0;
};

// False: not a plain request.
bool read_header(std::string_view name, std::string_view value, Headers& seen,
                 HttpRequest& request) noexcept {
  const auto once = [](bool& flag) { return !std::exchange(flag, true); };
  switch (name.size()) {
    case 4:
      return !same(name, "host") || once(seen.host_seen);
    case 6:
      return !same(name, "expect");
    case 7:
      return !same(name, "upgrade") && !same(name, "trailer");
    case 10:
      return !same(name, "connection") || same(value, "keep-alive");
    case 12:
      if (!same(name, "x-mbx-apikey")) {
        if (!same(name, "content-type")) return true;
        request.content_type = value;
        return once(seen.type_seen);
      }
      request.api_key = value;
      return once(seen.key_seen);
    case 14: {
      if (!same(name, "content-length")) return true;
      const auto done = std::from_chars(value.data(), value.data() + value.size(), seen.length);
      return once(seen.length_seen) && !value.empty() && value.size() <= 10 &&
             done.ec == std::errc{} && done.ptr == value.data() + value.size();
    }
    case 15:
      if (same(name, "x-mbx-time-unit")) request.microseconds = same(value, "microsecond");
      return true;
    case 16:
      return !same(name, "content-encoding");
    case 17:
      return !same(name, "transfer-encoding");
    default:
      return true;
  }
}

bool read_line(std::string_view line, HttpRequest& request) noexcept {
  const std::size_t space = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (space == std::string_view::npos || last <= space || line.substr(last + 1) != "HTTP/1.1") {
    return false;
  }
  const std::string_view target = line.substr(space + 1, last - space - 1);
  for (const char c : target) {
    if (c <= ' ' || c >= 0x7f || c == '#') return false;
  }
  const std::size_t question = target.find('?');
  request.action = action_of(line.substr(0, space), target.substr(0, question));
  request.query =
      question == std::string_view::npos ? std::string_view{} : target.substr(question + 1);
  return request.action != Action::kNone;
}

bool read_headers(std::string_view lines, Headers& seen, HttpRequest& request) noexcept {
  while (!lines.empty()) {
    const std::size_t end = lines.find("\r\n");
    const std::string_view line = lines.substr(0, end);
    lines = end == std::string_view::npos ? std::string_view{} : lines.substr(end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return false;
    std::string_view value = line.substr(colon + 1);
    const auto blank = [](char c) { return c == ' ' || c == '\t'; };
    while (!value.empty() && blank(value.front())) value.remove_prefix(1);
    while (!value.empty() && blank(value.back())) value.remove_suffix(1);
    const std::string_view name = line.substr(0, colon);
    if (!std::all_of(name.begin(), name.end(), token_char)) return false;
    for (const char c : value) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\t') return false;
    }
    if (!read_header(name, value, seen, request)) return false;
  }
  return seen.host_seen;
}

std::string_view phrase(int status) noexcept {
  switch (status) {
    case 200:
      return "200 OK";
    case 400:
      return "400 Bad Request";
    case 401:
      return "401 Unauthorized";
    case 403:
      return "403 Forbidden";
    case 409:
      return "409 Conflict";
    case 413:
      return "413 Request Entity Too Large";
    case 418:
      return "418 I'm a Teapot";
    case 429:
      return "429 Too Many Requests";
    case 503:
      return "503 Service Unavailable";
    case 504:
      return "504 Gateway Timeout";
    default:
      return "500 Internal Server Error";
  }
}

void append_header(std::string& out, std::string_view name, std::int64_t value) {
  if (value < 0) return;
  out.append(name);
  append_integer(out, value);
  out.append("\r\n");
}

}  // namespace

Action action_of(std::string_view method, std::string_view path) noexcept {
  for (const Route& route : kRoutes) {
    if (route.path == path && route.method == method) return route.action;
  }
  return Action::kNone;
}

Head read_http(std::string_view data, std::size_t body_bytes_max, HttpRequest& request) noexcept {
  const std::size_t end = data.substr(0, kHeadBytesMax).find("\r\n\r\n");
  if (end == std::string_view::npos) {
    const bool wait = data.size() < kHeadBytesMax && starts_like_an_order(data);
    return {wait ? HeadState::kNeedMore : HeadState::kNotMine, 0};
  }
  const std::string_view head = data.substr(0, end);
  const std::size_t line = head.find("\r\n");
  if (!read_line(head.substr(0, line), request)) return {};
  Headers seen;
  const std::string_view lines =
      line == std::string_view::npos ? std::string_view{} : head.substr(line + 2);
  if (!read_headers(lines, seen, request) || seen.length > body_bytes_max) return {};
  const std::size_t total = end + 4 + seen.length;
  if (data.size() < total) return {HeadState::kNeedMore, total};
  request.body = data.substr(end + 4, seen.length);
  return {HeadState::kComplete, total};
}

void append_head(std::string& out, int status, std::string_view common, const Rates& rates,
                 std::int64_t retry_after_seconds, std::size_t body_bytes) {
  out.append("HTTP/1.1 ").append(phrase(status)).append("\r\n").append(common);
  out.append("content-type: application/json\r\n");
  append_header(out, "x-mbx-used-weight-1m: ", rates.weight_1m);
  append_header(out, "x-mbx-order-count-10s: ", rates.orders_10s);
  append_header(out, "x-mbx-order-count-1d: ", rates.orders_1d);
  if (retry_after_seconds > 0) append_header(out, "retry-after: ", retry_after_seconds);
  append_header(out, "content-length: ", static_cast<std::int64_t>(body_bytes));
  out.append("\r\n");
}

}  // namespace trading::entry
