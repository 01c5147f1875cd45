#include "trading/sequencer/publications.hpp"

#include <utility>

#include "trading/sequencer/msgpack.hpp"

namespace trading::sequencer {
namespace {

constexpr std::string_view kKinds[] = {"NEW", "TRADE", "CANCELED", "REPLACED", "EXPIRED",
                                       "REDUCED"};

}  // namespace

void ExecutionFeed::add(std::string_view symbol, const ColdOrder& order, const Execution& e) {
  if (order.account == 0) return;  // the system has no stream
  Channel& channel =
      channels_[static_cast<std::uint64_t>(order.account) % kExecutionChannels];
  ++channel.count;
  ++total_;
  std::string& out = channel.maps;
  const auto number = [&out](std::string_view name, std::int64_t value) {
    msgpack::text(out, name);
    msgpack::integer(out, value);
  };
  const auto text = [&out](std::string_view name, std::string_view value) {
    msgpack::text(out, name);
    msgpack::text(out, value);
  };
  msgpack::map(out, 21);
  number("account", order.account);
  text("s", symbol);
  number("order_id", order.order_id);
  text("client_id", order.client());
  text("target_client_id", e.target_client_id);
  text("kind", kKinds[static_cast<std::size_t>(e.kind)]);
  number("side", static_cast<std::int64_t>(order.side));
  number("type", static_cast<std::int64_t>(order.type));
  number("time_in_force", static_cast<std::int64_t>(order.time_in_force));
  number("price", order.price);
  number("quantity", order.quantity);
  number("executed", order.executed);
  number("executed_quote", order.executed_quote);
  number("last_price", e.last_price);
  number("last_quantity", e.last_quantity);
  number("trade_id", e.trade_id);
  msgpack::text(out, "maker");
  msgpack::boolean(out, e.maker);
  number("status", static_cast<std::int64_t>(e.status));
  number("end_reason", static_cast<std::int64_t>(e.reason));
  number("created_us", order.created_us);
  number("time_us", e.time_us);
}

std::pair<std::uint32_t, std::string> ExecutionFeed::take(std::size_t channel) {
  Channel taken;
  std::swap(taken, channels_[channel]);
  total_ -= taken.count;
  return {taken.count, std::move(taken.maps)};
}

}  // namespace trading::sequencer
