// What the shard knows of a slot, on its way into memory: read and sorted by any thread, while the
// sequencer serves others; then given to Sequencer::adopt in slices.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trading/core/matching_engine.hpp"
#include "trading/sequencer/cold_order.hpp"
#include "trading/sequencer/copy_reader.hpp"

namespace trading::sequencer {

class SlotRows {
 public:
  struct State {
    std::uint32_t name = 0;  // index of names()
    core::SymbolCounters counters;
    std::int64_t order_seq = 0;
    std::int64_t update_seq = 0;
    std::int64_t sym_seq = 0;
    bool halted = false;
  };
  struct Ended {
    std::uint32_t name = 0;
    std::uint8_t client_size = 0;
    char client_id[wire::kClientIdBytes] = {};
    std::int64_t order_id = 0;
    std::int64_t account = 0;
    std::int64_t body_hash = 0;
    std::int64_t time_us = 0;
    [[nodiscard]] std::string_view client() const { return {client_id, client_size}; }
  };

  // Parts of COPY .. TO STDOUT (FORMAT binary), in their order, cut between any two rows. False:
  // malformed.
  bool add_states(std::string_view part);       // the columns of symbol_state
  bool add_open_orders(std::string_view part);  // the columns of open_orders
  // symbol, order_id, account, client_id, body_hash, ended_us
  bool add_closed_orders(std::string_view part);
  // Rows that another thread has read of the same slot; `other` is empty then. False: one of its
  // streams has no end.
  bool merge(SlotRows& other);
  // Nothing more comes. False: an end is missing.
  bool finish();

  [[nodiscard]] std::size_t open_orders() const { return places_.size(); }
  [[nodiscard]] bool finished() const { return finished_; }

  // For the sequencer.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] const std::vector<State>& states() const { return states_; }
  [[nodiscard]] const std::vector<Ended>& ended() const { return ended_; }
  // By symbol, then by age; its `symbol` is an index of names().
  [[nodiscard]] const ColdOrder& open_order(std::size_t i) const {
    return blocks_[places_[i].block][places_[i].at];
  }
  std::vector<std::uint32_t> symbols;  // names() as the sequencer knows them, once it does
  std::size_t adopted = 0;             // open orders, then ended ones

 private:
  struct Stream {
    bool begun = false;
    bool ended = false;
  };
  struct Place {
    std::int64_t priority;
    std::uint32_t name;
    std::uint32_t block;
    std::uint32_t at;
  };
  template <typename Row>
  bool add(Stream& stream, std::string_view part, std::int16_t fields, Row row);
  std::uint32_t name_of(std::string_view name);
  static bool join(Stream& mine, const Stream& other);

  Stream state_stream_, open_stream_, closed_stream_;
  std::vector<std::string> names_;
  std::vector<State> states_;
  std::vector<std::vector<ColdOrder>> blocks_;  // one for each part
  std::vector<Place> places_;
  std::vector<Ended> ended_;
  bool finished_ = false;
};

}  // namespace trading::sequencer
