// The event loop: connects, sends closed-loop or open-loop, drains. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "entry.hpp"

namespace trading::load {

class Driver {
 public:
  explicit Driver(Session session);
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Runs to the end; returns what made it impossible, if anything. Errors of single requests and
  // lost connections are counted in the tally instead.
  std::string run();

 private:
  struct Usage {
    double cpu_seconds = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t bytes_received = 0;
  };

  std::string connect_all();
  void connect(Entry& entry, std::int64_t now);
  void drop(Entry& entry, std::string_view reason, bool error, std::int64_t now);
  void poll(std::int64_t until_ns);
  void handle(Entry& entry, std::uint32_t events);
  void flush(Entry& entry);
  void send_what_is_due(std::int64_t now);
  void top_up(Entry& entry);
  void reconnect(std::int64_t now);
  void drain();
  void note_window(std::int64_t now);
  [[nodiscard]] bool may_send() const;
  [[nodiscard]] std::int64_t due_ns(std::uint64_t request) const;
  [[nodiscard]] std::uint64_t due_count(std::int64_t now) const;
  [[nodiscard]] std::size_t in_flight() const;
  [[nodiscard]] Usage usage() const;

  Session session_;
  int epoll_ = -1;
  int timer_ = -1;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::string fatal_;
  bool sending_ = false;
  std::int64_t start_ns_ = 0;
  double interval_ns_ = 0;    // open loop: between two requests
  std::uint64_t issued_ = 0;  // open loop: requests sent
  std::size_t turn_ = 0;      // open loop: the connection to try next
  int window_state_ = 0;      // 0 before, 1 inside, 2 after
  Usage at_begin_;
  Usage at_end_;  // spent inside the window
};

}  // namespace trading::load
