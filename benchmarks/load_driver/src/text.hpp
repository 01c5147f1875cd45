// Numbers as text and back, without floats: prices and quantities are counts of steps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trading::load {

// A grid step such as 0.05: mantissa 5, decimals 2.
struct Step {
  std::int64_t mantissa = 1;
  int decimals = 0;
};

std::optional<Step> parse_step(std::string_view text);
// How many steps `text` is, rounded down; nothing for what is no decimal or does not fit.
std::optional<std::int64_t> steps_in(std::string_view text, Step step);
void append_integer(std::string& out, std::int64_t value);
void append_base36(std::string& out, std::uint64_t value);
void append_steps(std::string& out, std::int64_t steps, Step step);
// The value of the first `"key":"value"` or `"key":value` in a JSON text; empty without one.
std::string_view json_member(std::string_view json, std::string_view quoted_key);

}  // namespace trading::load
