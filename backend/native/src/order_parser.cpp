#include "order_parser.hpp"

#include <charconv>
#include <cstring>
#include <limits>
#include <random>

namespace trading::entry {
namespace {

__extension__ using Wide = __int128;

constexpr ParamSet kOrderParams = set_of(
    Param::kSymbol, Param::kSide, Param::kType, Param::kTimeInForce, Param::kQuantity,
    Param::kQuoteOrderQty, Param::kPrice, Param::kNewClientOrderId, Param::kNewOrderRespType,
    Param::kSelfTradePreventionMode, Param::kStopPrice, Param::kIcebergQty, Param::kTrailingDelta);
// Known to clients of this API, but meaningless for the order types that there are.
constexpr ParamSet kNeverRequired =
    set_of(Param::kStopPrice, Param::kIcebergQty, Param::kTrailingDelta);

bool good_client_id(std::string_view id) noexcept {
  if (id.empty() || id.size() > wire::kClientIdBytes) return false;
  for (const char c : id) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
    if (!good) return false;
  }
  return true;
}

Failure require(const Fields& fields, Param param) noexcept {
  if (fields.has(param)) return {};
  return {Error::kMissingParameter, name_of(param)};
}

Failure refuse_any(const Fields& fields, ParamSet params) noexcept {
  const Failure found = fields.only(~params);
  return found ? Failure{Error::kNotRequired, found.field} : Failure{};
}

Failure find_symbol(const SymbolTable& symbols, std::string_view name, const Symbol*& found) {
  if (name.size() < 2 || name.size() > wire::kSymbolBytes) return {Error::kIllegalSymbol, "symbol"};
  for (const char c : name) {
    if (!((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))) {
      return {Error::kIllegalSymbol, "symbol"};
    }
  }
  found = symbols.find(name);
  return found == nullptr ? Failure{Error::kSymbol, "symbol"} : Failure{};
}

Failure amount(const Fields& fields, Param param, Step step, bool floored, Error filter,
               std::int64_t& steps) noexcept {
  switch (parse_decimal(fields.get(param), step, floored, steps)) {
    case DecimalFault::kNone:
      break;
    case DecimalFault::kIllegal:
      return {Error::kIllegalDecimal, name_of(param)};
    case DecimalFault::kPrecision:
      return {Error::kPrecision, name_of(param)};
    case DecimalFault::kOffGrid:
    case DecimalFault::kOverflow:
      return {filter, name_of(param)};
  }
  return steps > 0 ? Failure{} : Failure{filter, name_of(param)};
}

Failure self_trade(const Fields& fields, Draft& draft) noexcept {
  draft.command.self_trade = draft.symbol->self_trade;
  if (!fields.has(Param::kSelfTradePreventionMode)) return {};
  const std::string_view mode = fields.get(Param::kSelfTradePreventionMode);
  constexpr std::string_view kModes[] = {"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH",
                                         "DECREMENT"};
  for (std::uint8_t i = 0; i < 5; ++i) {
    if (mode == kModes[i]) {
      draft.command.self_trade = i;
      return {};
    }
  }
  return {Error::kInvalidParameter, "selfTradePreventionMode"};
}

Failure response_type(const Fields& fields, Draft& draft) noexcept {
  draft.response = ResponseType::kFull;
  if (draft.command.type == static_cast<std::uint8_t>(wire::OrderType::kLimitMaker)) {
    draft.response = ResponseType::kAck;
  }
  if (!fields.has(Param::kNewOrderRespType)) return {};
  const std::string_view text = fields.get(Param::kNewOrderRespType);
  if (text == "ACK") {
    draft.response = ResponseType::kAck;
  } else if (text == "RESULT") {
    draft.response = ResponseType::kResult;
  } else if (text == "FULL") {
    draft.response = ResponseType::kFull;
  } else {
    return {Error::kInvalidParameter, "newOrderRespType"};
  }
  return {};
}

Failure time_in_force(const Fields& fields, Draft& draft) noexcept {
  if (draft.command.type != static_cast<std::uint8_t>(wire::OrderType::kLimit)) {
    return refuse_any(fields, bit(Param::kTimeInForce));
  }
  if (const Failure f = require(fields, Param::kTimeInForce)) return f;
  const std::string_view text = fields.get(Param::kTimeInForce);
  if (text == "GTC") {
    draft.command.time_in_force = static_cast<std::uint8_t>(wire::TimeInForce::kGtc);
  } else if (text == "IOC") {
    draft.command.time_in_force = static_cast<std::uint8_t>(wire::TimeInForce::kIoc);
  } else if (text == "FOK") {
    draft.command.time_in_force = static_cast<std::uint8_t>(wire::TimeInForce::kFok);
  } else {
    return {Error::kTimeInForce, "timeInForce"};
  }
  return {};
}

Failure side_and_type(const Fields& fields, Draft& draft) noexcept {
  if (const Failure f = require(fields, Param::kSide)) return f;
  const std::string_view side = fields.get(Param::kSide);
  if (side == "BUY") {
    draft.command.side = static_cast<std::uint8_t>(wire::Side::kBuy);
  } else if (side == "SELL") {
    draft.command.side = static_cast<std::uint8_t>(wire::Side::kSell);
  } else {
    return {Error::kSide, "side"};
  }
  if (const Failure f = require(fields, Param::kType)) return f;
  const std::string_view type = fields.get(Param::kType);
  if (type == "LIMIT") {
    draft.command.type = static_cast<std::uint8_t>(wire::OrderType::kLimit);
  } else if (type == "MARKET") {
    draft.command.type = static_cast<std::uint8_t>(wire::OrderType::kMarket);
  } else if (type == "LIMIT_MAKER") {
    draft.command.type = static_cast<std::uint8_t>(wire::OrderType::kLimitMaker);
  } else {
    return {Error::kOrderType, "type"};
  }
  return {};
}

}  // namespace

ClientIds::ClientIds() {
  constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::random_device device;  // the system's own source, not a seed
  for (char& c : prefix_) c = kDigits[device() % 62];
}

void ClientIds::next(char (&id)[wire::kClientIdBytes]) noexcept {
  std::memset(id, 0, sizeof id);
  std::memcpy(id, prefix_, sizeof prefix_);
  std::to_chars(id + sizeof prefix_, id + sizeof id, ++counter_, 36);
}

ParamSet allowed_of(Action action) noexcept {
  constexpr ParamSet kTarget = set_of(Param::kSymbol, Param::kOrderId, Param::kOrigClientOrderId);
  switch (action) {
    case Action::kPlace:
      return kOrderParams;
    case Action::kTest:
      return kOrderParams | bit(Param::kComputeCommissionRates);
    case Action::kCancel:
      return kTarget | bit(Param::kNewClientOrderId);
    case Action::kAmend:
      return kTarget | bit(Param::kNewQty);
    case Action::kQueryOrder:
      return kTarget;
    case Action::kCancelAll:
    case Action::kQueryOpen:
      return bit(Param::kSymbol);
    case Action::kBatch:
      return bit(Param::kBatchOrders);
    case Action::kCancelReplace:
      return kOrderParams | set_of(Param::kCancelReplaceMode, Param::kCancelOrderId,
                                   Param::kCancelOrigClientOrderId, Param::kCancelNewClientOrderId);
    case Action::kNone:
      break;
  }
  return 0;
}

Failure parse_count(const Fields& fields, Param param, std::int64_t& value) noexcept {
  const std::string_view text = fields.get(param);
  const auto done = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.front() == '-' || done.ec != std::errc{} ||
      done.ptr != text.data() + text.size()) {
    return {Error::kIllegalInteger, name_of(param)};
  }
  return {};
}

Failure OrderParser::client_id(const Fields& fields, Param param,
                               char (&id)[wire::kClientIdBytes]) {
  if (!fields.has(param)) {
    ids_.next(id);
    return {};
  }
  const std::string_view text = fields.get(param);
  if (!good_client_id(text)) return {Error::kIllegalClientId, name_of(param)};
  std::memcpy(id, text.data(), text.size());
  return {};
}

Failure OrderParser::target(const Fields& fields, Param id, Param client_id, Draft& draft) const {
  if (fields.has(id)) {
    if (const Failure f = parse_count(fields, id, draft.command.order_id)) return f;
    // 0 on the wire means "by client id"; no order has it.
    if (draft.command.order_id <= 0) return {Error::kIllegalInteger, name_of(id)};
    // Both may be given: the partition takes the order only if they mean the same one.
    if (!fields.has(client_id)) return {};
  } else if (const Failure f = require(fields, client_id)) {
    return {f.error, name_of(id)};
  }
  const std::string_view text = fields.get(client_id);
  if (!good_client_id(text)) return {Error::kIllegalClientId, name_of(client_id)};
  std::memcpy(draft.command.target_client_id, text.data(), text.size());
  return {};
}

Failure OrderParser::quantities(const Fields& fields, Draft& draft) const {
  const bool market = draft.command.type == static_cast<std::uint8_t>(wire::OrderType::kMarket);
  if (!market) {
    if (const Failure f = refuse_any(fields, bit(Param::kQuoteOrderQty))) return f;
  }
  const Symbol& symbol = *draft.symbol;
  if (fields.has(Param::kQuoteOrderQty)) {
    if (const Failure f = refuse_any(fields, bit(Param::kQuantity))) return f;
    // A budget: "spend at most", so what lies below one unit is cut off, never added.
    const Failure f = amount(fields, Param::kQuoteOrderQty, symbol.quote, true, Error::kNotional,
                             draft.command.quote_quantity);
    if (f) return f;
    return draft.command.quote_quantity < symbol.notional_min
               ? Failure{Error::kNotional, "quoteOrderQty"}
               : Failure{};
  }
  if (const Failure f = require(fields, Param::kQuantity)) return f;
  std::int64_t& lots = draft.command.quantity;
  const Failure f = amount(fields, Param::kQuantity, symbol.lot, false, Error::kLotSize, lots);
  if (f) return f;
  if (lots < symbol.quantity_min || (symbol.quantity_max != 0 && lots > symbol.quantity_max)) {
    return {Error::kLotSize, "quantity"};
  }
  return {};
}

Failure OrderParser::price(const Fields& fields, Draft& draft) const {
  if (draft.command.type == static_cast<std::uint8_t>(wire::OrderType::kMarket)) {
    return refuse_any(fields, bit(Param::kPrice));
  }
  if (const Failure f = require(fields, Param::kPrice)) return f;
  const Symbol& symbol = *draft.symbol;
  std::int64_t& ticks = draft.command.price;
  const Failure f = amount(fields, Param::kPrice, symbol.tick, false, Error::kPriceFilter, ticks);
  if (f) return f;
  if (symbol.price_max != 0 && ticks > symbol.price_max) return {Error::kPriceFilter, "price"};
  const Wide notional = static_cast<Wide>(ticks) * draft.command.quantity;
  if (notional < symbol.notional_min ||
      notional > static_cast<Wide>(std::numeric_limits<std::int64_t>::max())) {
    return {Error::kNotional, "price"};
  }
  return {};
}

Failure OrderParser::place(const Fields& fields, Draft& draft) {
  draft.command.kind = static_cast<std::uint8_t>(wire::Kind::kPlace);
  if (const Failure f = side_and_type(fields, draft)) return f;
  if (const Failure f = refuse_any(fields, kNeverRequired)) return f;
  if (const Failure f = time_in_force(fields, draft)) return f;
  if (const Failure f = quantities(fields, draft)) return f;
  if (const Failure f = price(fields, draft)) return f;
  if (const Failure f = self_trade(fields, draft)) return f;
  if (const Failure f = response_type(fields, draft)) return f;
  return client_id(fields, Param::kNewClientOrderId, draft.command.client_id);
}

Failure OrderParser::cancel_replace(const Fields& fields, Draft& draft) {
  if (const Failure f = place(fields, draft)) return f;
  draft.command.kind = static_cast<std::uint8_t>(wire::Kind::kCancelReplace);
  if (const Failure f = require(fields, Param::kCancelReplaceMode)) return f;
  const std::string_view mode = fields.get(Param::kCancelReplaceMode);
  if (mode == "ALLOW_FAILURE") {
    draft.command.flags = wire::flag::kAllowFailure;
  } else if (mode != "STOP_ON_FAILURE") {
    return {Error::kInvalidParameter, "cancelReplaceMode"};
  }
  if (const Failure f = client_id(fields, Param::kCancelNewClientOrderId, draft.cancel_client_id)) {
    return f;
  }
  return target(fields, Param::kCancelOrderId, Param::kCancelOrigClientOrderId, draft);
}

Failure OrderParser::amend(const Fields& fields, Draft& draft) const {
  draft.command.kind = static_cast<std::uint8_t>(wire::Kind::kAmend);
  if (const Failure f = require(fields, Param::kNewQty)) return f;
  const Failure f = amount(fields, Param::kNewQty, draft.symbol->lot, false, Error::kLotSize,
                           draft.command.quantity);
  return f ? f : target(fields, Param::kOrderId, Param::kOrigClientOrderId, draft);
}

Failure OrderParser::parse(Action action, const Fields& fields, std::int64_t account,
                           Draft& draft) {
  draft = Draft{};  // drafts live in reused memory
  std::memset(&draft.command, 0, sizeof draft.command);
  draft.command.account = account;
  if (fields.has(Param::kSymbol)) {
    const Failure f = find_symbol(symbols_, fields.get(Param::kSymbol), draft.symbol);
    if (f) return f;
    std::memcpy(draft.command.symbol, draft.symbol->name.data(), draft.symbol->name.size());
  } else if (action != Action::kQueryOpen) {
    return {Error::kMissingParameter, "symbol"};
  }
  const auto kind = [&draft](wire::Kind k) { draft.command.kind = static_cast<std::uint8_t>(k); };
  switch (action) {
    case Action::kPlace:
    case Action::kTest:
      return place(fields, draft);
    case Action::kCancelReplace:
      return cancel_replace(fields, draft);
    case Action::kAmend:
      return amend(fields, draft);
    case Action::kCancel:
      kind(wire::Kind::kCancel);
      if (const Failure f = client_id(fields, Param::kNewClientOrderId, draft.cancel_client_id)) {
        return f;
      }
      return target(fields, Param::kOrderId, Param::kOrigClientOrderId, draft);
    case Action::kQueryOrder:
      kind(wire::Kind::kQueryOrder);
      return target(fields, Param::kOrderId, Param::kOrigClientOrderId, draft);
    case Action::kCancelAll:
      kind(wire::Kind::kCancelAll);
      return {};
    case Action::kQueryOpen:
      kind(wire::Kind::kQueryOpen);
      return {};
    case Action::kBatch:
    case Action::kNone:
      break;
  }
  return {Error::kUnsupported, {}};
}

}  // namespace trading::entry
