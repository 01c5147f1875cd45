// The parameters of a request, from a query, a form or JSON: views into the request's bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "failure.hpp"

namespace trading::entry {

// In byte order of the names: signatures of /ws-api/v3 run over the sorted parameters.
enum class Param : std::uint8_t {
  kApiKey,
  kBatchOrders,
  kCancelNewClientOrderId,
  kCancelOrderId,
  kCancelOrigClientOrderId,
  kCancelReplaceMode,
  kCancelRestrictions,
  kComputeCommissionRates,
  kIcebergQty,
  kNewClientOrderId,
  kNewOrderRespType,
  kNewQty,
  kOrderId,
  kOrderRateLimitExceededMode,
  kOrders,
  kOrigClientOrderId,
  kPrice,
  kQuantity,
  kQuoteOrderQty,
  kRecvWindow,
  kReturnRateLimits,
  kSelfTradePreventionMode,
  kSide,
  kSignature,
  kStopPrice,
  kStrategyId,
  kStrategyType,
  kSubscriptionId,
  kSymbol,
  kTimeInForce,
  kTimestamp,
  kTrailingDelta,
  kType,
  kCount,
};

inline constexpr std::size_t kParamCount = static_cast<std::size_t>(Param::kCount);
using ParamSet = std::uint64_t;

constexpr ParamSet bit(Param param) noexcept {
  return ParamSet{1} << static_cast<unsigned>(param);
}
template <class... Params>
constexpr ParamSet set_of(Params... params) noexcept {
  return (ParamSet{0} | ... | bit(params));
}

std::string_view name_of(Param param) noexcept;
// Param::kCount: no such parameter anywhere.
Param param_of(std::string_view name) noexcept;

class Fields {
 public:
  void clear() noexcept { present_ = 0; }
  bool has(Param param) const noexcept { return (present_ & bit(param)) != 0; }
  std::string_view get(Param param) const noexcept {
    return has(param) ? values_[static_cast<std::size_t>(param)] : std::string_view{};
  }
  ParamSet present() const noexcept { return present_; }
  // Refuses unknown names, a second value of a name, and empty values.
  Failure add(std::string_view name, std::string_view value) noexcept;
  // Refuses the first parameter that is not in `allowed`.
  Failure only(ParamSet allowed) const noexcept;

 private:
  std::array<std::string_view, kParamCount> values_;
  ParamSet present_ = 0;
};

// Reads `a=b&c=d`. Decoded values live in `decoded`, which must have room (capacity) for the whole
// text beforehand and is never shrunk here.
Failure read_form(std::string_view text, Fields& fields, std::string& decoded);

}  // namespace trading::entry
