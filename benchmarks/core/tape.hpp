// Tapes of commands for the core: made with a fixed seed, the same on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trading/core/command.hpp"

namespace trading::benchmarks {

struct Mix {
  std::string name;
  std::int64_t resting;     // orders in the book before the measured part, and about then on
  std::int64_t messages;    // measured
  std::int64_t price_span;  // ticks on each side over which resting orders are spread
  std::int64_t accounts;
  // Parts of 100 of the measured messages. What is left is replaces (a new price each).
  int places;
  int immediates;  // IOC at a price that meets the other side
  int cancels;
  int reduces;
};

struct Tape {
  std::vector<core::Command> filling;  // builds the standing book
  std::vector<core::Command> measured;
};

// Every cancel, reduce and replace names an order that is open at that moment.
Tape make_tape(const Mix& mix);

// (a) exchange-core's published mix, (b) and (c) deep standing books with changes all over them.
std::vector<Mix> standard_mixes();

}  // namespace trading::benchmarks
