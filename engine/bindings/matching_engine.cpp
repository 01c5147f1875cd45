#include "trading/core/matching_engine.hpp"

#include <optional>
#include <vector>

#include "bindings.hpp"

namespace core = trading::core;

namespace {

// The engine with its buffers. Not for two threads at once: the lock of Python is let go in
// apply().
class PackedEngine {
 public:
  std::uint32_t add_symbol(std::uint32_t open_orders_max, std::uint32_t per_account_max) {
    return engine.add_symbol({open_orders_max, per_account_max});
  }
  void remove_symbol(std::uint32_t symbol) { engine.remove_symbol(known(symbol)); }

  py::bytes apply(const py::buffer& commands) {
    const py::buffer_info info = commands.request();
    const auto records = records_in<core::Command>(info);
    {
      const py::gil_scoped_release unlocked;
      events_.clear();
      engine.apply(records, events_);
    }
    return packed(events_.events());
  }

  void restore(const py::buffer& orders) {
    const py::buffer_info info = orders.request();
    std::size_t index = 0;
    for (const core::OrderState& order : records_in<core::OrderState>(info)) {
      core::Handle handle = core::kNoHandle;
      if (const core::Code code = engine.restore(order, &handle); code != core::Code::kOk)
        throw std::invalid_argument("order record " + std::to_string(index) + " (id " +
                                    std::to_string(order.order_id) + ") refused with code " +
                                    std::to_string(static_cast<int>(code)));
      ++index;
    }
  }

  [[nodiscard]] py::bytes orders(std::uint32_t symbol) const {
    std::vector<core::OrderState> states;
    for (const core::Side side : {core::Side::kBuy, core::Side::kSell}) {
      for (core::Handle h = engine.first_of_side(known(symbol), side); h != core::kNoHandle;
           h = engine.next_of_side(h))
        states.push_back(engine.order(h));
    }
    return packed<core::OrderState>(states);
  }

  [[nodiscard]] py::bytes orders_of_account(std::uint32_t symbol, std::int64_t account) const {
    std::vector<core::OrderState> states;
    std::vector<core::Handle> handles;
    engine.orders_of_account(known(symbol), account, handles);
    for (const core::Handle handle : handles) states.push_back(engine.order(handle));
    return packed<core::OrderState>(states);
  }

  [[nodiscard]] py::object find(std::uint32_t symbol, std::int64_t order_id) const {
    const std::optional<core::OrderState> state = engine.find(known(symbol), order_id);
    if (!state) return py::none();
    return packed(std::span<const core::OrderState>(&*state, 1));
  }

  [[nodiscard]] py::list depth(std::uint32_t symbol, bool sell, std::size_t levels_max) const {
    std::vector<trading::wire::Level> levels;
    engine.depth(known(symbol), sell ? core::Side::kSell : core::Side::kBuy, levels_max, levels);
    py::list result;
    for (const auto& level : levels) result.append(py::make_tuple(level.price, level.quantity));
    return result;
  }

  py::object take_depth_changes(std::uint32_t symbol) {
    std::vector<core::DepthChange> changes;
    if (!engine.take_depth_changes(known(symbol), changes)) return py::none();
    py::list result;
    for (const auto& change : changes)
      result.append(
          py::make_tuple(change.side == core::Side::kSell, change.price, change.quantity));
    return result;
  }

  [[nodiscard]] py::tuple counters(std::uint32_t symbol) const {
    const core::SymbolCounters c = engine.counters(known(symbol));
    return py::make_tuple(c.trade_id, c.prevented_id, c.priority, c.last_price);
  }
  void set_counters(std::uint32_t symbol, std::int64_t trade_id, std::int64_t prevented_id,
                    std::int64_t priority, std::int64_t last_price) {
    engine.set_counters(known(symbol), {trade_id, prevented_id, priority, last_price});
  }
  [[nodiscard]] bool halted(std::uint32_t symbol) const { return engine.halted(known(symbol)); }
  void set_halted(std::uint32_t symbol, bool halted) { engine.set_halted(known(symbol), halted); }
  [[nodiscard]] std::uint64_t state_hash(std::uint32_t symbol) const {
    return engine.state_hash(known(symbol));
  }
  [[nodiscard]] std::size_t open_orders() const { return engine.open_orders(); }
  [[nodiscard]] std::size_t memory_bytes() const { return engine.memory_bytes(); }
  void check_invariants() const { engine.check_invariants(); }

 private:
  [[nodiscard]] std::uint32_t known(std::uint32_t symbol) const {
    if (!engine.has_symbol(symbol))
      throw py::index_error("no symbol with index " + std::to_string(symbol) +
                            "; add_symbol gives indexes");
    return symbol;
  }

  core::MatchingEngine engine;
  core::EventBuffer events_;
};

}  // namespace

void bind_matching_engine(py::module_& module) {
  module.attr("COMMAND_BYTES") = sizeof(core::Command);
  module.attr("EVENT_BYTES") = sizeof(core::Event);
  module.attr("ORDER_STATE_BYTES") = sizeof(core::OrderState);
  constexpr core::SymbolLimits kNoLimits;
  py::class_<PackedEngine>(module, "MatchingEngine")
      .def(py::init<>())
      .def("add_symbol", &PackedEngine::add_symbol, py::kw_only(),
           py::arg("open_orders_max") = kNoLimits.open_orders_max,
           py::arg("open_orders_per_account_max") = kNoLimits.open_orders_per_account_max)
      .def("remove_symbol", &PackedEngine::remove_symbol, py::arg("symbol"))
      .def("apply", &PackedEngine::apply, py::arg("commands"))
      .def("restore", &PackedEngine::restore, py::arg("orders"))
      .def("orders", &PackedEngine::orders, py::arg("symbol"))
      .def("orders_of_account", &PackedEngine::orders_of_account, py::arg("symbol"),
           py::arg("account"))
      .def("find", &PackedEngine::find, py::arg("symbol"), py::arg("order_id"))
      .def("depth", &PackedEngine::depth, py::arg("symbol"), py::arg("sell"), py::arg("levels_max"))
      .def("take_depth_changes", &PackedEngine::take_depth_changes, py::arg("symbol"))
      .def("counters", &PackedEngine::counters, py::arg("symbol"))
      .def("set_counters", &PackedEngine::set_counters, py::arg("symbol"), py::kw_only(),
           py::arg("trade_id"), py::arg("prevented_id"), py::arg("priority"), py::arg("last_price"))
      .def("halted", &PackedEngine::halted, py::arg("symbol"))
      .def("set_halted", &PackedEngine::set_halted, py::arg("symbol"), py::arg("halted"))
      .def("state_hash", &PackedEngine::state_hash, py::arg("symbol"))
      .def("open_orders", &PackedEngine::open_orders)
      .def("memory_bytes", &PackedEngine::memory_bytes)
      .def("check_invariants", &PackedEngine::check_invariants);
}
