// What the figures rest on: percentiles, numbers as text, signatures, frames, answers, workload.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "entry.hpp"
#include "exchange_info.hpp"
#include "histogram.hpp"
#include "http.hpp"
#include "signer.hpp"
#include "text.hpp"
#include "websocket.hpp"
#include "workload.hpp"

using namespace trading::load;

namespace {

#define EXPECT(condition)                                                  \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::exit(1);                                                        \
    }                                                                      \
  } while (false)

void percentiles_are_within_one_percent_and_never_below() {
  Histogram histogram;
  EXPECT(histogram.percentile(50) == 0);
  for (int i = 1; i <= 100'000; ++i) histogram.record(i * 1000);
  for (const double percent : {1.0, 50.0, 90.0, 99.0, 99.9}) {
    const auto exact = static_cast<std::int64_t>(percent * 1'000'000);
    EXPECT(histogram.percentile(percent) >= exact);
    EXPECT(static_cast<double>(histogram.percentile(percent)) <= 1.01 * percent * 1e6);
  }
  EXPECT(histogram.percentile(100) == 100'000'000);
  EXPECT(histogram.max() == 100'000'000);
  EXPECT(histogram.count() == 100'000);
}

void one_slow_request_in_a_hundred_shows_at_p99_9_only() {
  Histogram histogram;
  for (int i = 0; i < 995; ++i) histogram.record(1000);
  for (int i = 0; i < 5; ++i) histogram.record(1'000'000'000);
  EXPECT(histogram.percentile(99) < 1100);
  EXPECT(histogram.percentile(99.9) == 1'000'000'000);
}

void steps_print_as_exact_decimals() {
  std::string out;
  append_steps(out, 6'400'010, Step{1, 2});
  EXPECT(out == "64000.10");
  out.clear();
  append_steps(out, 7, Step{5, 4});
  EXPECT(out == "0.0035");
  out.clear();
  append_steps(out, 12, Step{10, 0});
  EXPECT(out == "120");
  EXPECT(steps_in("64000.1", Step{1, 2}) == 6'400'010);
  EXPECT(steps_in("0.0035", Step{5, 4}) == 7);
  EXPECT(steps_in("100", *parse_step("0.010")) == 10'000);
  EXPECT(!parse_step("0") && !parse_step("x") && !parse_step("") && !parse_step("1.2.3"));
}

void signatures_agree_with_rfc_4231() {
  std::string hex;
  Signer("Jefe").append(hex, "what do ya want ", "for nothing?");
  EXPECT(hex == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  hex.clear();
  const std::string long_key(131, '\xaa');
  Signer(long_key).append(hex, "Test Using Larger Than Block-Size Key - Hash Key First", "");
  EXPECT(hex == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

void only_what_is_not_clear_is_sent_again() {
  EXPECT(may_be_resent(Outcome::kUnknown, "-1007"));
  EXPECT(may_be_resent(outcome_of(503, "-1008"), "-1008"));
  EXPECT(!may_be_resent(outcome_of(400, "-2010"), "-2010"));
  EXPECT(!may_be_resent(outcome_of(200, ""), ""));
}

void frames_are_masked_as_a_server_unmasks_them() {
  for (const std::size_t bytes : {0U, 5U, 125U, 126U, 200U, 70'000U}) {
    std::string payload;
    for (std::size_t i = 0; i < bytes; ++i) payload.push_back(static_cast<char>('a' + i % 26));
    std::string out;
    append_masked(out, Opcode::kText, payload, 0x01020304);
    EXPECT((out[1] & 0x80) != 0);
    const std::size_t head = out.size() - bytes;
    std::string seen;
    for (std::size_t i = 0; i < bytes; ++i) {
      seen.push_back(static_cast<char>(out[head + i] ^ out[head - 4 + i % 4]));
    }
    EXPECT(seen == payload);
  }
}

void frames_of_a_server_are_read_whole_or_not_at_all() {
  const std::string data = std::string("\x81\x05", 2) + "hello" + std::string("\x89\x00", 2);
  ServerFrame frame;
  for (std::size_t i = 0; i < 7; ++i) {
    EXPECT(read_frame(std::string_view(data).substr(0, i), frame) == FrameState::kNeedMore);
  }
  EXPECT(read_frame(data, frame) == FrameState::kComplete);
  EXPECT(frame.payload == "hello" && frame.bytes == 7);
  EXPECT(read_frame(std::string_view(data).substr(7), frame) == FrameState::kComplete);
  EXPECT(frame.opcode == Opcode::kPing);
  EXPECT(read_frame(std::string("\x81\x85", 2), frame) == FrameState::kFault);  // masked
  EXPECT(read_frame(std::string("\x01\x05", 2), frame) == FrameState::kFault);  // a fragment
}

void answers_need_their_whole_body() {
  const std::string data = "HTTP/1.1 400 Bad Request\r\nContent-LENGTH: 4\r\n\r\nbodyHTTP";
  HttpAnswer answer;
  EXPECT(read_answer(data.substr(0, 30), answer) == HttpState::kNeedMore);
  EXPECT(read_answer(data.substr(0, data.size() - 5), answer) == HttpState::kNeedMore);
  EXPECT(read_answer(data, answer) == HttpState::kComplete);
  EXPECT(answer.status == 400 && answer.body == "body" && answer.bytes == data.size() - 4);
  EXPECT(read_answer("HTTP/1.1 200 OK\r\n\r\n", answer) == HttpState::kFault);  // no length
}

Options two_symbols() {
  Options options;
  options.mode = Mode::kPlain;
  options.symbols = {"AAUSDT", "BBUSDT"};
  options.tick_size = "0.01";
  options.lot_size = "0.001";
  options.min_notional = "5";
  options.client_id_prefix = "t-";
  return options;
}

void the_workload_is_the_same_for_the_same_seed() {
  const Options options = two_symbols();
  std::vector<Grid> grids;
  EXPECT(find_grids(options, grids).empty() && grids.size() == 2);
  Workload first(options, grids);
  Workload second(options, grids);
  for (int i = 0; i < 1000; ++i) {
    const Order a = first.next();
    const Order b = second.next();
    EXPECT(a.price == b.price && a.lots == b.lots && a.grid == b.grid && a.sells == b.sells);
  }
}

void the_workload_stays_within_its_bounds_and_crosses_as_often_as_asked() {
  Options options = two_symbols();
  options.cross_percent = 10;
  std::vector<Grid> grids;
  EXPECT(find_grids(options, grids).empty());
  Workload workload(options, grids);
  int crossing = 0;
  int selling = 0;
  constexpr int kOrders = 100'000;
  for (int i = 0; i < kOrders; ++i) {
    const Order order = workload.next();
    const std::int64_t away = order.price - workload.grid(order).middle;
    EXPECT(away != 0 && std::abs(away) <= options.levels);
    EXPECT(order.lots >= grids[0].lots_min && order.lots <= 10 * grids[0].lots_min);
    EXPECT(order.price * order.lots >= 5 * 100 * 1000);  // worth the least notional
    const bool crosses = order.sells == (away < 0);
    EXPECT(!crosses || std::abs(away) <= 5);
    crossing += crosses ? 1 : 0;
    selling += order.sells ? 1 : 0;
  }
  EXPECT(crossing > kOrders * 9 / 100 && crossing < kOrders * 11 / 100);
  EXPECT(selling > kOrders * 48 / 100 && selling < kOrders * 52 / 100);
}

void options_refuse_what_is_not_on_the_loopback() {
  const auto fault_of = [](const char* url) {
    std::string words[] = {"load-driver", "--mode", "plain", "--symbols", "AA", "--url", url};
    char* pointers[7];
    for (int i = 0; i < 7; ++i) pointers[i] = words[i].data();
    Options options;
    return parse_options(7, pointers, options);
  };
  EXPECT(fault_of("http://127.0.0.1:80").empty());
  EXPECT(fault_of("http://localhost:80/").empty());
  EXPECT(fault_of("http://10.1.2.3:80").find("loopback") != std::string::npos);
  EXPECT(fault_of("http://example.com:80").find("loopback") != std::string::npos);
  EXPECT(!fault_of("https://127.0.0.1:80").empty());
  EXPECT(!fault_of("http://127.0.0.1:0").empty());
}

}  // namespace

int main() {
  percentiles_are_within_one_percent_and_never_below();
  one_slow_request_in_a_hundred_shows_at_p99_9_only();
  steps_print_as_exact_decimals();
  signatures_agree_with_rfc_4231();
  only_what_is_not_clear_is_sent_again();
  frames_are_masked_as_a_server_unmasks_them();
  frames_of_a_server_are_read_whole_or_not_at_all();
  answers_need_their_whole_body();
  the_workload_is_the_same_for_the_same_seed();
  the_workload_stays_within_its_bounds_and_crosses_as_often_as_asked();
  options_refuse_what_is_not_on_the_loopback();
  std::puts("all good");
}
