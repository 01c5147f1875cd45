#include "entry.hpp"

namespace trading::load {

Outcome outcome_of(int status, std::string_view code) {
  if (status == 200 || status == 201) return Outcome::kOk;
  if (status >= 400 && status < 500) return Outcome::kFail;
  if (status == 503 && code == "-1008") return Outcome::kFail;  // refused before sequencing
  return Outcome::kUnknown;
}

bool may_be_resent(Outcome outcome, std::string_view code) {
  return outcome == Outcome::kUnknown || code == "-1008";
}

Entry::Entry(Session& session, std::size_t index)
    : session_(session),
      address_(session.options.addresses[index % session.options.addresses.size()]),
      api_key_(session.options.keys.empty()
                   ? std::string()
                   : session.options.keys[index % session.options.keys.size()].api_key),
      signer_(session.options.keys.empty()
                  ? std::string_view()
                  : session.options.keys[index % session.options.keys.size()].secret) {}

void Entry::fill(Flight& flight, std::int64_t since_ns, int count, bool may_cancel) {
  flight.since_ns = since_ns;
  flight.orders.clear();
  Workload& workload = session_.workload;
  const std::int64_t now = session_.recorder.active() ? monotonic_ns() : 0;
  for (int i = 0; i < count; ++i) {
    if (may_cancel && acknowledged_count_ > 0 && workload.wants_cancel()) {
      const std::size_t chosen = workload.draw(acknowledged_count_);
      Order order = acknowledged_[chosen];
      acknowledged_[chosen] = acknowledged_[--acknowledged_count_];
      order.cancels = true;
      flight.orders.push_back(order);
    } else {
      flight.orders.push_back(workload.next());
      ++session_.tally.orders_sent;
    }
    session_.recorder.invoke(workload, flight.orders.back(), api_key_, now);
  }
}

void Entry::settle(const Order& order, Outcome outcome, std::string_view order_id,
                   std::string_view code, std::int64_t now_ns) {
  Tally& tally = session_.tally;
  session_.recorder.finish(session_.workload, order, api_key_, outcome, order_id, code, now_ns);
  if (order.cancels) {
    ++(outcome == Outcome::kOk ? tally.cancels_acknowledged : tally.cancels_refused);
    if (outcome == Outcome::kOk && tally.in_window(now_ns)) ++tally.cancels_in_window;
    if (outcome != Outcome::kOk && code != "-2011") count_error(code);
    return;
  }
  if (outcome == Outcome::kOk) {
    ++tally.orders_acknowledged;
    if (tally.in_window(now_ns)) ++tally.orders_in_window;
    if (session_.options.cancel_percent > 0) {
      if (acknowledged_count_ < acknowledged_.size()) {
        acknowledged_[acknowledged_count_++] = order;
      } else {
        acknowledged_[order.number % acknowledged_.size()] = order;
      }
    }
    return;
  }
  ++(outcome == Outcome::kFail ? tally.orders_failed : tally.orders_unknown);
  count_error(code);
}

void Entry::note_resend(const Order& order, Outcome outcome, std::string_view code,
                        std::int64_t now_ns) {
  Recorder& recorder = session_.recorder;
  recorder.finish(session_.workload, order, api_key_, outcome, {}, code, now_ns);
  recorder.invoke(session_.workload, order, api_key_, monotonic_ns());
  ++session_.tally.resends;
}

void Entry::settle_latency(const Flight& flight, bool good, std::int64_t now_ns) {
  if (!good) return;
  if (session_.tally.in_window(flight.since_ns)) {
    session_.tally.latency.record(now_ns - flight.since_ns);
  }
  if (session_.tally.in_window(now_ns)) ++session_.tally.requests_in_window;
}

void Entry::count_error(std::string_view code) {
  ++session_.tally.errors[std::string(code)];
}

}  // namespace trading::load
