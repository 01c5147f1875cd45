#include "report.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace trading::load {
namespace {

[[gnu::format(printf, 2, 3)]] void print(std::string& out, const char* format, ...) {
  char buffer[512];
  std::va_list values;
  va_start(values, format);
  const int length = std::vsnprintf(buffer, sizeof buffer, format, values);
  va_end(values);
  if (length <= 0) return;
  out.append(buffer, std::min(static_cast<std::size_t>(length), sizeof buffer - 1));
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(static_cast<unsigned char>(c) < 0x20 ? ' ' : c);
  }
  return out;
}

double microseconds(std::int64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1000;
}

double per_second(const Options& options, std::uint64_t count) {
  return static_cast<double>(count) / options.duration_seconds;
}

double cpu_microseconds_per_order(const Tally& tally) {
  const std::uint64_t count = tally.orders_in_window + tally.cancels_in_window;
  return count == 0 ? 0 : tally.cpu_seconds * 1e6 / static_cast<double>(count);
}

unsigned long long wide(std::uint64_t value) {
  return value;
}

}  // namespace

std::string json_report(const Options& o, const Tally& t) {
  std::string out = "{";
  print(out, "\"mode\":\"%s\",\"loop\":\"%s\",\"connections\":%d,\"in_flight\":%d,",
        std::string(name_of(o.mode)).c_str(), o.rate > 0 ? "open" : "closed", o.connections,
        o.mode == Mode::kStream ? o.in_flight : 1);
  print(out, "\"batch_size\":%d,\"symbols\":%zu,\"cross_percent\":%d,\"cancel_percent\":%d,",
        o.mode == Mode::kBatch ? o.batch_size : 1, o.symbols.size(), o.cross_percent,
        o.cancel_percent);
  print(out, "\"seed\":%llu,\"client_id_prefix\":\"%s\",", wide(o.seed),
        o.client_id_prefix.c_str());
  print(out, "\"duration_seconds\":%g,\"warmup_seconds\":%g,\"rate\":%g,", o.duration_seconds,
        o.warmup_seconds, o.rate);
  print(out, "\"orders_per_second\":%.1f,\"cancels_per_second\":%.1f,\"requests_per_second\":%.1f,",
        per_second(o, t.orders_in_window), per_second(o, t.cancels_in_window),
        per_second(o, t.requests_in_window));
  print(out, "\"latency_microseconds\":{\"count\":%llu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,",
        wide(t.latency.count()), t.latency.mean() / 1000, microseconds(t.latency.percentile(50)),
        microseconds(t.latency.percentile(90)));
  print(out, "\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},", microseconds(t.latency.percentile(99)),
        microseconds(t.latency.percentile(99.9)), microseconds(t.latency.max()));
  print(out, "\"orders_sent\":%llu,\"orders_acknowledged\":%llu,\"orders_failed\":%llu,",
        wide(t.orders_sent), wide(t.orders_acknowledged), wide(t.orders_failed));
  print(out, "\"orders_unknown\":%llu,\"cancels_acknowledged\":%llu,\"cancels_refused\":%llu,",
        wide(t.orders_unknown), wide(t.cancels_acknowledged), wide(t.cancels_refused));
  print(out, "\"resends\":%llu,", wide(t.resends));
  print(out, "\"requests_unsent\":%llu,\"backlog_max\":%llu,\"reconnects\":%llu,",
        wide(t.requests_unsent), wide(t.backlog_max), wide(t.reconnects));
  print(out, "\"bytes_sent\":%llu,\"bytes_received\":%llu,\"cpu_seconds\":%.3f,",
        wide(t.bytes_sent), wide(t.bytes_received), t.cpu_seconds);
  print(out, "\"cpu_microseconds_per_order\":%.2f,\"errors\":{", cpu_microseconds_per_order(t));
  const char* before = "";
  for (const auto& [code, count] : t.errors) {
    out.append(before).append("\"").append(escaped(code)).append("\":");
    out.append(std::to_string(count));
    before = ",";
  }
  return out + "}}\n";
}

std::string text_report(const Options& o, const Tally& t) {
  std::string out;
  print(out, "%s, %s loop, %d connections, %zu symbols: %.0f orders/s acknowledged",
        std::string(name_of(o.mode)).c_str(), o.rate > 0 ? "open" : "closed", o.connections,
        o.symbols.size(), per_second(o, t.orders_in_window));
  if (o.cancel_percent > 0) print(out, ", %.0f cancels/s", per_second(o, t.cancels_in_window));
  print(out, "\nlatency of a request, ms: p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f",
        microseconds(t.latency.percentile(50)) / 1000,
        microseconds(t.latency.percentile(90)) / 1000,
        microseconds(t.latency.percentile(99)) / 1000,
        microseconds(t.latency.percentile(99.9)) / 1000, microseconds(t.latency.max()) / 1000);
  print(out, "\nsent %llu, acknowledged %llu, failed %llu, unknown %llu, reconnects %llu",
        wide(t.orders_sent), wide(t.orders_acknowledged), wide(t.orders_failed),
        wide(t.orders_unknown), wide(t.reconnects));
  if (t.requests_unsent > 0) print(out, ", due but unsent %llu", wide(t.requests_unsent));
  print(out, "\ndriver: %.2f us CPU per order\n", cpu_microseconds_per_order(t));
  for (const auto& [code, count] : t.errors) {
    print(out, "  %s: %llu times\n", code.substr(0, 200).c_str(), wide(count));
  }
  return out;
}

}  // namespace trading::load
