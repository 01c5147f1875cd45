// Decimals at the edge: text <-> counts of a step (tick or lot), exact, never through a float.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trading::entry {

// A step of mantissa * 10^-scale: 0.05 is {5, 2}; mantissa >= 1, 0 <= scale <= 18.
struct Step {
  std::int64_t mantissa = 1;
  int scale = 0;
};

enum class DecimalFault : std::uint8_t {
  kNone,
  kIllegal,    // not ^[0-9]{1,20}(\.[0-9]{1,20})?$
  kPrecision,  // more digits than any symbol may have (8, or the step's own)
  kOffGrid,    // not a whole number of steps
  kOverflow,   // does not fit in int64
};

// Text to steps. `floored` allows off-grid values and rounds them down (budgets only).
DecimalFault parse_decimal(std::string_view text, Step step, bool floored,
                           std::int64_t& steps) noexcept;
// Appends steps * step with exactly step.scale digits after the point.
void append_decimal(std::string& out, std::int64_t steps, Step step);
void append_integer(std::string& out, std::int64_t value);

}  // namespace trading::entry
