// One connection's way of entering orders. Two kinds: HTTP (one request at a time) and a stream.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "clock.hpp"
#include "recorder.hpp"
#include "signer.hpp"
#include "socket.hpp"
#include "tally.hpp"
#include "workload.hpp"

namespace trading::load {

// A request without its answer.
struct Flight {
  std::int64_t since_ns = 0;  // sent, or due in an open loop
  std::vector<Order> orders;
};

// What all connections share.
struct Session {
  const Options& options;
  Workload& workload;
  Recorder& recorder;
  Tally& tally;
};

class Entry {
 public:
  Entry(Session& session, std::size_t index);
  virtual ~Entry() = default;
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  // The connection stands: begin to greet, if there is a greeting.
  virtual void opened() = 0;
  // Whether send() may be called.
  [[nodiscard]] virtual bool ready() const = 0;
  [[nodiscard]] virtual std::size_t in_flight() const = 0;
  // Appends one request to socket.out. `since_ns`: what its latency counts from.
  virtual void send(std::int64_t since_ns) = 0;
  // Takes the answers that came. False: the connection must be closed; `fault` says why, when it is
  // an error.
  virtual bool receive() = 0;
  // The connection is gone: everything without an answer is unknown.
  virtual void lost(std::string_view reason) = 0;

  [[nodiscard]] const Address& address() const { return address_; }

  Socket socket;
  bool open = false;
  bool greeted = false;          // connected: opened() was called
  bool watched = false;          // wants to know when it is writable
  std::int64_t retry_at_ns = 0;  // when to connect again
  std::string fault;
  bool refused = false;  // the greeting was refused: there is no point in going on

 protected:
  // The orders of a new request, counted and recorded as sent.
  void fill(Flight& flight, std::int64_t since_ns, int count, bool may_cancel);
  // One order of a request has its outcome.
  void settle(const Order& order, Outcome outcome, std::string_view order_id, std::string_view code,
              std::int64_t now_ns);
  // The whole request has its outcome: latency counts for success only.
  void settle_latency(const Flight& flight, bool good, std::int64_t now_ns);
  // The same request goes out once more: this attempt has an outcome, and another one begins.
  void note_resend(const Order& order, Outcome outcome, std::string_view code,
                   std::int64_t now_ns);
  void count_error(std::string_view code);

  Session& session_;
  Address address_;
  std::string api_key_;
  Signer signer_;

 private:
  // The newest acknowledged orders of this connection, to be cancelled.
  std::array<Order, 64> acknowledged_;
  std::size_t acknowledged_count_ = 0;
};

std::unique_ptr<Entry> make_http_entry(Session& session, std::size_t index);
std::unique_ptr<Entry> make_stream_entry(Session& session, std::size_t index);

// What an HTTP status, or that of a stream's answer, says about the outcome.
Outcome outcome_of(int status, std::string_view code);
// Whether sending the same order again can make it clear.
bool may_be_resent(Outcome outcome, std::string_view code);

}  // namespace trading::load
