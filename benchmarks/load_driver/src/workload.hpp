// The orders that the driver sends: a bounded random walk around a fixed middle, from a seed.
//
// Both sides alike. Most orders rest 1 to `levels` ticks away from the middle, nearer ones more
// often; `cross_percent` are priced 1 to 5 ticks beyond it and trade with what rests there. The
// middle never moves, so books stay around it, however long a run is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "options.hpp"
#include "text.hpp"

namespace trading::load {

// A symbol's grid, and the workload's place on it.
struct Grid {
  std::string symbol;
  Step tick;
  Step lot;
  std::int64_t middle = 0;    // ticks
  std::int64_t lots_min = 1;  // quantities are drawn from [lots_min, 10 * lots_min]
};

struct Order {
  std::uint64_t number = 0;  // gives the client order id
  std::int64_t price = 0;    // ticks
  std::int64_t lots = 0;
  std::uint32_t grid = 0;
  bool sells = false;
  bool cancels = false;  // this request cancels that order
};

// Places the middle on the grid; returns what is wrong, if anything.
std::string place_grid(Grid& grid, const Options& options, const std::string& min_notional);

class Workload {
 public:
  Workload(const Options& options, std::vector<Grid> grids);

  Order next();
  [[nodiscard]] std::uint64_t made() const { return number_; }
  [[nodiscard]] const std::vector<Grid>& grids() const { return grids_; }
  [[nodiscard]] const Grid& grid(const Order& order) const { return grids_[order.grid]; }
  // True `cancel_percent` of the time.
  bool wants_cancel() { return cancel_percent_ > 0 && draw(100) < cancel_percent_; }
  // In [0, bound).
  std::uint64_t draw(std::uint64_t bound);

  void append_client_id(std::string& out, const Order& order) const {
    out.append(prefix_);
    append_base36(out, order.number);
  }
  void append_price(std::string& out, const Order& order) const {
    append_steps(out, order.price, grid(order).tick);
  }
  void append_quantity(std::string& out, const Order& order) const {
    append_steps(out, order.lots, grid(order).lot);
  }

 private:
  std::vector<Grid> grids_;
  std::string prefix_;
  std::uint64_t cross_percent_;
  std::uint64_t cancel_percent_;
  std::uint64_t levels_;
  std::uint64_t state_;
  std::uint64_t number_ = 0;
};

}  // namespace trading::load
