// What a run counts.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "histogram.hpp"

namespace trading::load {

enum class Outcome : std::uint8_t {
  kOk,       // the answer says success
  kFail,     // the answer says: surely not applied
  kUnknown,  // anything else
};

struct Tally {
  // The measured window, CLOCK_MONOTONIC nanoseconds, half-open.
  std::int64_t window_begin_ns = 0;
  std::int64_t window_past_ns = 0;
  // Acknowledged inside the window.
  std::uint64_t orders_in_window = 0;
  std::uint64_t cancels_in_window = 0;
  std::uint64_t requests_in_window = 0;
  // Of requests that were sent (closed loop) or due (open loop) inside the window.
  Histogram latency;
  // Over the whole run, warm-up and drain included.
  std::uint64_t orders_sent = 0;
  std::uint64_t orders_acknowledged = 0;
  std::uint64_t orders_failed = 0;
  std::uint64_t orders_unknown = 0;
  std::uint64_t resends = 0;
  std::uint64_t cancels_acknowledged = 0;
  std::uint64_t cancels_refused = 0;  // filled meanwhile, or the outcome is unknown
  std::uint64_t requests_unsent = 0;  // open loop: due, never sent; latency = the time waited
  std::uint64_t backlog_max = 0;      // open loop: requests due and not yet sent
  std::uint64_t reconnects = 0;
  std::map<std::string, std::uint64_t> errors;
  // Of the window: the driver's own CPU and traffic.
  double cpu_seconds = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;

  [[nodiscard]] bool in_window(std::int64_t now) const {
    return now >= window_begin_ns && now < window_past_ns;
  }
};

}  // namespace trading::load
