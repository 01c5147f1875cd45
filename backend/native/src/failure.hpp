// Every way a request can fail at order entry: one row per failure with HTTP status, code and text.
// The Python twin is trading_contract/codes.py; a test walks both tables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trading::entry {

enum class Error : std::uint8_t {
  kNone = 0,
  kUnknownOutcome,
  kBusy,
  kTooManyOrders,
  kTooMuchWeight,
  kUnsupported,
  kTimestampOutside,
  kTimestampAhead,
  kSignature,
  kIllegalDecimal,
  kIllegalSymbol,
  kIllegalClientId,
  kIllegalInteger,
  kDuplicateParameter,
  kMissingParameter,
  kUnknownParameter,
  kEmptyParameter,
  kNotRequired,
  kPrecision,
  kTimeInForce,
  kOrderType,
  kSide,
  kSymbol,
  kCombination,
  kInvalidParameter,
  kRecvWindow,
  kMalformedJson,
  kPriceFilter,
  kLotSize,
  kNotional,
  kPriceBand,
  kTooManyOpenOrders,
  kDuplicateOrder,
  kPostOnly,
  kStopWouldTrigger,
  kMarketClosed,
  kAccountHalted,
  kInsufficientFunds,
  kUnknownOrder,
  kNoSuchOrder,
  kKeyFormat,
  kKeyRejected,
  kReplacePartly,
  kReplaceFailed,
  kAmendUnknown,
  kAmendNoChange,
  kInvalidOrder,
  kBodyTooLarge,
  kNotLoggedOn,
  kCount,
};

struct ErrorRow {
  std::uint16_t http;
  std::int16_t code;
  std::string_view text;  // {} stands for the field's name
};

const ErrorRow& row(Error error) noexcept;

// A refusal. `field` is a view into the request or static text: render it before the request goes.
struct Failure {
  Error error = Error::kNone;
  std::string_view field{};
  explicit operator bool() const noexcept { return error != Error::kNone; }
};

// Appends the inside of a JSON string; control and non-ASCII bytes become '?'.
void append_escaped(std::string& out, std::string_view text);
// Appends {"code":-1121,"msg":"Invalid symbol."}.
void append_failure(std::string& out, const Failure& failure);
// The failure of a code of the wire (wire::Code), for a command of this kind (wire::Kind).
Error error_of_code(std::uint16_t code, std::uint8_t kind) noexcept;

}  // namespace trading::entry
