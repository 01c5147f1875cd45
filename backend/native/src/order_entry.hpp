// Order entry of a replica: bytes of clients in, command frames out; reply frames in, answers out.
// No I/O, no clock, no threads: the caller (one event loop) passes bytes and the time.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entry_load.hpp"
#include "http.hpp"
#include "keys.hpp"
#include "link.hpp"
#include "order_parser.hpp"
#include "render.hpp"
#include "requests.hpp"
#include "symbols.hpp"

namespace trading::entry {

struct EntryLimits {
  std::size_t body_bytes_max = 1U << 20;
  std::size_t batch_orders_max = 500;
  std::size_t in_flight_max = 32768;  // commands per partition
  std::int64_t deadline_us = 5'000'000;
  std::int64_t hold_us = 250'000;  // how long a command waits for a connection or an owner
  std::int64_t orders_10s = 0;     // shown in `rateLimits`; 0 = no limit
  std::int64_t orders_1d = 0;
  std::int64_t weight_1m = 0;
  std::uint32_t stream_messages_1s = 0;  // of one stream, pings too; 0 = no limit
};

// Who sends a request, once the signature was checked.
struct Caller {
  std::int64_t account = -1;
  std::int64_t expires_us = 0;
};

struct Begun {
  HeadState state = HeadState::kNotMine;
  std::size_t bytes = 0;
  Request* request = nullptr;  // kComplete: staged, or failed already (remaining == 0)
};

// Results since the last drain.
struct Done {
  std::vector<std::pair<std::uint64_t, std::string>> answers;  // request id, bytes
  std::vector<std::uint64_t> streams;                          // with finished requests
  std::vector<Lookup> lookups;
  std::vector<std::pair<std::uint8_t, std::string>> frames;  // other frames of a partition
};

// What a command's end without an answer means: only what was written may have been applied.
Error open_outcome(const Pending& pending) noexcept;

// The rest of a WebSocket's answers; see stream.hpp.
class StreamSink {
 public:
  virtual ~StreamSink() = default;
  virtual void answer(Request& request) = 0;
};

class OrderEntry {
 public:
  OrderEntry() : parser_(symbols_) {}

  SymbolTable& symbols() noexcept { return symbols_; }
  KeyTable& keys() noexcept { return keys_; }
  EntryLimits& limits() noexcept { return limits_; }
  void set_common_headers(std::string block) { common_headers_ = std::move(block); }
  void set_partitions(std::size_t count);

  // Intake. A request that is kComplete must be submitted or refused next.
  Begun begin_http(std::string_view data, std::int64_t now_us);
  Request& begin(const HttpRequest& request, Sink sink, std::int64_t now_us);
  Request& begin_query(const wire::Command& command, int partition, std::int64_t now_us);
  Failure check_key(const ApiKey* key, std::uint8_t scopes) const noexcept;
  Failure check_time(const Fields& fields, bool required, std::int64_t now_us,
                     std::int64_t& expires_us) const noexcept;
  void stage(Request& request, Action action, const Fields& fields, const Caller& caller);
  void stage_items(Request& request, std::string_view text, bool lines, const Caller& caller);
  Request& new_request(Sink sink);
  void fail(Request& request, const Failure& failure);

  // Gives the staged commands to their partitions. True: the request is answered already.
  bool submit(Request& request, const Rates& rates, std::int64_t now_us);
  void refuse(Request& request, Error error, const Rates& rates, std::int64_t retry_after_seconds);
  void forget(Request& request);
  Request* find(std::uint64_t id) noexcept { return requests_.find(id); }

  // The partitions' side.
  void set_connected(std::size_t partition, bool connected, std::int64_t now_us);
  std::size_t waiting(std::size_t partition) const noexcept { return links_[partition].waiting; }
  std::size_t in_flight(std::size_t partition) const noexcept {
    return links_[partition].in_flight;
  }
  // Picks at most `count` waiting commands for one frame; they count as written.
  const std::vector<Pending*>& take(std::size_t partition, std::size_t count, std::int64_t now_us);
  // False: the bytes are not of our wire; close the connection.
  bool feed(std::size_t partition, std::string_view bytes, std::int64_t now_us);
  void routes_changed(std::int64_t now_us);
  void expire(std::int64_t now_us);
  // What was read from the shard: a Reply and its Fills, or nothing.
  void resolve(std::uint64_t command, std::string_view record, std::string_view cancelled);
  void resolve_failed(std::uint64_t command);

  Done& done() noexcept { return done_; }
  void set_stream_sink(StreamSink* sink) noexcept { stream_sink_ = sink; }
  std::size_t requests() const noexcept { return requests_.used(); }
  const EntryLoad& load() const noexcept { return load_; }
  std::size_t all_waiting() const noexcept;
  std::size_t all_in_flight() const noexcept;

 private:
  Failure authenticate(const HttpRequest& request, std::int64_t now_us, Caller& caller);
  Failure check_signature(const HttpRequest& request, const ApiKey& key) const noexcept;
  void stage_item(Request& request, Failure failure, const Caller& caller);
  void stage_all_symbols(Request& request, const Caller& caller);
  void enqueue(Pending& pending, std::int64_t now_us);
  void leave(Pending& pending) noexcept;
  void park(Pending& pending, std::int64_t now_us);
  void unpark(std::int64_t now_us);

  void on_reply(const wire::Reply& reply, const char* fills, std::int64_t now_us);
  void on_depth(std::string_view payload);
  void on_raw(Pending& pending, const wire::Reply& reply, std::string_view record);
  void on_list(Pending& pending, Request& request, const Answer& answer);
  void on_replace(Pending& pending, Request& request, const Answer& answer);
  void look_up(Pending& pending, const wire::Reply& reply, std::int64_t now_us);
  void finish_replace(Pending& pending, Request& request, const Answer* answer, Error error);
  void finish_command(Pending& pending, Error error, const Answer* answer);
  void end_command(Pending& pending, Request& request);
  void finish(Request& request);
  void count(const Request& request) noexcept;
  void append_body(std::string& out, const Request& request) const;
  friend class Streams;

  SymbolTable symbols_;
  KeyTable keys_;
  EntryLimits limits_;
  OrderParser parser_;
  std::string common_headers_;
  std::vector<Link> links_;
  Slab<Request> requests_;
  Slab<Pending> commands_;
  std::deque<std::pair<std::int64_t, std::uint64_t>> deadlines_;
  std::deque<std::uint64_t> parked_;
  std::vector<Pending*> taken_;
  Done done_;
  StreamSink* stream_sink_ = nullptr;
  Fields fields_;
  std::string decoded_;
  std::string unescaped_;
  EntryLoad load_;
  std::int64_t now_us_ = 0;  // of the last call that told it
};

}  // namespace trading::entry
