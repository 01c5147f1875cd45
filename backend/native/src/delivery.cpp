// Delivery: staged commands to the outboxes of their partitions, deadlines, lost connections.
#include "order_entry.hpp"

namespace trading::entry {
namespace {

bool is_query(const Pending& pending) noexcept {
  const auto kind = static_cast<wire::Kind>(pending.draft.command.kind);
  return kind == wire::Kind::kQueryOrder || kind == wire::Kind::kQueryOpen ||
         kind == wire::Kind::kQueryDepth;
}

}  // namespace

Error open_outcome(const Pending& pending) noexcept {
  const bool open =
      pending.state == CommandState::kWritten || pending.state == CommandState::kLookup;
  return open && !is_query(pending) ? Error::kUnknownOutcome : Error::kBusy;
}

std::size_t OrderEntry::all_waiting() const noexcept {
  std::size_t all = 0;
  for (const Link& link : links_) all += link.waiting;
  return all;
}

std::size_t OrderEntry::all_in_flight() const noexcept {
  std::size_t all = 0;
  for (const Link& link : links_) all += link.in_flight;
  return all;
}

void OrderEntry::set_partitions(std::size_t count) {
  if (count > links_.size()) links_.resize(count);
}

void OrderEntry::leave(Pending& pending) noexcept {
  if (pending.state == CommandState::kStaged || pending.state == CommandState::kLookup) return;
  Link& link = links_[static_cast<std::size_t>(pending.partition)];
  --link.in_flight;
  if (pending.state == CommandState::kWaiting) --link.waiting;
}

void OrderEntry::enqueue(Pending& pending, std::int64_t now_us) {
  if (pending.draft.symbol != nullptr) pending.partition = pending.draft.symbol->partition;
  const auto partition = static_cast<std::size_t>(pending.partition);
  if (pending.partition < 0 || partition >= links_.size() ||
      links_[partition].in_flight >= limits_.in_flight_max) {
    pending.state = CommandState::kStaged;
    finish_command(pending, Error::kBusy, nullptr);
    return;
  }
  Link& link = links_[partition];
  pending.state = CommandState::kWaiting;
  pending.since_us = now_us;
  pending.draft.command.request_id = pending.id;
  link.outbox.push_back(pending.id);
  ++link.waiting;
  ++link.in_flight;
}

bool OrderEntry::submit(Request& request, const Rates& rates, std::int64_t now_us) {
  const std::uint64_t id = request.id;
  request.rates = rates;
  now_us_ = now_us;
  if (request.remaining == 0) {
    finish(request);
    return true;
  }
  request.begun_us = now_us;
  deadlines_.emplace_back(now_us + limits_.deadline_us, id);
  // A command may end at once (full outbox) and the last one ends the request: look it up again.
  for (std::size_t i = 0; i < request.commands.size(); ++i) {
    if (Pending* pending = commands_.find(request.commands[i]); pending != nullptr) {
      enqueue(*pending, now_us);
    }
    if (requests_.find(id) == nullptr) return true;
  }
  return false;
}

void OrderEntry::refuse(Request& request, Error error, const Rates& rates,
                        std::int64_t retry_after_seconds) {
  request.rates = rates;
  fail(request, {error, {}});
  request.retry_after_seconds = retry_after_seconds;
  finish(request);
}

void OrderEntry::forget(Request& request) {
  fail(request, {Error::kBusy, {}});
  requests_.release(request);
}

void OrderEntry::set_connected(std::size_t partition, bool connected, std::int64_t now_us) {
  Link& link = links_[partition];
  link.connected = connected;
  link.cutter.reset();
  if (connected) return;
  commands_.each([&](Pending& pending) {
    if (pending.partition != static_cast<int>(partition)) return;
    if (pending.state == CommandState::kWritten) {
      finish_command(pending, open_outcome(pending), nullptr);
    } else if (pending.state == CommandState::kWaiting) {
      pending.since_us = now_us;  // the hold begins with the loss
    }
  });
}

const std::vector<Pending*>& OrderEntry::take(std::size_t partition, std::size_t count,
                                              std::int64_t now_us) {
  Link& link = links_[partition];
  taken_.clear();
  while (!link.outbox.empty() && taken_.size() < count) {
    Pending* pending = commands_.find(link.outbox.front());
    link.outbox.pop_front();
    if (pending == nullptr || pending->state != CommandState::kWaiting) continue;
    pending->state = CommandState::kWritten;
    pending->since_us = now_us;
    --link.waiting;
    taken_.push_back(pending);
  }
  return taken_;
}

void OrderEntry::park(Pending& pending, std::int64_t now_us) {
  if (pending.lost_us == 0) pending.lost_us = now_us;
  if (now_us - pending.lost_us >= limits_.hold_us) {
    finish_command(pending, Error::kBusy, nullptr);
    return;
  }
  const bool moved =
      pending.draft.symbol != nullptr && pending.draft.symbol->partition != pending.partition;
  if (moved) {
    leave(pending);
    enqueue(pending, now_us);
    return;
  }
  pending.state = CommandState::kParked;
  pending.revision = symbols_.revision();
  parked_.push_back(pending.id);
}

void OrderEntry::unpark(std::int64_t now_us) {
  // Routes change more than once in a hand-over, and may lead to the former owner until the last
  // change: so a command asks after each of them, and what limits that is the time.
  std::deque<std::uint64_t> parked;
  parked.swap(parked_);
  for (const std::uint64_t id : parked) {
    Pending* pending = commands_.find(id);
    if (pending == nullptr || pending->state != CommandState::kParked) continue;
    if (now_us - pending->lost_us >= limits_.hold_us) {
      finish_command(*pending, Error::kBusy, nullptr);
    } else if (pending->revision != symbols_.revision()) {
      leave(*pending);
      enqueue(*pending, now_us);
    } else {
      parked_.push_back(id);
    }
  }
}

void OrderEntry::routes_changed(std::int64_t now_us) {
  unpark(now_us);
}

void OrderEntry::expire(std::int64_t now_us) {
  now_us_ = now_us;
  unpark(now_us);
  for (Link& link : links_) {
    while (!link.connected && !link.outbox.empty()) {
      Pending* pending = commands_.find(link.outbox.front());
      if (pending != nullptr && pending->state == CommandState::kWaiting) {
        if (now_us - pending->since_us < limits_.hold_us) break;
        finish_command(*pending, Error::kBusy, nullptr);
      }
      link.outbox.pop_front();
    }
  }
  while (!deadlines_.empty()) {
    const auto [deadline_us, id] = deadlines_.front();
    Request* request = requests_.find(id);
    if (request != nullptr && now_us < deadline_us) return;
    deadlines_.pop_front();
    if (request == nullptr) continue;
    for (std::size_t i = 0; i < request->commands.size(); ++i) {
      Pending* pending = commands_.find(request->commands[i]);
      if (pending != nullptr) finish_command(*pending, open_outcome(*pending), nullptr);
      if (requests_.find(id) == nullptr) break;
    }
  }
}

}  // namespace trading::entry
