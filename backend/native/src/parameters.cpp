#include "parameters.hpp"

#include <bit>
#include <cstring>

namespace trading::entry {
namespace {

constexpr std::array<std::string_view, kParamCount> kNames = {
    "apiKey",
    "batchOrders",
    "cancelNewClientOrderId",
    "cancelOrderId",
    "cancelOrigClientOrderId",
    "cancelReplaceMode",
    "cancelRestrictions",
    "computeCommissionRates",
    "icebergQty",
    "newClientOrderId",
    "newOrderRespType",
    "newQty",
    "orderId",
    "orderRateLimitExceededMode",
    "orders",
    "origClientOrderId",
    "price",
    "quantity",
    "quoteOrderQty",
    "recvWindow",
    "returnRateLimits",
    "selfTradePreventionMode",
    "side",
    "signature",
    "stopPrice",
    "strategyId",
    "strategyType",
    "subscriptionId",
    "symbol",
    "timeInForce",
    "timestamp",
    "trailingDelta",
    "type",
};

constexpr bool sorted() {
  for (std::size_t i = 1; i < kNames.size(); ++i) {
    if (!(kNames[i - 1] < kNames[i])) return false;
  }
  return true;
}
static_assert(sorted());

// Open addressing over a cheap hash: names are looked up once per field of each order.
constexpr std::size_t kTableSize = 128;
constexpr std::size_t hash_of(std::string_view name) noexcept {
  const auto at = [&name](std::size_t i) { return static_cast<unsigned char>(name[i]); };
  return (name.size() * 31U + at(0) * 7U + at(name.size() - 1) * 3U + at(name.size() / 2)) %
         kTableSize;
}
constexpr std::array<std::uint8_t, kTableSize> make_lookup() {
  std::array<std::uint8_t, kTableSize> table{};
  for (auto& cell : table) cell = static_cast<std::uint8_t>(kParamCount);
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    std::size_t at = hash_of(kNames[i]);
    while (table[at] != kParamCount) at = (at + 1) % kTableSize;
    table[at] = static_cast<std::uint8_t>(i);
  }
  return table;
}
constexpr auto kLookup = make_lookup();

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// False: a '%' without two hexadecimal digits.
bool decode(std::string_view& text, std::string& decoded) {
  if (text.find_first_of("%+") == std::string_view::npos) return true;
  const std::size_t start = decoded.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      decoded.push_back(' ');
    } else if (text[i] != '%') {
      decoded.push_back(text[i]);
    } else {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0) return false;
      decoded.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  text = std::string_view(decoded).substr(start);
  return true;
}

}  // namespace

std::string_view name_of(Param param) noexcept {
  return kNames[static_cast<std::size_t>(param)];
}

Param param_of(std::string_view name) noexcept {
  if (name.empty()) return Param::kCount;
  std::size_t at = hash_of(name);
  while (kLookup[at] != kParamCount) {
    if (kNames[kLookup[at]] == name) return static_cast<Param>(kLookup[at]);
    at = (at + 1) % kTableSize;
  }
  return Param::kCount;
}

Failure Fields::add(std::string_view name, std::string_view value) noexcept {
  const Param param = param_of(name);
  if (param == Param::kCount) return {Error::kUnknownParameter, name};
  if (has(param)) return {Error::kDuplicateParameter, name_of(param)};
  if (value.empty()) return {Error::kEmptyParameter, name_of(param)};
  values_[static_cast<std::size_t>(param)] = value;
  present_ |= bit(param);
  return {};
}

Failure Fields::only(ParamSet allowed) const noexcept {
  const ParamSet extra = present_ & ~allowed;
  if (extra == 0) return {};
  return {Error::kUnknownParameter, kNames[static_cast<std::size_t>(std::countr_zero(extra))]};
}

Failure read_form(std::string_view text, Fields& fields, std::string& decoded) {
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    std::string_view pair = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const std::size_t equals = pair.find('=');
    std::string_view name = pair.substr(0, equals);
    std::string_view value =
        equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    if (!decode(name, decoded) || !decode(value, decoded)) {
      return {Error::kInvalidParameter, pair.substr(0, equals)};
    }
    if (const Failure failure = fields.add(name, value)) return failure;
  }
  return {};
}

}  // namespace trading::entry
