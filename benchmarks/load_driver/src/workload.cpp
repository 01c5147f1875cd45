#include "workload.hpp"

#include <algorithm>

namespace trading::load {
namespace {

__extension__ using Wide = unsigned __int128;
constexpr std::uint64_t kCrossTicks = 5;
constexpr std::int64_t kUnitsMax = 1'000'000'000'000;

}  // namespace

std::string place_grid(Grid& grid, const Options& options, const std::string& min_notional) {
  const auto middle = steps_in(options.mid_price, grid.tick);
  const std::int64_t room = std::max<std::int64_t>(options.levels, kCrossTicks);
  if (!middle || *middle <= room || *middle > kUnitsMax) {
    return "--mid-price " + options.mid_price + " leaves no room for --levels on the grid of " +
           grid.symbol;
  }
  grid.middle = *middle;
  // The smallest quantity is worth at least twice the smallest notional, at the lowest price.
  std::string price;
  append_steps(price, grid.middle - room, grid.tick);
  std::string lot;
  append_steps(lot, 1, grid.lot);
  const double notional = std::stod(price) * std::stod(lot);
  const double wanted = min_notional.empty() ? 0.0 : std::stod(min_notional);
  grid.lots_min = 1 + static_cast<std::int64_t>(2 * wanted / notional);
  return grid.lots_min <= kUnitsMax ? "" : grid.symbol + " has a minimum notional out of reach";
}

Workload::Workload(const Options& options, std::vector<Grid> grids)
    : grids_(std::move(grids)),
      prefix_(options.client_id_prefix),
      cross_percent_(static_cast<std::uint64_t>(options.cross_percent)),
      cancel_percent_(static_cast<std::uint64_t>(options.cancel_percent)),
      levels_(static_cast<std::uint64_t>(options.levels)),
      state_(options.seed) {}

std::uint64_t Workload::draw(std::uint64_t bound) {
  // SplitMix64, its upper bits scaled to the bound.
  std::uint64_t x = state_ += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  x ^= x >> 31;
  return static_cast<std::uint64_t>((static_cast<Wide>(x) * bound) >> 64);
}

Order Workload::next() {
  Order order;
  order.number = ++number_;
  order.grid = static_cast<std::uint32_t>(draw(grids_.size()));
  order.sells = draw(2) == 1;
  const Grid& grid = grids_[order.grid];
  const bool crosses = draw(100) < cross_percent_;
  const std::uint64_t away = crosses ? 1 + draw(std::min(kCrossTicks, levels_))
                                     : 1 + std::min(draw(levels_), draw(levels_));
  const bool above = order.sells != crosses;
  order.price = grid.middle + (above ? 1 : -1) * static_cast<std::int64_t>(away);
  order.lots = grid.lots_min +
               static_cast<std::int64_t>(draw(static_cast<std::uint64_t>(9 * grid.lots_min) + 1));
  return order;
}

}  // namespace trading::load
