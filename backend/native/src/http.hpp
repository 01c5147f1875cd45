// HTTP/1.1 as the order lane needs it: complete, plain order requests; all else is for the server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "order_parser.hpp"

namespace trading::entry {

// One request's parts, as sent.
struct HttpRequest {
  Action action = Action::kNone;
  std::string_view query;
  std::string_view body;
  std::string_view content_type;
  std::string_view api_key;
  bool microseconds = false;  // X-MBX-TIME-UNIT: MICROSECOND
};

enum class HeadState : std::uint8_t {
  kNotMine,   // another route, or anything but a plain request: the full server takes it
  kNeedMore,  // the start of an order request
  kComplete,
};

struct Head {
  HeadState state = HeadState::kNotMine;
  std::size_t bytes = 0;  // kComplete: of the request; kNeedMore: wanted in all, 0 = not known yet
};

// kNone: no order route.
Action action_of(std::string_view method, std::string_view path) noexcept;
// Takes only what two readers of HTTP cannot read differently: one Content-Length at most, no
// transfer coding, no folding, no upgrade, no `Connection` but keep-alive, no `Expect`.
Head read_http(std::string_view data, std::size_t body_bytes_max, HttpRequest& request) noexcept;

// What the rate limiter said, for headers and for `rateLimits`; -1 = not to be shown.
struct Rates {
  std::int64_t weight_1m = -1;
  std::int64_t orders_10s = -1;
  std::int64_t orders_1d = -1;
};

// Appends the status line and headers. `common` is a block of ready header lines.
void append_head(std::string& out, int status, std::string_view common, const Rates& rates,
                 std::int64_t retry_after_seconds, std::size_t body_bytes);

}  // namespace trading::entry
