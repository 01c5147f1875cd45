// trading_backend._native: order entry for one event loop. No trading rules here.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>

#include "streams.hpp"

namespace py = pybind11;

namespace trading::entry {
namespace {

// Above this many bytes the work outweighs what giving the GIL back and taking it again costs.
constexpr std::size_t kReleaseBytes = 4096;

std::string_view view_of(const py::bytes& bytes) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(bytes.ptr(), &data, &size) != 0) throw py::error_already_set();
  return {data, static_cast<std::size_t>(size)};
}

template <class F>
auto released(std::size_t bytes, F&& work) {
  std::optional<py::gil_scoped_release> release;
  if (bytes >= kReleaseBytes) release.emplace();
  return work();
}

using SymbolRow = std::tuple<std::string, std::string, std::string, std::int64_t, int, std::int64_t,
                             int, std::int64_t, std::int64_t, std::int64_t, std::int64_t, int>;
using KeyRow = std::tuple<std::string, std::string, std::int64_t, int>;
using RouteRow = std::tuple<std::string, std::string, int>;

Symbol symbol_of(const SymbolRow& row) {
  Symbol symbol;
  symbol.name = std::get<0>(row);
  symbol.base_asset = std::get<1>(row);
  symbol.quote_asset = std::get<2>(row);
  symbol.tick = {std::get<3>(row), std::get<4>(row)};
  symbol.lot = {std::get<5>(row), std::get<6>(row)};
  std::int64_t quote = 0;
  const bool bad = symbol.name.size() > wire::kSymbolBytes || symbol.tick.mantissa < 1 ||
                   symbol.lot.mantissa < 1 || symbol.tick.scale < 0 || symbol.lot.scale < 0 ||
                   symbol.tick.scale + symbol.lot.scale > 18 ||
                   __builtin_mul_overflow(symbol.tick.mantissa, symbol.lot.mantissa, &quote);
  if (bad) throw std::invalid_argument("tickSize and lotSize of " + symbol.name + " are too fine");
  symbol.quote = {quote, symbol.tick.scale + symbol.lot.scale};
  symbol.quantity_min = std::get<7>(row);
  symbol.quantity_max = std::get<8>(row);
  symbol.price_max = std::get<9>(row);
  symbol.notional_min = std::get<10>(row);
  symbol.self_trade = static_cast<std::uint8_t>(std::get<11>(row));
  return symbol;
}

class NativeOrderEntry {
 public:
  NativeOrderEntry() : streams_(entry_) {}

  void set_symbols(const std::vector<SymbolRow>& rows) {
    std::vector<Symbol> symbols;
    symbols.reserve(rows.size());
    for (const SymbolRow& row : rows) symbols.push_back(symbol_of(row));
    entry_.symbols().set(std::move(symbols));
  }
  void set_routes(std::size_t partitions, const std::vector<RouteRow>& rows, std::int64_t now_us) {
    std::vector<SlotRoute> slots;
    slots.reserve(rows.size());
    for (const auto& [first, past, partition] : rows) {
      if (partition >= static_cast<int>(partitions)) {
        throw std::out_of_range("partition of slot [" + first + ", " + past + ")");
      }
      slots.push_back({first, past, partition});
    }
    entry_.set_partitions(partitions);
    entry_.symbols().route(std::move(slots));
    entry_.routes_changed(now_us);
  }
  void set_keys(const std::vector<KeyRow>& rows) {
    std::vector<ApiKey> keys;
    keys.reserve(rows.size());
    for (const auto& [name, secret, account, scopes] : rows) {
      keys.push_back({name, Hmac(secret), account, static_cast<std::uint8_t>(scopes)});
    }
    entry_.keys().set(std::move(keys));
  }
  void set_limits(std::size_t body_bytes_max, std::size_t batch_orders_max,
                  std::size_t in_flight_max, std::int64_t deadline_us, std::int64_t hold_us) {
    EntryLimits& limits = entry_.limits();
    limits.body_bytes_max = body_bytes_max;
    limits.batch_orders_max = batch_orders_max;
    limits.in_flight_max = in_flight_max;
    limits.deadline_us = deadline_us;
    limits.hold_us = hold_us;
  }
  void set_rate_limits(std::int64_t orders_10s, std::int64_t orders_1d, std::int64_t weight_1m) {
    EntryLimits& limits = entry_.limits();
    limits.orders_10s = orders_10s;
    limits.orders_1d = orders_1d;
    limits.weight_1m = weight_1m;
  }
  void set_stream_limit(std::uint32_t messages_1s) {
    entry_.limits().stream_messages_1s = messages_1s;
  }
  void set_common_headers(const std::string& block) { entry_.set_common_headers(block); }

  py::tuple begin_http(const py::bytes& data, std::int64_t now_us) {
    const std::string_view bytes = view_of(data);
    const Begun begun = released(bytes.size(), [&] { return entry_.begin_http(bytes, now_us); });
    const Request* request = begun.request;
    return py::make_tuple(
        static_cast<int>(begun.state), begun.bytes, request == nullptr ? 0 : request->id,
        request == nullptr ? -1 : request->account, request == nullptr ? 0U : request->orders);
  }
  py::tuple begin(const std::string& method, const std::string& path, const py::bytes& query,
                  const py::bytes& body, const py::bytes& content_type, const py::bytes& api_key,
                  bool microseconds, std::int64_t now_us) {
    HttpRequest http;
    http.action = action_of(method, path);
    if (http.action == Action::kNone) throw std::invalid_argument("no order route: " + path);
    http.query = view_of(query);
    http.body = view_of(body);
    http.content_type = view_of(content_type);
    http.api_key = view_of(api_key);
    http.microseconds = microseconds;
    const Request& request = released(
        http.body.size(), [&]() -> Request& { return entry_.begin(http, Sink::kAsgi, now_us); });
    return py::make_tuple(request.id, request.account, request.orders);
  }
  // 0: the symbol is unknown or no slot covers it.
  std::uint64_t begin_query(int kind, const std::string& symbol, std::int64_t account,
                            std::int64_t order_id, const std::string& client_id,
                            std::int64_t quantity, std::int64_t now_us) {
    const Symbol* found = entry_.symbols().find(symbol);
    if (found == nullptr || client_id.size() > wire::kClientIdBytes) return 0;
    wire::Command command;
    std::memset(&command, 0, sizeof command);
    std::memcpy(command.symbol, symbol.data(), symbol.size());
    std::memcpy(command.target_client_id, client_id.data(), client_id.size());
    command.kind = static_cast<std::uint8_t>(kind);
    command.account = account;
    command.order_id = order_id;
    command.quantity = quantity;
    return entry_.begin_query(command, found->partition, now_us).id;
  }
  std::optional<py::bytes> submit(std::uint64_t id, std::int64_t weight, std::int64_t orders_10s,
                                  std::int64_t orders_1d, std::int64_t now_us) {
    Request* request = entry_.find(id);
    if (request == nullptr) throw std::out_of_range("no such request");
    if (!entry_.submit(*request, {weight, orders_10s, orders_1d}, now_us)) return std::nullopt;
    return last_answer(id);
  }
  py::bytes refuse(std::uint64_t id, bool orders, std::int64_t weight, std::int64_t orders_10s,
                   std::int64_t orders_1d, std::int64_t retry_after_seconds) {
    Request* request = entry_.find(id);
    if (request == nullptr) throw std::out_of_range("no such request");
    entry_.refuse(*request, orders ? Error::kTooManyOrders : Error::kTooMuchWeight,
                  {weight, orders_10s, orders_1d}, retry_after_seconds);
    return *last_answer(id);
  }

  void set_connected(std::size_t partition, bool connected, std::int64_t now_us) {
    entry_.set_connected(partition, connected, now_us);
  }
  std::size_t waiting(std::size_t partition) { return entry_.waiting(partition); }
  std::size_t in_flight(std::size_t partition) { return entry_.in_flight(partition); }
  py::bytes take(std::size_t partition, std::size_t count, std::int64_t now_us) {
    constexpr std::size_t kMost =
        (wire::kFrameBytesMax - sizeof(wire::FrameHeader)) / sizeof(wire::Command);
    const auto& taken = entry_.take(partition, std::min(count, kMost), now_us);
    if (taken.empty()) return {};
    const std::size_t bytes = sizeof(wire::FrameHeader) + taken.size() * sizeof(wire::Command);
    auto out = py::reinterpret_steal<py::bytes>(
        PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes)));
    if (!out) throw py::error_already_set();
    char* at = PyBytes_AS_STRING(out.ptr());
    const wire::FrameHeader header{static_cast<std::uint32_t>(bytes),
                                   static_cast<std::uint8_t>(wire::FrameType::kCommands), 0, 0};
    std::memcpy(at, &header, sizeof header);
    at += sizeof header;
    for (const Pending* pending : taken) {
      std::memcpy(at, &pending->draft.command, sizeof(wire::Command));
      at += sizeof(wire::Command);
    }
    return out;
  }
  bool feed(std::size_t partition, const py::bytes& data, std::int64_t now_us) {
    const std::string_view bytes = view_of(data);
    return released(bytes.size(), [&] { return entry_.feed(partition, bytes, now_us); });
  }
  void expire(std::int64_t now_us) { entry_.expire(now_us); }
  void resolve(std::uint64_t command, const py::bytes& record, const py::bytes& cancelled) {
    entry_.resolve(command, view_of(record), view_of(cancelled));
  }
  void resolve_failed(std::uint64_t command) { entry_.resolve_failed(command); }

  // (answers, streams with output, lookups, other frames), or None when there is nothing.
  py::object drain() {
    Done& done = entry_.done();
    if (done.answers.empty() && done.streams.empty() && done.lookups.empty() &&
        done.frames.empty()) {
      return py::none();
    }
    py::list answers;
    for (auto& [id, bytes] : done.answers) answers.append(py::make_tuple(id, py::bytes(bytes)));
    py::list streams;
    for (const std::uint64_t id : done.streams) {
      Stream* stream = streams_.find(id);
      if (stream == nullptr) continue;
      stream->dirty = false;
      streams.append(py::make_tuple(id, stream_output(id)));
    }
    py::list lookups;
    for (const Lookup& l : done.lookups) {
      lookups.append(py::make_tuple(l.command, l.first_answer, l.symbol, l.account, l.order_id,
                                    l.client_id, l.cancelled_id, l.cancelled_client_id));
    }
    py::list frames;
    for (auto& [type, payload] : done.frames) {
      frames.append(py::make_tuple(static_cast<int>(type), py::bytes(payload)));
    }
    done.answers.clear();
    done.streams.clear();
    done.lookups.clear();
    done.frames.clear();
    return py::make_tuple(answers, streams, lookups, frames);
  }

  std::uint64_t stream_open(bool rate_limits, std::int64_t now_us) {
    return streams_.open(rate_limits, now_us);
  }
  void stream_close(std::uint64_t id) { streams_.close(id); }
  py::tuple stream_receive(std::uint64_t id, const py::bytes& data, std::int64_t now_us) {
    Stream& stream = stream_of(id);
    const std::string_view bytes = view_of(data);
    const std::vector<Run> runs = released(bytes.size(), [&] {
      streams_.receive(stream, bytes, now_us);
      return streams_.runs(stream);
    });
    py::list found;
    for (const Run& run : runs) found.append(py::make_tuple(run.account, run.requests, run.orders));
    py::list events;
    for (const StreamEvent& e : stream.events) {
      events.append(py::make_tuple(e.method, py::bytes(e.id), e.account, py::bytes(e.params)));
    }
    stream.events.clear();
    return py::make_tuple(found, events, stream.closing);
  }
  // (orders to be counted) of each staged request, in order of arrival.
  std::vector<std::uint32_t> stream_staged(std::uint64_t id) {
    std::vector<std::uint32_t> orders;
    for (const std::uint64_t staged : stream_of(id).staged) {
      const Request* request = entry_.find(staged);
      orders.push_back(request == nullptr ? 0 : request->orders);
    }
    return orders;
  }
  void stream_submit(std::uint64_t id, std::size_t count, std::int64_t weight,
                     std::int64_t orders_10s, std::int64_t orders_1d, std::int64_t now_us) {
    streams_.submit(stream_of(id), count, {weight, orders_10s, orders_1d}, now_us);
  }
  void stream_refuse(std::uint64_t id, std::size_t count, bool orders, std::int64_t weight,
                     std::int64_t orders_10s, std::int64_t orders_1d,
                     std::int64_t retry_after_seconds) {
    streams_.refuse(stream_of(id), count, orders ? Error::kTooManyOrders : Error::kTooMuchWeight,
                    {weight, orders_10s, orders_1d}, retry_after_seconds);
  }
  py::bytes stream_output(std::uint64_t id) {
    Stream& stream = stream_of(id);
    py::bytes out(stream.out);
    stream.out.clear();
    return out;
  }
  std::size_t stream_in_flight(std::uint64_t id) { return stream_of(id).in_flight; }
  std::size_t requests() const { return entry_.requests(); }
  py::tuple load() const {
    const EntryLoad& load = entry_.load();
    return py::make_tuple(load.stream_requests, load.orders, load.busy, load.unknown, load.refused,
                          entry_.all_waiting(), entry_.all_in_flight(), load.latency_sum_us,
                          std::vector<std::uint64_t>(load.latencies.begin(), load.latencies.end()));
  }

 private:
  Stream& stream_of(std::uint64_t id) {
    Stream* stream = streams_.find(id);
    if (stream == nullptr) throw std::out_of_range("no such stream");
    return *stream;
  }
  std::optional<py::bytes> last_answer(std::uint64_t id) {
    auto& answers = entry_.done().answers;
    if (answers.empty() || answers.back().first != id) return std::nullopt;
    py::bytes out(answers.back().second);
    answers.pop_back();
    return out;
  }

  OrderEntry entry_;
  Streams streams_;
};

py::list error_rows() {
  py::list rows;
  for (std::size_t i = 1; i < static_cast<std::size_t>(Error::kCount); ++i) {
    const ErrorRow& found = row(static_cast<Error>(i));
    rows.append(py::make_tuple(found.http, found.code, std::string(found.text)));
  }
  return rows;
}

py::bytes frame(int opcode, const py::bytes& payload) {
  std::string out;
  append_frame(out, static_cast<Opcode>(opcode), view_of(payload));
  return out;
}

py::bytes close_frame(int code, const std::string& reason) {
  std::string out;
  append_close(out, static_cast<std::uint16_t>(code), reason);
  return out;
}

}  // namespace
}  // namespace trading::entry

PYBIND11_MODULE(_native, m) {
  using trading::entry::NativeOrderEntry;
  m.doc() = "Order entry of a replica. Confined to one thread: that of the event loop.";
  m.attr("NOT_MINE") = static_cast<int>(trading::entry::HeadState::kNotMine);
  m.attr("NEED_MORE") = static_cast<int>(trading::entry::HeadState::kNeedMore);
  m.attr("COMPLETE") = static_cast<int>(trading::entry::HeadState::kComplete);
  m.def("error_rows", &trading::entry::error_rows);
  m.attr("LATENCY_BOUNDS_MICROSECONDS") = std::vector<std::int64_t>(
      trading::entry::kLatencyBoundsUs.begin(), trading::entry::kLatencyBoundsUs.end());
  m.def("frame", &trading::entry::frame);
  m.def("close_frame", &trading::entry::close_frame);
  py::class_<NativeOrderEntry>(m, "OrderEntry")
      .def(py::init<>())
      .def("set_symbols", &NativeOrderEntry::set_symbols)
      .def("set_routes", &NativeOrderEntry::set_routes)
      .def("set_keys", &NativeOrderEntry::set_keys)
      .def("set_limits", &NativeOrderEntry::set_limits)
      .def("set_rate_limits", &NativeOrderEntry::set_rate_limits)
      .def("set_stream_limit", &NativeOrderEntry::set_stream_limit)
      .def("set_common_headers", &NativeOrderEntry::set_common_headers)
      .def("begin_http", &NativeOrderEntry::begin_http)
      .def("begin", &NativeOrderEntry::begin)
      .def("begin_query", &NativeOrderEntry::begin_query)
      .def("submit", &NativeOrderEntry::submit)
      .def("refuse", &NativeOrderEntry::refuse)
      .def("set_connected", &NativeOrderEntry::set_connected)
      .def("waiting", &NativeOrderEntry::waiting)
      .def("in_flight", &NativeOrderEntry::in_flight)
      .def("take", &NativeOrderEntry::take)
      .def("feed", &NativeOrderEntry::feed)
      .def("expire", &NativeOrderEntry::expire)
      .def("resolve", &NativeOrderEntry::resolve)
      .def("resolve_failed", &NativeOrderEntry::resolve_failed)
      .def("drain", &NativeOrderEntry::drain)
      .def("stream_open", &NativeOrderEntry::stream_open)
      .def("stream_close", &NativeOrderEntry::stream_close)
      .def("stream_receive", &NativeOrderEntry::stream_receive)
      .def("stream_staged", &NativeOrderEntry::stream_staged)
      .def("stream_submit", &NativeOrderEntry::stream_submit)
      .def("stream_refuse", &NativeOrderEntry::stream_refuse)
      .def("stream_output", &NativeOrderEntry::stream_output)
      .def("stream_in_flight", &NativeOrderEntry::stream_in_flight)
      .def("requests", &NativeOrderEntry::requests)
      .def("load", &NativeOrderEntry::load);
}
