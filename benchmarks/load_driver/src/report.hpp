// The result of a run, as JSON or for people.
#pragma once

#include <string>

#include "options.hpp"
#include "tally.hpp"

namespace trading::load {

std::string json_report(const Options& options, const Tally& tally);
std::string text_report(const Options& options, const Tally& tally);

}  // namespace trading::load
