#include "driver.hpp"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace trading::load {
namespace {

constexpr std::int64_t kConnectNs = 10 * kSecondNs;
constexpr std::int64_t kDrainNs = 6 * kSecondNs;  // a server's own deadline is 5 s
constexpr std::int64_t kRetryNs = kSecondNs / 10;
constexpr std::uint64_t kReconnectsMax = 10'000;
constexpr std::int64_t kIdleNs = kSecondNs / 5;

std::int64_t seconds_ns(double seconds) {
  return static_cast<std::int64_t>(seconds * static_cast<double>(kSecondNs));
}

}  // namespace

Driver::Driver(Session session) : session_(session) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, timer_, &event);
  const auto count = static_cast<std::size_t>(session_.options.connections);
  for (std::size_t i = 0; i < count; ++i) {
    entries_.push_back(session_.options.mode == Mode::kStream ? make_stream_entry(session_, i)
                                                              : make_http_entry(session_, i));
  }
}

Driver::~Driver() {
  ::close(timer_);
  ::close(epoll_);
}

void Driver::connect(Entry& entry, std::int64_t now) {
  entry.fault.clear();
  entry.greeted = false;
  entry.watched = true;
  entry.retry_at_ns = 0;
  if (!entry.socket.connect(entry.address())) {
    drop(entry, "not connected", true, now);
    return;
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT;
  event.data.ptr = &entry;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, entry.socket.descriptor(), &event);
}

void Driver::drop(Entry& entry, std::string_view reason, bool error, std::int64_t now) {
  if (entry.refused) fatal_ = entry.fault;
  if (error) ++session_.tally.errors[std::string(reason)];
  entry.lost(reason);
  session_.tally.bytes_sent += entry.socket.bytes_sent;
  session_.tally.bytes_received += entry.socket.bytes_received;
  entry.socket.bytes_sent = entry.socket.bytes_received = 0;
  entry.socket.close();
  entry.retry_at_ns = now + (error ? kRetryNs : 0);
}

void Driver::reconnect(std::int64_t now) {
  if (!sending_) return;
  for (const auto& entry : entries_) {
    if (entry->retry_at_ns == 0 || now < entry->retry_at_ns) continue;
    if (++session_.tally.reconnects > kReconnectsMax) {
      fatal_ = "connections are lost again and again";
      return;
    }
    connect(*entry, now);
  }
}

void Driver::flush(Entry& entry) {
  if (!entry.greeted || !entry.socket.has_unsent()) return;
  if (!entry.socket.flush()) {
    drop(entry, "connection lost", true, monotonic_ns());
    return;
  }
  const bool wants = entry.socket.has_unsent();
  if (wants == entry.watched) return;
  entry.watched = wants;
  epoll_event event{};
  event.events = wants ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.ptr = &entry;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, entry.socket.descriptor(), &event);
}

void Driver::handle(Entry& entry, std::uint32_t events) {
  if (entry.socket.descriptor() < 0) return;
  if (!entry.greeted) {
    if (!entry.socket.connected()) {
      drop(entry, "connection refused", true, monotonic_ns());
      return;
    }
    if ((events & EPOLLOUT) == 0) return;
    entry.greeted = true;
    entry.opened();
    if (!entry.socket.has_unsent()) entry.socket.out.clear();
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    const bool alive = entry.socket.receive();
    const bool good = entry.socket.received().empty() || entry.receive();
    if (!alive || !good) {
      const bool planned = alive && entry.fault.empty();  // Connection: close
      drop(entry, entry.fault.empty() ? "connection lost" : entry.fault, !planned, monotonic_ns());
      return;
    }
  }
  if (interval_ns_ == 0) top_up(entry);
  flush(entry);
  if (entry.watched && entry.greeted && !entry.socket.has_unsent()) {
    entry.watched = false;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &entry;
    ::epoll_ctl(epoll_, EPOLL_CTL_MOD, entry.socket.descriptor(), &event);
  }
}

bool Driver::may_send() const {
  return sending_ && session_.workload.made() < session_.options.orders_max;
}

void Driver::top_up(Entry& entry) {
  if (!may_send() || !entry.ready()) return;
  const std::int64_t now = monotonic_ns();
  while (entry.ready() && may_send()) entry.send(now);
}

std::int64_t Driver::due_ns(std::uint64_t request) const {
  return start_ns_ + static_cast<std::int64_t>(static_cast<double>(request) * interval_ns_);
}

std::uint64_t Driver::due_count(std::int64_t now) const {
  const std::int64_t until = std::min(now, session_.tally.window_past_ns - 1);
  if (until < start_ns_) return 0;
  return 1 + static_cast<std::uint64_t>(static_cast<double>(until - start_ns_) / interval_ns_);
}

void Driver::send_what_is_due(std::int64_t now) {
  const std::uint64_t due = due_count(now);
  Tally& tally = session_.tally;
  std::size_t tried = 0;
  while (issued_ < due && tried < entries_.size() &&
         session_.workload.made() < session_.options.orders_max) {
    Entry& entry = *entries_[turn_++ % entries_.size()];
    if (!entry.ready()) {
      ++tried;
      continue;
    }
    tried = 0;
    entry.send(due_ns(issued_++));
  }
  tally.backlog_max = std::max(tally.backlog_max, due - issued_);
  for (const auto& entry : entries_) flush(*entry);
}

void Driver::poll(std::int64_t until_ns) {
  itimerspec when{};
  until_ns = std::max<std::int64_t>(until_ns, 1);
  when.it_value.tv_sec = until_ns / kSecondNs;
  when.it_value.tv_nsec = until_ns % kSecondNs;
  ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
  std::array<epoll_event, 256> events;
  const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 1000);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr != nullptr) {
      handle(*static_cast<Entry*>(event.data.ptr), event.events);
      continue;
    }
    std::uint64_t expirations = 0;
    [[maybe_unused]] const ssize_t done = ::read(timer_, &expirations, sizeof expirations);
  }
}

Driver::Usage Driver::usage() const {
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  Usage found{seconds(own.ru_utime) + seconds(own.ru_stime), session_.tally.bytes_sent,
              session_.tally.bytes_received};
  for (const auto& entry : entries_) {
    found.bytes_sent += entry->socket.bytes_sent;
    found.bytes_received += entry->socket.bytes_received;
  }
  return found;
}

void Driver::note_window(std::int64_t now) {
  Tally& tally = session_.tally;
  if (window_state_ == 0 && now >= tally.window_begin_ns) {
    at_begin_ = usage();
    window_state_ = 1;
  }
  if (window_state_ == 1 && now >= tally.window_past_ns) {
    const Usage now_used = usage();
    at_end_ = {now_used.cpu_seconds - at_begin_.cpu_seconds,
               now_used.bytes_sent - at_begin_.bytes_sent,
               now_used.bytes_received - at_begin_.bytes_received};
    window_state_ = 2;
  }
}

std::size_t Driver::in_flight() const {
  std::size_t sum = 0;
  for (const auto& entry : entries_) sum += entry->in_flight();
  return sum;
}

std::string Driver::connect_all() {
  const std::int64_t begun = monotonic_ns();
  for (const auto& entry : entries_) connect(*entry, begun);
  const auto is_open = [](const auto& entry) { return entry->open; };
  while (!std::ranges::all_of(entries_, is_open)) {
    if (!fatal_.empty()) return fatal_;
    if (!session_.tally.errors.empty()) return session_.tally.errors.begin()->first;
    if (monotonic_ns() > begun + kConnectNs) return "not connected after 10 s";
    poll(monotonic_ns() + kIdleNs);
  }
  return {};
}

void Driver::drain() {
  const std::int64_t deadline = monotonic_ns() + kDrainNs;
  Tally& tally = session_.tally;
  const auto unsent = [&] {
    return interval_ns_ > 0 && fatal_.empty() ? due_count(tally.window_past_ns) - issued_ : 0;
  };
  // What was due inside the window is still sent: leaving it out would hide the worst latencies.
  sending_ = unsent() > 0;
  while (in_flight() + unsent() > 0 && monotonic_ns() < deadline) {
    if (unsent() > 0) send_what_is_due(monotonic_ns());
    sending_ = unsent() > 0;
    poll(monotonic_ns() + kIdleNs);
    reconnect(monotonic_ns());
  }
  sending_ = false;
  const std::int64_t now = monotonic_ns();
  for (; unsent() > 0; ++issued_) {
    ++tally.requests_unsent;
    if (tally.in_window(due_ns(issued_))) tally.latency.record(now - due_ns(issued_));
  }
  for (const auto& entry : entries_) {
    if (entry->in_flight() > 0) entry->lost("no answer");
    entry->socket.close();
  }
}

std::string Driver::run() {
  if (std::string fault = connect_all(); !fault.empty()) return fault;
  const Options& options = session_.options;
  Tally& tally = session_.tally;
  const double per_request = options.mode == Mode::kBatch ? options.batch_size : 1;
  if (options.rate > 0) interval_ns_ = static_cast<double>(kSecondNs) * per_request / options.rate;
  sending_ = true;
  start_ns_ = monotonic_ns();
  tally.window_begin_ns = start_ns_ + seconds_ns(options.warmup_seconds);
  tally.window_past_ns = tally.window_begin_ns + seconds_ns(options.duration_seconds);
  std::int64_t now = start_ns_;
  if (interval_ns_ == 0) {
    for (const auto& entry : entries_) {
      top_up(*entry);
      flush(*entry);
    }
  }
  while (now < tally.window_past_ns && fatal_.empty() && (may_send() || in_flight() > 0)) {
    note_window(now);
    if (interval_ns_ > 0) send_what_is_due(now);
    std::int64_t until = std::min(tally.window_past_ns, now + kIdleNs);
    if (window_state_ == 0) until = std::min(until, tally.window_begin_ns);
    // A backlog waits for answers, not for the clock.
    if (interval_ns_ > 0 && issued_ >= due_count(now)) until = std::min(until, due_ns(issued_));
    poll(until);
    now = monotonic_ns();
    reconnect(now);
  }
  note_window(now);
  drain();
  tally.cpu_seconds = at_end_.cpu_seconds;
  tally.bytes_sent = at_end_.bytes_sent;
  tally.bytes_received = at_end_.bytes_received;
  return fatal_;
}

}  // namespace trading::load
