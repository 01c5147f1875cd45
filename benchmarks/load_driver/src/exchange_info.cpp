#include "exchange_info.hpp"

#include <map>

#include "socket.hpp"

namespace trading::load {
namespace {

struct Filters {
  std::string tick;
  std::string lot;
  std::string min_notional;
};

// Each symbol's own part of exchangeInfo begins with its "symbol" and ends where the next begins.
std::map<std::string, std::string_view, std::less<>> parts_of(std::string_view info) {
  constexpr std::string_view kKey = "\"symbol\":";
  std::map<std::string, std::string_view, std::less<>> parts;
  std::size_t at = info.find(kKey);
  while (at != std::string_view::npos) {
    const std::size_t next = info.find(kKey, at + kKey.size());
    const std::string_view part =
        info.substr(at, next == std::string_view::npos ? next : next - at);
    parts.emplace(json_member(part, "\"symbol\""), part);
    at = next;
  }
  return parts;
}

std::string filters_of(std::string_view part, Filters& filters) {
  const std::size_t lot = part.find("\"LOT_SIZE\"");
  if (lot == std::string_view::npos) return "has no LOT_SIZE filter";
  filters.tick = json_member(part, "\"tickSize\"");
  filters.lot = json_member(part.substr(lot), "\"stepSize\"");
  filters.min_notional = json_member(part, "\"minNotional\"");
  return filters.tick.empty() || filters.lot.empty() ? "has no tickSize or stepSize" : "";
}

std::string grid_of(const std::string& symbol, const Filters& filters, const Options& options,
                    Grid& grid) {
  const auto tick = parse_step(filters.tick);
  const auto lot = parse_step(filters.lot);
  if (!tick || !lot) return "tick or lot size of " + symbol + " is no decimal";
  grid.symbol = symbol;
  grid.tick = *tick;
  grid.lot = *lot;
  return place_grid(grid, options, filters.min_notional);
}

}  // namespace

std::string find_grids(const Options& options, std::vector<Grid>& grids) {
  const bool given = !options.tick_size.empty() && !options.lot_size.empty();
  std::string info;
  if (!given) {
    if (options.mode == Mode::kPlain) return "mode plain needs --tick-size and --lot-size";
    std::string fault;
    info = get_blocking(options.addresses.front(), "/api/v3/exchangeInfo", fault);
    if (!fault.empty()) return "exchangeInfo: " + fault;
  }
  const auto parts = parts_of(info);
  for (const std::string& symbol : options.symbols) {
    Filters filters{options.tick_size, options.lot_size, options.min_notional};
    if (!given) {
      const auto found = parts.find(symbol);
      if (found == parts.end()) return "exchangeInfo does not list " + symbol;
      if (auto fault = filters_of(found->second, filters); !fault.empty()) {
        return symbol + " " + fault;
      }
      if (!options.min_notional.empty()) filters.min_notional = options.min_notional;
    }
    Grid grid;
    if (auto fault = grid_of(symbol, filters, options, grid); !fault.empty()) return fault;
    grids.push_back(std::move(grid));
  }
  return {};
}

}  // namespace trading::load
