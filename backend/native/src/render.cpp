#include "render.hpp"

#include <array>
#include <cstring>

namespace trading::entry {
namespace {

template <std::size_t N>
std::string_view word(const std::array<std::string_view, N>& words, std::uint8_t index) noexcept {
  return index < N ? words[index] : std::string_view("UNKNOWN");
}

constexpr std::array<std::string_view, 7> kStatuses = {
    "NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"};
constexpr std::array<std::string_view, 2> kSides = {"BUY", "SELL"};
constexpr std::array<std::string_view, 3> kTypes = {"LIMIT", "MARKET", "LIMIT_MAKER"};
constexpr std::array<std::string_view, 3> kTimes = {"GTC", "IOC", "FOK"};
constexpr std::array<std::string_view, 5> kSelfTrade = {"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER",
                                                        "EXPIRE_BOTH", "DECREMENT"};

std::string_view expiry_reason(std::uint8_t reason) noexcept {
  switch (static_cast<wire::EndReason>(reason)) {
    case wire::EndReason::kIocUnfilled:
      return "UNFILLED_IOC_QUANTITY_EXPIRED";
    case wire::EndReason::kFokUnfilled:
      return "UNFILLED_FOK_ORDER_EXPIRED";
    case wire::EndReason::kNoLiquidity:
      return "INSUFFICIENT_LIQUIDITY";
    case wire::EndReason::kPriceBand:
      return "EXECUTION_RULE_PRICE_RANGE_EXCEEDED";
    case wire::EndReason::kExchange:
      return "EXCHANGE_CANCELED";
    default:
      return {};
  }
}

void text(std::string& out, std::string_view key, std::string_view value) {
  out.append(key).append(value).push_back('"');
}

void decimal(std::string& out, std::string_view key, std::int64_t steps, Step step) {
  out.append(key);
  append_decimal(out, steps, step);
  out.push_back('"');
}

void integer(std::string& out, std::string_view key, std::int64_t value) {
  out.append(key);
  append_integer(out, value);
}

std::int64_t shown(const Answer& answer, std::int64_t microseconds) noexcept {
  return answer.microseconds ? microseconds : microseconds / 1000;
}

// {"symbol":..,"orderId":..,"orderListId":-1
void append_start(std::string& out, const Answer& answer) {
  text(out, "{\"symbol\":\"", answer.symbol.name);
  integer(out, ",\"orderId\":", answer.reply.order_id);
  out.append(",\"orderListId\":-1");
}

void append_amounts(std::string& out, const Answer& answer) {
  const wire::Reply& reply = answer.reply;
  decimal(out, ",\"price\":\"", reply.price, answer.symbol.tick);
  decimal(out, ",\"origQty\":\"", reply.quantity, answer.symbol.lot);
  decimal(out, ",\"executedQty\":\"", reply.executed, answer.symbol.lot);
  decimal(out, ",\"origQuoteOrderQty\":\"", answer.quote_quantity, answer.symbol.quote);
  decimal(out, ",\"cummulativeQuoteQty\":\"", reply.executed_quote, answer.symbol.quote);
}

void append_words(std::string& out, const Answer& answer) {
  const wire::Reply& reply = answer.reply;
  text(out, ",\"status\":\"", word(kStatuses, reply.status));
  text(out, ",\"timeInForce\":\"", word(kTimes, reply.time_in_force));
  text(out, ",\"type\":\"", word(kTypes, reply.type));
  text(out, ",\"side\":\"", word(kSides, reply.side));
}

void append_end(std::string& out, const Answer& answer) {
  const wire::Reply& reply = answer.reply;
  text(out, ",\"selfTradePreventionMode\":\"", word(kSelfTrade, reply.self_trade));
  if (reply.prevented > 0) {
    decimal(out, ",\"preventedQuantity\":\"", reply.prevented, answer.symbol.lot);
  }
  const std::string_view reason = expiry_reason(reply.end_reason);
  if (!reason.empty()) text(out, ",\"expiryReason\":\"", reason);
}

void append_fills(std::string& out, const Answer& answer) {
  const bool buys = answer.reply.side == static_cast<std::uint8_t>(wire::Side::kBuy);
  out.append(",\"fills\":[");
  for (std::uint32_t i = 0; i < answer.reply.fill_count; ++i) {
    wire::Fill fill;
    std::memcpy(&fill, answer.fills + i * sizeof fill, sizeof fill);
    if (i != 0) out.push_back(',');
    decimal(out, "{\"price\":\"", fill.price, answer.symbol.tick);
    decimal(out, ",\"qty\":\"", fill.quantity, answer.symbol.lot);
    text(out, ",\"commission\":\"0\",\"commissionAsset\":\"",
         buys ? answer.symbol.base_asset : answer.symbol.quote_asset);
    integer(out, ",\"tradeId\":", fill.trade_id);
    out.push_back('}');
  }
  out.push_back(']');
}

}  // namespace

void append_placed(std::string& out, const Answer& answer, ResponseType type) {
  append_start(out, answer);
  text(out, ",\"clientOrderId\":\"", text_of(answer.reply.client_id));
  integer(out, ",\"transactTime\":", shown(answer, answer.reply.time_us));
  if (type != ResponseType::kAck) {
    append_amounts(out, answer);
    append_words(out, answer);
    integer(out, ",\"workingTime\":", shown(answer, answer.reply.created_us));
    append_end(out, answer);
    if (type == ResponseType::kFull) append_fills(out, answer);
  }
  out.push_back('}');
}

void append_cancelled(std::string& out, const Answer& answer, std::string_view cancel_id) {
  append_start(out, answer);
  text(out, ",\"origClientOrderId\":\"", text_of(answer.reply.client_id));
  text(out, ",\"clientOrderId\":\"", cancel_id);
  integer(out, ",\"transactTime\":", shown(answer, answer.reply.time_us));
  append_amounts(out, answer);
  append_words(out, answer);
  append_end(out, answer);
  out.push_back('}');
}

void append_order(std::string& out, const Answer& answer) {
  append_start(out, answer);
  text(out, ",\"clientOrderId\":\"", text_of(answer.reply.client_id));
  append_amounts(out, answer);
  append_words(out, answer);
  integer(out, ",\"stopPrice\":\"0\",\"icebergQty\":\"0\",\"time\":",
          shown(answer, answer.reply.created_us));
  integer(out, ",\"updateTime\":", shown(answer, answer.reply.time_us));
  integer(out, ",\"isWorking\":true,\"workingTime\":", shown(answer, answer.reply.created_us));
  append_end(out, answer);
  out.push_back('}');
}

void append_amended(std::string& out, const Answer& answer) {
  const wire::Reply& reply = answer.reply;
  integer(out, "{\"transactTime\":", shown(answer, reply.time_us));
  integer(out, ",\"executionId\":", static_cast<std::int64_t>(reply.sequence));
  out.append(",\"amendedOrder\":");
  append_start(out, answer);
  text(out, ",\"origClientOrderId\":\"", text_of(reply.client_id));
  text(out, ",\"clientOrderId\":\"", text_of(reply.client_id));
  decimal(out, ",\"price\":\"", reply.price, answer.symbol.tick);
  decimal(out, ",\"qty\":\"", reply.quantity, answer.symbol.lot);
  decimal(out, ",\"executedQty\":\"", reply.executed, answer.symbol.lot);
  decimal(out, ",\"preventedQty\":\"", reply.prevented, answer.symbol.lot);
  decimal(out, ",\"quoteOrderQty\":\"", 0, answer.symbol.quote);
  decimal(out, ",\"cumulativeQuoteQty\":\"", reply.executed_quote, answer.symbol.quote);
  append_words(out, answer);
  integer(out, ",\"workingTime\":", shown(answer, reply.created_us));
  text(out, ",\"selfTradePreventionMode\":\"", word(kSelfTrade, reply.self_trade));
  out.append("}}");
}

}  // namespace trading::entry
