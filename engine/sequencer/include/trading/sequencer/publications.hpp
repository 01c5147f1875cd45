// What the world may know once a batch is durable: market data per symbol, executions per account.
// Gathered batch by batch, taken as a whole: the publisher decides how often.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "trading/sequencer/bytes.hpp"
#include "trading/sequencer/cold_order.hpp"

namespace trading::sequencer {

inline constexpr std::size_t kExecutionChannels = 64;  // channel = account mod this

enum class ExecutionKind : std::uint8_t { kNew, kTrade, kCanceled, kReplaced, kExpired, kReduced };

struct Execution {
  ExecutionKind kind{};
  wire::OrderStatus status{};
  wire::EndReason reason{};
  std::int64_t time_us = 0;
  std::int64_t last_price = 0;
  std::int64_t last_quantity = 0;
  std::int64_t trade_id = 0;
  bool maker = false;
  std::string_view target_client_id{};
};

// Executions as msgpack maps, one run of them per channel.
class ExecutionFeed {
 public:
  struct Channel {
    std::uint32_t count = 0;
    Bytes maps;
  };

  void add(std::string_view symbol, const ColdOrder& order, const Execution& execution);
  [[nodiscard]] bool empty() const { return total_ == 0; }
  // Gives `visit(number, channel)` each channel that has something, and empties it.
  template <typename Visit>
  void take(Visit visit) {
    for (std::size_t number = 0; total_ > 0 && number < kExecutionChannels; ++number) {
      Channel& channel = channels_[number];
      if (channel.count == 0) continue;
      visit(number, channel);
      total_ -= channel.count;
      channel.count = 0;
      channel.maps.clear();
    }
  }

 private:
  std::array<Channel, kExecutionChannels> channels_;
  std::size_t total_ = 0;
};

}  // namespace trading::sequencer
