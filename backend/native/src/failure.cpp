#include "failure.hpp"

#include <array>
#include <trading/wire.hpp>

namespace trading::entry {
namespace {

using Table = std::array<ErrorRow, static_cast<std::size_t>(Error::kCount)>;

constexpr Table make_table() {
  Table t{};
  const auto set = [&t](Error error, std::uint16_t http, std::int16_t code, std::string_view text) {
    t[static_cast<std::size_t>(error)] = ErrorRow{http, code, text};
  };
  set(Error::kNone, 200, 0, "");
  set(Error::kUnknownOutcome, 504, -1007,
      "Timeout waiting for response from backend server. Send status unknown; execution status "
      "unknown.");
  set(Error::kBusy, 503, -1008,
      "Server is currently overloaded with other requests. Please try again in a few minutes.");
  set(Error::kTooManyOrders, 429, -1015, "Too many new orders.");
  set(Error::kTooMuchWeight, 429, -1003, "Too much request weight used; please slow down.");
  set(Error::kUnsupported, 400, -1020, "This operation is not supported.");
  set(Error::kTimestampOutside, 400, -1021,
      "Timestamp for this request is outside of the recvWindow.");
  set(Error::kTimestampAhead, 400, -1021,
      "Timestamp for this request was 1000ms ahead of the server's time.");
  set(Error::kSignature, 400, -1022, "Signature for this request is not valid.");
  set(Error::kIllegalDecimal, 400, -1100,
      "Illegal characters found in parameter '{}'; legal range is "
      "'^([0-9]{1,20})(\\.[0-9]{1,20})?$'.");
  set(Error::kIllegalSymbol, 400, -1100,
      "Illegal characters found in parameter '{}'; legal range is '^[A-Z0-9]{2,16}$'.");
  set(Error::kIllegalClientId, 400, -1100,
      "Illegal characters found in parameter '{}'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.");
  set(Error::kIllegalInteger, 400, -1100,
      "Illegal characters found in parameter '{}'; legal range is '^[0-9]{1,19}$'.");
  set(Error::kDuplicateParameter, 400, -1101, "Duplicate values for parameter '{}' detected.");
  set(Error::kMissingParameter, 400, -1102,
      "Mandatory parameter '{}' was not sent, was empty/null, or malformed.");
  set(Error::kUnknownParameter, 400, -1104,
      "Not all sent parameters were read; parameter '{}' is unknown here.");
  set(Error::kEmptyParameter, 400, -1105, "Parameter '{}' was empty.");
  set(Error::kNotRequired, 400, -1106, "Parameter '{}' sent when not required.");
  set(Error::kPrecision, 400, -1111, "Parameter '{}' has too much precision.");
  set(Error::kTimeInForce, 400, -1115, "Invalid timeInForce.");
  set(Error::kOrderType, 400, -1116, "Invalid orderType.");
  set(Error::kSide, 400, -1117, "Invalid side.");
  set(Error::kSymbol, 400, -1121, "Invalid symbol.");
  set(Error::kCombination, 400, -1128, "Combination of optional parameters invalid: '{}'.");
  set(Error::kInvalidParameter, 400, -1130, "Data sent for parameter '{}' is not valid.");
  set(Error::kRecvWindow, 400, -1131, "recvWindow must be less than 60000.");
  set(Error::kMalformedJson, 400, -1135,
      "Invalid JSON Request: JSON sent for parameter '{}' is not valid.");
  set(Error::kPriceFilter, 400, -1013, "Filter failure: PRICE_FILTER");
  set(Error::kLotSize, 400, -1013, "Filter failure: LOT_SIZE");
  set(Error::kNotional, 400, -1013, "Filter failure: NOTIONAL");
  set(Error::kPriceBand, 400, -1013, "Filter failure: PERCENT_PRICE_BY_SIDE");
  set(Error::kTooManyOpenOrders, 400, -1013, "Filter failure: MAX_NUM_ORDERS");
  set(Error::kDuplicateOrder, 409, -2010, "Duplicate order sent.");
  set(Error::kPostOnly, 400, -2010, "Order would immediately match and take.");
  set(Error::kStopWouldTrigger, 400, -2010, "Order would trigger immediately.");
  set(Error::kMarketClosed, 400, -2010, "Market is closed.");
  set(Error::kAccountHalted, 400, -2010, "This action is disabled on this account.");
  set(Error::kInsufficientFunds, 400, -2010,
      "Account has insufficient balance for requested action.");
  set(Error::kUnknownOrder, 400, -2011, "Unknown order sent.");
  set(Error::kNoSuchOrder, 400, -2013, "Order does not exist.");
  set(Error::kKeyFormat, 401, -2014, "API-key format invalid.");
  set(Error::kKeyRejected, 401, -2015, "Invalid API-key, IP, or permissions for action.");
  set(Error::kReplacePartly, 409, -2021, "Order cancel-replace partially failed.");
  set(Error::kReplaceFailed, 400, -2022, "Order cancel-replace failed.");
  set(Error::kAmendUnknown, 400, -2038, "Unknown order sent.");
  set(Error::kAmendNoChange, 400, -2038,
      "newQty must be above the executed and below the present quantity.");
  set(Error::kInvalidOrder, 400, -1013, "Invalid order.");
  set(Error::kBodyTooLarge, 413, -1101, "Request body is too large; see limits.bodyBytesMax.");
  set(Error::kNotLoggedOn, 401, -2015, "Session is not logged on; use session.logon.");
  return t;
}

constexpr Table kTable = make_table();

}  // namespace

const ErrorRow& row(Error error) noexcept {
  return kTable[static_cast<std::size_t>(error)];
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else {
      out.push_back(c >= 0x20 && c < 0x7f ? c : '?');
    }
  }
}

void append_failure(std::string& out, const Failure& failure) {
  const ErrorRow& found = row(failure.error);
  out.append("{\"code\":").append(std::to_string(found.code)).append(",\"msg\":\"");
  const std::size_t hole = found.text.find("{}");
  if (hole == std::string_view::npos) {
    append_escaped(out, found.text);
  } else {
    append_escaped(out, found.text.substr(0, hole));
    append_escaped(out, failure.field.substr(0, 64));
    append_escaped(out, found.text.substr(hole + 2));
  }
  out.append("\"}");
}

Error error_of_code(std::uint16_t code, std::uint8_t kind) noexcept {
  const bool amends = kind == static_cast<std::uint8_t>(wire::Kind::kAmend) ||
                      kind == static_cast<std::uint8_t>(wire::Kind::kReduce);
  switch (static_cast<wire::Code>(code)) {
    case wire::Code::kOk:
    case wire::Code::kDuplicateSame:
    case wire::Code::kEnd:
      return Error::kNone;
    case wire::Code::kDuplicateOther:
      return Error::kDuplicateOrder;
    case wire::Code::kOrderNotActive:
      return amends ? Error::kAmendUnknown : Error::kUnknownOrder;
    case wire::Code::kInvalidAmend:
      return Error::kAmendNoChange;
    case wire::Code::kInvalidReplacement:
      return Error::kReplaceFailed;
    case wire::Code::kPostOnlyWouldTake:
      return Error::kPostOnly;
    case wire::Code::kStopWouldTrigger:
      return Error::kStopWouldTrigger;
    case wire::Code::kSymbolHalted:
      return Error::kMarketClosed;
    case wire::Code::kAccountHalted:
      return Error::kAccountHalted;
    case wire::Code::kInsufficientFunds:
      return Error::kInsufficientFunds;
    case wire::Code::kRequestExpired:
      return Error::kTimestampOutside;
    case wire::Code::kUnknownSymbol:
      return Error::kSymbol;
    case wire::Code::kWrongOwner:
    case wire::Code::kBusy:
      return Error::kBusy;
    case wire::Code::kUnknownOutcome:
      return Error::kUnknownOutcome;
    case wire::Code::kNoSuchOrder:
      return Error::kNoSuchOrder;
    case wire::Code::kPriceBand:
      return Error::kPriceBand;
    case wire::Code::kTooManyOpenOrders:
      return Error::kTooManyOpenOrders;
    case wire::Code::kInvalidOrder:
    case wire::Code::kMalformed:
      return Error::kInvalidOrder;
  }
  // A newer partition may know codes that we do not: what it did is then not known here.
  return Error::kUnknownOutcome;
}

}  // namespace trading::entry
