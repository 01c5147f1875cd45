// What order entry did since its start, counted once per request.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace trading::entry {

// Upper bounds in microseconds; the same table as in trading_contract/durations.py.
inline constexpr std::array<std::int64_t, 27> kLatencyBoundsUs = {
    50,      100,     200,     300,     500,     750,       1'000,     1'500,     2'000,
    3'000,   5'000,   7'500,   10'000,  15'000,  20'000,    30'000,    50'000,    75'000,
    100'000, 150'000, 200'000, 300'000, 500'000, 1'000'000, 2'000'000, 5'000'000, 10'000'000};

struct EntryLoad {
  std::uint64_t stream_requests = 0;  // those over HTTP are counted by the server
  std::uint64_t orders = 0;           // commands of requests that ended
  std::uint64_t busy = 0;             // 429 and 503
  std::uint64_t unknown = 0;          // 504
  std::uint64_t refused = 0;          // all other failures
  std::uint64_t latency_sum_us = 0;
  std::array<std::uint64_t, kLatencyBoundsUs.size() + 1> latencies{};  // of commands, by class

  void count_failure(int http) noexcept {
    ++(http == 429 || http == 503 ? busy : http == 504 ? unknown : refused);
  }
  void count_orders(std::uint64_t commands, std::int64_t latency_us) noexcept {
    const auto* bound =
        std::lower_bound(kLatencyBoundsUs.begin(), kLatencyBoundsUs.end(), latency_us);
    latencies[static_cast<std::size_t>(bound - kLatencyBoundsUs.begin())] += commands;
    latency_sum_us += commands * static_cast<std::uint64_t>(latency_us);
    orders += commands;
  }
};

}  // namespace trading::entry
