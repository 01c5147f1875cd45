// Replies of the partition as the JSON that clients of this API expect.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <trading/wire.hpp>

#include "order_parser.hpp"
#include "symbols.hpp"

namespace trading::entry {

// One reply with what order entry kept of its request.
struct Answer {
  const wire::Reply& reply;
  const char* fills;  // reply.fill_count records of wire::Fill, unaligned
  const Symbol& symbol;
  std::int64_t quote_quantity = 0;  // ticks * lots, of a MARKET order by budget
  bool microseconds = false;
};

// A new order, in the size that newOrderRespType asks for.
void append_placed(std::string& out, const Answer& answer, ResponseType type);
// A cancelled order; `cancel_id` names the cancel itself.
void append_cancelled(std::string& out, const Answer& answer, std::string_view cancel_id);
// An order as GET order and GET openOrders show it.
void append_order(std::string& out, const Answer& answer);
// The answer of order/amend/keepPriority.
void append_amended(std::string& out, const Answer& answer);

// The text of a zero-padded field.
template <std::size_t N>
std::string_view text_of(const char (&field)[N]) noexcept {
  const std::string_view whole(field, N);
  return whole.substr(0, whole.find('\0'));
}

}  // namespace trading::entry
