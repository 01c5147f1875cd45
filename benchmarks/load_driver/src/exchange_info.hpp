// The symbols' grids: from flags, or from GET /api/v3/exchangeInfo.
#pragma once

#include <string>
#include <vector>

#include "workload.hpp"

namespace trading::load {

// Fills one grid per symbol of the options; returns what is wrong, if anything.
std::string find_grids(const Options& options, std::vector<Grid>& grids);

}  // namespace trading::load
