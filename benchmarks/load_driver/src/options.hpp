// What one run of the driver does, from the command line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trading::load {

enum class Mode : std::uint8_t { kRest, kBatch, kStream, kPlain };

struct Address {
  std::string host;  // of the loopback
  std::uint16_t port = 0;
};

struct Key {
  std::string api_key;
  std::string secret;
};

struct Options {
  Mode mode = Mode::kRest;
  std::vector<Address> addresses;  // connections are spread over them in turn
  std::vector<Key> keys;           // and over these
  std::vector<std::string> symbols;
  int connections = 40;
  double duration_seconds = 5;
  double warmup_seconds = 1;
  double rate = 0;  // orders per second, open loop; 0 = closed loop
  int batch_size = 100;
  int in_flight = 64;  // requests per connection, stream only
  int cross_percent = 10;
  int cancel_percent = 0;
  int resends = 0;  // of a single order whose answer says that it may be sent again
  std::string mid_price = "100";
  int levels = 200;
  std::string tick_size;  // empty: from exchangeInfo
  std::string lot_size;
  std::string min_notional;
  std::uint64_t seed = 1;
  std::string client_id_prefix;  // default: from the seed
  std::uint64_t orders_max = 50'000'000;
  std::string record_file;
  bool json = false;
};

inline constexpr std::string_view kUsage =
    "usage: load-driver --mode rest|batch|stream|plain --url http://127.0.0.1:PORT[,URL..]\n"
    "         --symbols A,B,.. [--key K --secret S].. | --keys-file FILE (lines: key secret)\n"
    "  [--connections 40] [--duration-seconds 5] [--warmup-seconds 1]\n"
    "  [--rate ORDERS_PER_SECOND]    open loop: latency from the time a request was due\n"
    "  [--batch-size 100]            orders of one request, mode batch\n"
    "  [--in-flight 64]              requests per connection, mode stream\n"
    "  [--cross-percent 10]          orders priced to meet the other side\n"
    "  [--cancel-percent 0]          requests that cancel an own earlier order\n"
    "  [--resends 0]                 of an order whose answer is not clear, mode rest\n"
    "  [--mid-price 100] [--levels 200] [--tick-size D --lot-size D --min-notional D]\n"
    "  [--seed 1] [--client-id-prefix P] [--orders-max 50000000]\n"
    "  [--record FILE]               every order and its outcome, as lines of JSON\n"
    "  [--json]\n";

// Fills `options`; otherwise returns what is wrong and the way out.
std::string parse_options(int count, char** words, Options& options);
std::string_view name_of(Mode mode);

}  // namespace trading::load
