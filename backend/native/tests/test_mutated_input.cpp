// Whatever bytes arrive, order entry neither reads beyond them nor leaves anything behind.
// Made for the sanitizers: build with -DTRADING_SANITIZE=ON.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "streams.hpp"

namespace trading::entry {
namespace {

constexpr std::int64_t kNowUs = 1'700'000'000'000'000;

Symbol symbol_named(const std::string& name) {
  Symbol symbol;
  symbol.name = name;
  symbol.base_asset = "BTC";
  symbol.quote_asset = "USDT";
  symbol.tick = {1, 2};
  symbol.lot = {1, 5};
  symbol.quote = {1, 7};
  return symbol;
}

// Hands bytes over in a block of exactly their size, so that the sanitizer sees one byte too many.
class Exact {
 public:
  explicit Exact(const std::string& text) : data_(new char[text.size()]), size_(text.size()) {
    std::memcpy(data_.get(), text.data(), text.size());
  }
  std::string_view view() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t size_;
};

struct Desk {
  Desk() : streams(entry) {
    entry.symbols().set({symbol_named("BTCUSDT"), symbol_named("ETHUSDT")});
    entry.set_partitions(1);
    entry.symbols().route({{"", "~", 0}});
    entry.keys().set({ApiKey{"key", Hmac("secret"), 7, 3}});
    entry.set_connected(0, true, kNowUs);
  }
  // Lets the partition answer, or not, and ends everything that is left.
  void settle(std::mt19937& random) {
    std::string payload;
    for (const Pending* pending : entry.take(0, 1000, kNowUs)) {
      wire::Reply reply{};
      reply.request_id = pending->id;
      std::memcpy(reply.symbol, pending->draft.command.symbol, sizeof reply.symbol);
      reply.code = static_cast<std::uint16_t>(random() % 24);
      reply.status = static_cast<std::uint8_t>(random() % 9);
      reply.flags = static_cast<std::uint8_t>(random() % 4);
      reply.fill_count = random() % 3;
      payload.append(reinterpret_cast<const char*>(&reply), sizeof reply);
      payload.append(reply.fill_count * sizeof(wire::Fill), '\1');
    }
    if (!payload.empty() && random() % 8 == 0) payload[random() % payload.size()] ^= 0x21;
    wire::FrameHeader header{static_cast<std::uint32_t>(sizeof header + payload.size()), 4, 0, 0};
    std::string data(reinterpret_cast<const char*>(&header), sizeof header);
    data += payload;
    const std::size_t cut = random() % data.size();
    entry.feed(0, Exact(data.substr(0, cut)).view(), kNowUs);
    entry.feed(0, Exact(data.substr(cut)).view(), kNowUs);
    entry.set_connected(0, false, kNowUs);
    entry.set_connected(0, true, kNowUs);
    entry.expire(kNowUs + 10'000'000);
    CHECK(entry.requests() == 0);
    CHECK(entry.in_flight(0) == 0);
    entry.done() = {};
  }
  OrderEntry entry;
  Streams streams;
};

std::string mutated(std::string text, std::mt19937& random) {
  static constexpr char kBytes[] = "\0\r\n\"\\{}[],:&=%+ 019.eE-\x80\xff";
  for (unsigned left = random() % 4; left != 0 && !text.empty(); --left) {
    const std::size_t at = random() % text.size();
    switch (random() % 4) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text[at] = kBytes[random() % (sizeof kBytes - 1)];
        break;
      case 2:
        text.erase(at, 1 + random() % 8);
        break;
      default:
        text.insert(at, text.substr(random() % text.size(), random() % 16));
        break;
    }
  }
  return text;
}

std::string signature_of(std::string_view first, std::string_view second) {
  std::string hex;
  for (const unsigned char byte : Hmac("secret").sign(first, second)) {
    hex.push_back("0123456789abcdef"[byte >> 4]);
    hex.push_back("0123456789abcdef"[byte & 15]);
  }
  return hex;
}

std::string masked(const std::string& payload) {
  std::string out = "\x81";
  out.push_back(static_cast<char>(payload.size() < 126 ? 0x80 | payload.size() : 0xfe));
  if (payload.size() >= 126) {
    out.push_back(static_cast<char>(payload.size() >> 8));
    out.push_back(static_cast<char>(payload.size() & 0xff));
  }
  out.append("abcd");
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out.push_back(static_cast<char>(payload[i] ^ "abcd"[i & 3]));
  }
  return out;
}

constexpr int kRounds = 20'000;

TEST_CASE("mutated HTTP requests") {
  Desk desk;
  std::mt19937 random(4711);
  const std::vector<std::string> bodies = {
      "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.5&price=100.10",
      "symbol=ETHUSDT&side=SELL&type=MARKET&quoteOrderQty=10.5",
      "symbol=BTCUSDT&orderId=5&newQty=1",
      "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=1&price=2&cancelReplaceMode=ALLOW_FAILURE"
      "&cancelOrderId=7",
      "batchOrders=[{\"symbol\":\"BTCUSDT\",\"side\":\"BUY\",\"type\":\"LIMIT\",\"price\":1.5}]",
  };
  const std::vector<std::string> lines = {
      "POST /api/v3/order",
      "DELETE /api/v3/order",
      "POST /api/v3/batchOrders",
      "GET /api/v3/openOrders",
      "DELETE /api/v3/openOrders",
      "POST /api/v3/order/cancelReplace",
      "PUT /api/v3/order/amend/keepPriority",
  };
  for (int i = 0; i < kRounds; ++i) {
    std::string body = mutated(bodies[random() % bodies.size()], random);
    body += "&timestamp=" + std::to_string(kNowUs / 1000);
    body += "&signature=" + signature_of("", body);
    std::string data = lines[random() % lines.size()] + " HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: key";
    data += "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    if (random() % 2 == 0) data = mutated(data, random);
    const Exact exact(data);
    const Begun begun = desk.entry.begin_http(exact.view(), kNowUs);
    if (begun.request != nullptr) {
      CHECK(begun.bytes <= data.size());
      desk.entry.submit(*begun.request, {}, kNowUs);
    }
    desk.settle(random);
  }
}

TEST_CASE("mutated streams") {
  Desk desk;
  std::mt19937 random(4712);
  const std::string logon = "apiKey=key&timestamp=" + std::to_string(kNowUs / 1000);
  const std::vector<std::string> messages = {
      R"({"id":1,"method":"order.place","params":{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT",)"
      R"("timeInForce":"GTC","quantity":"0.5","price":100.10}})",
      R"({"id":"\u0041b","method":"orders.place",)"
      R"("params":{"orders":[{"symbol":"BTC\u0055SDT"},{}]}})",
      R"({"id":"x","method":"openOrders.status","params":{}})",
      R"({"id":null,"method":"userDataStream.subscribe"})",
      R"({"id":3,"method":"session.status"})",
  };
  for (int i = 0; i < kRounds; ++i) {
    const std::uint64_t id = desk.streams.open(true, kNowUs);
    Stream& stream = *desk.streams.find(id);
    std::string data = masked(
        R"({"id":0,"method":"session.logon","params":{"apiKey":"key","timestamp":)" +
        std::to_string(kNowUs / 1000) + R"(,"signature":")" + signature_of(logon, "") + "\"}}");
    for (int n = 0; n < 3; ++n) data += masked(mutated(messages[random() % 5], random));
    if (random() % 2 == 0) data = mutated(data, random);
    const std::size_t cut = random() % (data.size() + 1);
    desk.streams.receive(stream, Exact(data.substr(0, cut)).view(), kNowUs);
    desk.streams.receive(stream, Exact(data.substr(cut)).view(), kNowUs);
    desk.streams.submit(stream, stream.staged.size(), {}, kNowUs);
    if (random() % 3 == 0) desk.streams.close(id);
    desk.settle(random);
    desk.streams.close(id);
  }
}

}  // namespace
}  // namespace trading::entry
