#include "trading/sequencer/sequencer.hpp"

#include <pybind11/stl.h>

#include <chrono>

#include "bindings.hpp"

namespace py = pybind11;
namespace sequencer = trading::sequencer;

namespace {

using sequencer::Batch;
using sequencer::Sequencer;
using sequencer::SlotRows;
using sequencer::SlotState;

py::bytes chain_bytes(const sequencer::Chain& chain) {
  return {reinterpret_cast<const char*>(chain.data()), chain.size()};
}

std::string_view bytes_in(const py::buffer_info& info) {
  return {static_cast<const char*>(info.ptr), static_cast<std::size_t>(info.size * info.itemsize)};
}

py::list slot_commits(const Batch& batch) {
  py::list out;
  for (const auto& slot : batch.slots()) {
    out.append(
        py::make_tuple(slot.id, slot.epoch, slot.previous, slot.sequence, chain_bytes(slot.chain)));
  }
  return out;
}

py::list parameters(Batch& batch, const Batch::Types& types) {
  py::list out;
  for (const std::string_view each : batch.parameters(types)) out.append(py::bytes(each));
  return out;
}

py::list mirrors(Batch& batch) {
  py::list out;
  for (const auto& each : batch.mirrors()) {
    if (each.slot.sequence == 0) continue;  // only rows: the slot was let go of before the end
    out.append(py::make_tuple(each.slot.id, each.slot.previous, each.slot.sequence, each.weight));
  }
  return out;
}

py::list mirror_parameters(Batch& batch, std::int32_t slot, const Batch::Types& types) {
  py::list out;
  for (auto& mirror : batch.mirrors()) {
    if (mirror.slot.id != slot) continue;
    for (const std::string_view each : mirror.parameters(types)) out.append(py::bytes(each));
  }
  return out;
}

py::list outboxes(Batch& batch) {
  py::list out;
  for (const auto& box : batch.outboxes()) {
    out.append(py::make_tuple(box.connection, py::bytes(box.bytes.view())));
  }
  return out;
}

py::list publications(const std::vector<sequencer::Publication>& made) {
  py::list out;
  for (const auto& each : made) {
    out.append(
        py::make_tuple(py::str(each.channel), py::bytes(each.message.view()), each.is_snapshot));
  }
  return out;
}

sequencer::Chain chain_of(const std::string& bytes) {
  sequencer::Chain chain{};
  if (bytes.size() == chain.size()) {
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(chain.data()));
  }
  return chain;
}

template <void (Sequencer::*set)(const SlotState&)>
void set_slot(Sequencer& self, std::int32_t id, std::string first, std::string past,
              std::uint32_t shard, std::int64_t epoch, std::int64_t sequence,
              const std::string& chain) {
  (self.*set)(
      {id, std::move(first), std::move(past), shard, epoch, sequence, chain_of(chain)});
}

py::tuple slot_tuple(const SlotState& s) {
  return py::make_tuple(s.id, s.first, s.past, s.shard, s.epoch, s.sequence, chain_bytes(s.chain));
}

py::object one_slot(const Sequencer& self, std::int32_t id) {
  const SlotState* slot = self.slot(id);
  return slot == nullptr ? py::object(py::none()) : slot_tuple(*slot);
}

py::object digest(const Sequencer& self, std::int32_t id, const std::string& from,
                  const std::string& past, std::size_t orders_max, std::int64_t since_us) {
  const sequencer::DigestPart part = self.digest(id, from, past, orders_max, since_us);
  if (!part.known) return py::none();
  return py::make_tuple(chain_bytes(part.sum), part.past);
}

bool merge_slots(Sequencer& self, std::int32_t left, std::int32_t right, std::int64_t epoch,
                 std::int64_t sequence, const std::string& chain) {
  return self.merge_slots({left, {}, {}, 0, epoch, sequence, chain_of(chain)}, right);
}

template <bool (SlotRows::*add)(std::string_view)>
bool add_part(SlotRows& self, const py::buffer& part) {
  const py::buffer_info info = part.request();
  const std::string_view view = bytes_in(info);
  const py::gil_scoped_release release;
  return (self.*add)(view);
}

py::list slots(const Sequencer& self) {
  py::list out;
  for (const SlotState& s : self.slots()) out.append(slot_tuple(s));
  return out;
}

// Runs work of a shard without the interpreter, and lets the sequencer know how long it took.
template <typename Work>
auto timed(Sequencer& self, std::uint32_t shard, Work work) {
  const py::gil_scoped_release release;
  const auto begun = std::chrono::steady_clock::now();
  auto made = work();
  const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begun;
  self.add_busy(shard, static_cast<std::uint64_t>(took.count()));
  return made;
}

sequencer::BatchPtr seal(Sequencer& self, std::uint32_t shard) {
  auto batch = timed(self, shard, [&] { return self.seal(shard); });
  self.share_out(shard);
  return batch;
}

py::list slot_loads(const Sequencer& self) {
  py::list out;
  for (const sequencer::SlotLoad& slot : self.slot_loads()) {
    py::list hottest;
    for (const auto& symbol : slot.hottest) {
      hottest.append(py::make_tuple(symbol.name, symbol.busy_ns));
    }
    const sequencer::SlotCounters& told = slot.counters;
    out.append(py::make_tuple(slot.id, told.commands, told.orders, told.trades, told.busy_ns,
                              told.open_orders, hottest));
  }
  return out;
}

}  // namespace

void bind_sequencer(py::module_& module) {
  py::class_<Batch, sequencer::BatchPtr>(module, "Batch")
      .def_readonly("commands", &Batch::commands)
      .def_property_readonly("changes", &Batch::changes)
      .def_property_readonly("slots", &slot_commits)
      .def("parameters", &parameters)
      .def_property_readonly("mirrors", &mirrors)
      .def("mirror_parameters", &mirror_parameters)
      .def("doubt", &Batch::doubt)
      .def_property_readonly("outboxes", &outboxes);

  py::class_<SlotRows>(module, "SlotRows")
      .def(py::init<>())
      .def("add_states", &add_part<&SlotRows::add_states>)
      .def("add_open_orders", &add_part<&SlotRows::add_open_orders>)
      .def("add_closed_orders", &add_part<&SlotRows::add_closed_orders>)
      .def("merge",
           [](SlotRows& self, SlotRows& other) {
             const py::gil_scoped_release release;
             return self.merge(other);
           })
      .def("finish",
           [](SlotRows& self) {
             const py::gil_scoped_release release;
             return self.finish();
           })
      .def_property_readonly("open_orders", &SlotRows::open_orders);

  py::class_<Sequencer>(module, "Sequencer")
      .def(py::init<std::size_t, std::int64_t>(), py::arg("ended_max"), py::arg("window_us"))
      .def(
          "set_symbol",
          [](Sequencer& self, std::string name, std::int64_t band, std::uint32_t open_max,
             bool halted,
             bool listed) { self.set_symbol({std::move(name), band, open_max, halted, listed}); },
          py::arg("name"), py::arg("price_band_percent") = 0,
          py::arg("open_orders_per_account_max") = 0, py::arg("halted") = false,
          py::arg("listed") = true)
      .def("set_slot", &set_slot<&Sequencer::set_slot>)
      .def("follow_slot", &set_slot<&Sequencer::follow_slot>)
      .def("replay",
           [](Sequencer& self, std::int32_t id, const py::bytes& payload, std::int64_t sequence,
              const std::string& chain) {
             return self.replay(id, std::string_view(payload), sequence, chain_of(chain));
           })
      .def("open_slot",
           [](Sequencer& self, std::int32_t id, std::uint32_t shard, std::int64_t epoch,
              std::int64_t sequence, const std::string& chain) {
             return self.open_slot(id, shard, epoch, sequence, chain_of(chain));
           })
      .def("slot", &one_slot)
      .def("hold_slot", &Sequencer::hold_slot)
      .def("held", &Sequencer::held)
      .def("resume_held", &Sequencer::resume_held)
      .def("refuse_held",
           [](Sequencer& self, std::uint32_t shard, std::uint16_t code, std::int64_t now_us) {
             return self.refuse_held(shard, static_cast<trading::wire::Code>(code), now_us);
           })
      .def("answer_held",
           [](Sequencer& self, std::uint32_t shard, std::uint16_t code, std::int64_t now_us) {
             return self.answer_held(shard, static_cast<trading::wire::Code>(code), now_us);
           })
      .def("place_slot", &Sequencer::place_slot)
      .def("mirror_slot", &Sequencer::mirror_slot)
      .def("split_slot", &Sequencer::split_slot)
      .def("merge_slots", &merge_slots)
      .def("digest", &digest)
      .def("digest_since_us", &Sequencer::digest_since_us)
      .def("drop_slot", &Sequencer::drop_slot)
      .def("forget_slot", &Sequencer::forget_slot)
      .def("slots", &slots)
      .def("adopt",
           [](Sequencer& self, SlotRows& rows, std::size_t most) {
             const py::gil_scoped_release release;
             return self.adopt(rows, most);
           })
      .def("enqueue",
           [](Sequencer& self, std::uint64_t connection, const py::bytes& commands) {
             return self.enqueue(connection, std::string_view(commands));
           })
      .def("waiting", &Sequencer::waiting)
      .def("sequence",
           [](Sequencer& self, std::uint32_t shard, std::int64_t now_us, std::size_t most) {
             timed(self, shard, [&] { return self.advance(shard, now_us, most); });
             return seal(self, shard);
           })
      .def("advance",
           [](Sequencer& self, std::uint32_t shard, std::int64_t now_us, std::size_t most) {
             return timed(self, shard, [&] { return self.advance(shard, now_us, most); });
           })
      .def("seal", &seal)
      .def("refuse",
           [](Sequencer& self, std::uint32_t shard, std::uint16_t code, std::int64_t now_us) {
             return self.refuse(shard, static_cast<trading::wire::Code>(code), now_us);
           })
      .def("has_publications", &Sequencer::has_publications)
      .def("publications",
           [](Sequencer& self, std::uint32_t shard, std::int64_t now_us) {
             return publications(self.publications(shard, now_us));
           })
      .def("snapshots",
           [](Sequencer& self, std::uint32_t shard, std::int64_t now_us) {
             return publications(self.snapshots(shard, now_us));
           })
      .def("begin_round", &Sequencer::begin_round)
      .def("slot_loads", &slot_loads)
      .def_property_readonly("refusals", &Sequencer::refusals)
      .def_property_readonly("open_orders", &Sequencer::open_orders)
      .def_property_readonly("idempotency_entries", &Sequencer::idempotency_entries)
      .def_property_readonly("memory_bytes", &Sequencer::memory_bytes);
}
