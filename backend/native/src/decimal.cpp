#include "decimal.hpp"

#include <charconv>
#include <limits>

namespace trading::entry {
namespace {

__extension__ using Wide = unsigned __int128;
constexpr int kPrecisionMax = 8;
constexpr std::size_t kDigitsMax = 20;

bool all_digits(std::string_view text) noexcept {
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return !text.empty() && text.size() <= kDigitsMax;
}

}  // namespace

DecimalFault parse_decimal(std::string_view text, Step step, bool floored,
                           std::int64_t& steps) noexcept {
  const std::size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  std::string_view part;
  if (!all_digits(whole)) return DecimalFault::kIllegal;
  if (point != std::string_view::npos) {
    part = text.substr(point + 1);
    if (!all_digits(part)) return DecimalFault::kIllegal;
    while (!part.empty() && part.back() == '0') part.remove_suffix(1);
  }
  if (static_cast<int>(part.size()) > (step.scale > kPrecisionMax ? step.scale : kPrecisionMax)) {
    return DecimalFault::kPrecision;
  }
  Wide value = 0;  // 20 + 18 digits are below 2^127: no overflow on the way
  for (const char c : whole) value = value * 10 + static_cast<unsigned>(c - '0');
  for (int i = 0; i < step.scale; ++i) {
    const auto at = static_cast<std::size_t>(i);
    value = value * 10 + (at < part.size() ? static_cast<unsigned>(part[at] - '0') : 0U);
  }
  const bool rest = static_cast<int>(part.size()) > step.scale;
  const auto mantissa = static_cast<Wide>(step.mantissa);
  if (!floored && (rest || value % mantissa != 0)) return DecimalFault::kOffGrid;
  value /= mantissa;
  if (value > static_cast<Wide>(std::numeric_limits<std::int64_t>::max())) {
    return DecimalFault::kOverflow;
  }
  steps = static_cast<std::int64_t>(value);
  return DecimalFault::kNone;
}

void append_decimal(std::string& out, std::int64_t steps, Step step) {
  char digits[48];
  char* at = digits + sizeof digits;
  const bool negative = steps < 0;
  const auto magnitude =
      negative ? 0 - static_cast<std::uint64_t>(steps) : static_cast<std::uint64_t>(steps);
  int written = 0;
  const auto put = [&](auto value) {
    do {
      if (written == step.scale && step.scale != 0) *--at = '.';
      *--at = static_cast<char>('0' + static_cast<int>(value % 10));
      value /= 10;
      ++written;
    } while (value != 0 || written <= step.scale);
  };
  if (step.mantissa == 1) {
    put(magnitude);
  } else {
    put(static_cast<Wide>(magnitude) * static_cast<Wide>(step.mantissa));
  }
  if (negative) *--at = '-';
  out.append(at, static_cast<std::size_t>(digits + sizeof digits - at));
}

void append_integer(std::string& out, std::int64_t value) {
  char digits[24];
  const auto done = std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, static_cast<std::size_t>(done.ptr - digits));
}

}  // namespace trading::entry
