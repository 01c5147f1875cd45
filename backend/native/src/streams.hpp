// The WebSocket API `/ws-api/v3`: many requests per chunk in, one block of answering frames out.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"
#include "order_entry.hpp"
#include "websocket.hpp"

namespace trading::entry {

// A request that this side does not serve: private streams are the replica's other half.
struct StreamEvent {
  std::string method;
  std::string id;  // JSON text
  std::int64_t account = -1;
  std::string params;  // JSON text, "{}" if absent
};

// Consecutive staged requests of one account.
struct Run {
  std::int64_t account = -1;
  std::uint32_t requests = 0;
  std::uint32_t orders = 0;
};

struct Stream {
  Stream(std::uint64_t stream_id, std::size_t message_bytes_max, std::int64_t now_us)
      : id(stream_id), reader(message_bytes_max), connected_us(now_us) {}

  std::uint64_t id;
  FrameReader reader;
  std::string out;                    // frames to be written
  std::vector<std::uint64_t> staged;  // request ids, in order of arrival
  std::vector<StreamEvent> events;
  std::size_t in_flight = 0;  // submitted requests without an answer
  bool rate_limits = true;
  bool closing = false;  // a close frame is in `out`: nothing more is read
  bool dirty = false;
  std::string session_key;  // of session.logon; empty: none
  std::int64_t authorized_us = 0;
  std::int64_t connected_us;
  std::int64_t second = 0;  // the running one, and its messages
  std::uint32_t messages = 0;
  Rates rates;  // as last seen, for answers without a count of their own
};

class Streams : public StreamSink {
 public:
  explicit Streams(OrderEntry& entry) : entry_(entry) { entry_.set_stream_sink(this); }

  std::uint64_t open(bool rate_limits, std::int64_t now_us);
  void close(std::uint64_t id);
  Stream* find(std::uint64_t id) noexcept;
  // Reads a chunk; requests that need the partition are staged: submit or refuse them next.
  void receive(Stream& stream, std::string_view bytes, std::int64_t now_us);
  std::vector<Run> runs(const Stream& stream);
  // Takes the first `count` staged requests.
  void submit(Stream& stream, std::size_t count, const Rates& rates, std::int64_t now_us);
  void refuse(Stream& stream, std::size_t count, Error error, const Rates& rates,
              std::int64_t retry_after_seconds);
  void answer(Request& request) override;

 private:
  struct Message {
    std::string_view id = "null";
    std::string_view method;
    std::string_view params = "{}";
    std::string_view orders;
    Fields fields;
    Failure failure;
  };
  // Counts a message. kNone: serve it; else refuse it, or the stream is shut by now.
  Error count_message(Stream& stream, std::int64_t now_us);
  void message(Stream& stream, std::string_view text, std::int64_t now_us);
  Failure read(std::string_view text, Message& message);
  Failure read_params(JsonReader& reader, Message& message);
  void dispatch(Stream& stream, Message& message, std::int64_t now_us);
  void order(Stream& stream, Message& message, Action action, std::int64_t now_us);
  void session(Stream& stream, const Message& message, std::int64_t now_us);
  void hand_over(Stream& stream, const Message& message, std::int64_t now_us);
  Failure logon(Stream& stream, const Message& message, std::int64_t now_us);
  Failure authenticate(Stream& stream, const Message& message, std::uint8_t scopes,
                       std::int64_t now_us, Caller& caller);
  Failure check_signed(const Message& message, std::uint8_t scopes, std::int64_t now_us,
                       Caller& caller);
  void reply(Stream& stream, std::string_view id, int status, std::string_view body,
             bool rate_limits, const Rates& rates);
  void reply_failure(Stream& stream, const Message& message, const Failure& failure);
  void append_rate_limits(std::string& out, const Rates& rates) const;
  void shut(Stream& stream, std::uint16_t code, std::string_view reason);

  OrderEntry& entry_;
  std::map<std::uint64_t, std::unique_ptr<Stream>> streams_;
  std::uint64_t last_id_ = 0;
  std::string unescaped_;
  std::string payload_;
  std::string scratch_;
};

}  // namespace trading::entry
