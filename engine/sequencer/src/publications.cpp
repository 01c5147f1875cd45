#include "trading/sequencer/publications.hpp"

#include "trading/sequencer/msgpack.hpp"

namespace trading::sequencer {
namespace {

constexpr std::string_view kKinds[] = {"NEW",      "TRADE",   "CANCELED",
                                       "REPLACED", "EXPIRED", "REDUCED"};
constexpr std::size_t kExecutionBytesMax = 768;  // 21 names, 17 integers, 4 texts
constexpr std::size_t kFields = 21;

// A short text with its msgpack head, made when compiling.
template <std::size_t size>
struct Name {
  char bytes[size];  // head instead of the end mark
  consteval Name(const char (&text)[size]) : bytes{} {
    static_assert(size - 1 < 32);
    bytes[0] = static_cast<char>(0xa0U | (size - 1));
    for (std::size_t i = 0; i + 1 < size; ++i) bytes[i + 1] = text[i];
  }
};

template <std::size_t size>
char* name(char* at, const Name<size>& text) {
  std::memcpy(at, text.bytes, size);
  return at + size;
}

template <std::size_t size>
char* number(char* at, const Name<size>& text, std::int64_t value) {
  return msgpack::integer(name(at, text), value);
}

}  // namespace

void ExecutionFeed::add(std::string_view symbol, const ColdOrder& order, const Execution& e) {
  if (order.account == 0) return;  // the system has no stream
  Channel& channel = channels_[static_cast<std::uint64_t>(order.account) % kExecutionChannels];
  ++channel.count;
  ++total_;
  char* at = msgpack::map(channel.maps.room(kExecutionBytesMax), kFields);
  at = number(at, Name("account"), order.account);
  at = msgpack::text(name(at, Name("s")), symbol);
  at = number(at, Name("order_id"), order.order_id);
  at = msgpack::text(name(at, Name("client_id")), order.client());
  at = msgpack::text(name(at, Name("target_client_id")), e.target_client_id);
  at = msgpack::text(name(at, Name("kind")), kKinds[static_cast<std::size_t>(e.kind)]);
  at = number(at, Name("side"), static_cast<std::int64_t>(order.side));
  at = number(at, Name("type"), static_cast<std::int64_t>(order.type));
  at = number(at, Name("time_in_force"), static_cast<std::int64_t>(order.time_in_force));
  at = number(at, Name("price"), order.price);
  at = number(at, Name("quantity"), order.quantity);
  at = number(at, Name("executed"), order.executed);
  at = number(at, Name("executed_quote"), order.executed_quote);
  at = number(at, Name("last_price"), e.last_price);
  at = number(at, Name("last_quantity"), e.last_quantity);
  at = number(at, Name("trade_id"), e.trade_id);
  at = msgpack::boolean(name(at, Name("maker")), e.maker);
  at = number(at, Name("status"), static_cast<std::int64_t>(e.status));
  at = number(at, Name("end_reason"), static_cast<std::int64_t>(e.reason));
  at = number(at, Name("created_us"), order.created_us);
  at = number(at, Name("time_us"), e.time_us);
  channel.maps.extend_to(at);
}

}  // namespace trading::sequencer
