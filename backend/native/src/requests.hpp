// Requests in flight and their commands. Ids carry a generation: a late reply finds nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "http.hpp"
#include "order_parser.hpp"

namespace trading::entry {

// Objects of type T (with a member `id`, 0 = free) that keep their memory when they are reused.
template <class T>
class Slab {
 public:
  T& take() {
    std::uint32_t index = 0;
    if (free_.empty()) {
      index = static_cast<std::uint32_t>(items_.size());
      items_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    T& item = items_[index];
    item.id = (++generation_ << kIndexBits) | index;
    return item;
  }
  T* find(std::uint64_t id) noexcept {
    const auto index = static_cast<std::size_t>(id & kIndexMask);
    return id != 0 && index < items_.size() && items_[index].id == id ? &items_[index] : nullptr;
  }
  void release(T& item) {
    free_.push_back(static_cast<std::uint32_t>(item.id & kIndexMask));
    item.id = 0;
  }
  std::size_t used() const noexcept { return items_.size() - free_.size(); }
  template <class F>
  void each(F&& visit) {
    for (T& item : items_) {
      if (item.id != 0) visit(item);
    }
  }

 private:
  static constexpr unsigned kIndexBits = 24;
  static constexpr std::uint64_t kIndexMask = (std::uint64_t{1} << kIndexBits) - 1;
  std::deque<T> items_;
  std::vector<std::uint32_t> free_;
  std::uint64_t generation_ = 0;
};

enum class Sink : std::uint8_t {
  kLane,    // a whole HTTP response with the server's common headers
  kAsgi,    // the same without them
  kStream,  // a frame of a WebSocket
  kRaw,     // the replies as they came, for the replica's own queries
};

enum class Shape : std::uint8_t {
  kSingle,
  kItems,    // one result per item, in input order
  kList,     // as many results as the partition sends
  kReplace,  // two halves
};

struct Span {
  std::size_t begin = 0;
  std::size_t bytes = 0;
};

struct Request {
  std::uint64_t id = 0;
  std::uint64_t stream = 0;
  std::int64_t account = -1;
  std::int64_t retry_after_seconds = 0;
  std::int64_t begun_us = 0;  // when it went to the partitions
  Rates rates;
  Sink sink = Sink::kLane;
  Shape shape = Shape::kSingle;
  Action action = Action::kNone;
  bool microseconds = false;
  bool rate_limits = false;  // stream: show `rateLimits`
  bool cancel_failed = false;
  int status = 200;
  std::uint32_t orders = 0;     // to be counted by the rate limiter
  std::uint32_t remaining = 0;  // commands without their last reply
  std::string id_text;          // stream: JSON text of the request's id
  std::string body;             // results as they come
  std::vector<Span> items;
  std::vector<std::uint64_t> commands;

  void reset() {
    stream = 0;
    account = -1;
    retry_after_seconds = begun_us = 0;
    rates = {};
    shape = Shape::kSingle;
    action = Action::kNone;
    microseconds = rate_limits = cancel_failed = false;
    status = 200;
    orders = remaining = 0;
    id_text.clear();
    body.clear();
    items.clear();
    commands.clear();
  }
};

enum class CommandState : std::uint8_t {
  kStaged,   // parsed, not yet allowed
  kWaiting,  // in the outbox of its partition
  kWritten,  // given to the socket: the outcome is open
  kParked,   // the partition was not the owner: waits for a new route
  kLookup,   // answered; details are being read from the shard
};

struct Pending {
  std::uint64_t id = 0;
  std::uint64_t request = 0;
  std::uint64_t revision = 0;  // of the routes, when it was parked
  std::int64_t since_us = 0;   // in this state, but for kParked
  std::int64_t lost_us = 0;    // since when those asked were not the owner; 0 = none said so
  std::uint32_t item = 0;
  int partition = -1;
  CommandState state = CommandState::kStaged;
  Draft draft;
};

// What must be read from the shard before a command can be answered.
struct Lookup {
  std::uint64_t command = 0;
  bool first_answer = false;  // else: the order as it is now
  std::string symbol;
  std::int64_t account = 0;
  std::int64_t order_id = 0;
  std::string client_id;
  std::int64_t cancelled_id = 0;  // cancelReplace: the target, too
  std::string cancelled_client_id;
};

}  // namespace trading::entry
