#include "text.hpp"

#include <charconv>

namespace trading::load {
namespace {

constexpr int kDecimalsMax = 18;

struct Decimal {
  std::int64_t mantissa = 0;
  int decimals = 0;
};

std::optional<Decimal> parse_decimal(std::string_view text) {
  Decimal found;
  bool point = false;
  bool digit = false;
  for (const char c : text) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9' || found.mantissa > (INT64_MAX - 9) / 10) return std::nullopt;
    found.mantissa = found.mantissa * 10 + (c - '0');
    found.decimals += point ? 1 : 0;
    digit = true;
  }
  if (!digit || found.decimals > kDecimalsMax) return std::nullopt;
  return found;
}

std::int64_t power_of_ten(int exponent) {
  std::int64_t value = 1;
  while (exponent-- > 0) value *= 10;
  return value;
}

}  // namespace

std::optional<Step> parse_step(std::string_view text) {
  const auto decimal = parse_decimal(text);
  if (!decimal || decimal->mantissa == 0) return std::nullopt;
  Step step{decimal->mantissa, decimal->decimals};
  while (step.decimals > 0 && step.mantissa % 10 == 0) {
    step.mantissa /= 10;
    --step.decimals;
  }
  return step;
}

std::optional<std::int64_t> steps_in(std::string_view text, Step step) {
  const auto decimal = parse_decimal(text);
  if (!decimal) return std::nullopt;
  __extension__ using Wide = __int128;
  Wide value = decimal->mantissa;
  if (step.decimals >= decimal->decimals) {
    value *= power_of_ten(step.decimals - decimal->decimals);
  } else {
    value /= power_of_ten(decimal->decimals - step.decimals);
  }
  value /= step.mantissa;
  if (value > INT64_MAX) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

void append_integer(std::string& out, std::int64_t value) {
  char buffer[20];
  const auto done = std::to_chars(buffer, buffer + sizeof buffer, value);
  out.append(buffer, done.ptr);
}

void append_base36(std::string& out, std::uint64_t value) {
  char buffer[16];
  const auto done = std::to_chars(buffer, buffer + sizeof buffer, value, 36);
  out.append(buffer, done.ptr);
}

void append_steps(std::string& out, std::int64_t steps, Step step) {
  char digits[20];
  const auto done = std::to_chars(digits, digits + sizeof digits, steps * step.mantissa);
  const auto count = static_cast<int>(done.ptr - digits);
  if (step.decimals == 0) {
    out.append(digits, done.ptr);
    return;
  }
  const int whole = count - step.decimals;
  if (whole > 0) {
    out.append(digits, static_cast<std::size_t>(whole));
  } else {
    out.push_back('0');
  }
  out.push_back('.');
  for (int i = whole; i < 0; ++i) out.push_back('0');
  const int from = whole > 0 ? whole : 0;
  out.append(digits + from, static_cast<std::size_t>(count - from));
}

std::string_view json_member(std::string_view json, std::string_view quoted_key) {
  std::size_t at = json.find(quoted_key);
  if (at == std::string_view::npos) return {};
  at += quoted_key.size();
  while (at < json.size() && (json[at] == ':' || json[at] == ' ')) ++at;
  const bool quoted = at < json.size() && json[at] == '"';
  if (quoted) ++at;
  std::size_t past = at;
  while (past < json.size() && json[past] != '"' &&
         (quoted || (json[past] != ',' && json[past] != '}' && json[past] != ']'))) {
    ++past;
  }
  return json.substr(at, past - at);
}

}  // namespace trading::load
