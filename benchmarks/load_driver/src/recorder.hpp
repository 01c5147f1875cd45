// Writes each order and its outcome as lines of JSON, in the format of e2e/history.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "tally.hpp"
#include "workload.hpp"

namespace trading::load {

class Recorder {
 public:
  Recorder() = default;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder();

  // Without a path nothing is recorded. Returns what is wrong, if anything.
  std::string open(const std::string& path);
  [[nodiscard]] bool active() const { return file_ != nullptr; }
  void invoke(const Workload& workload, const Order& order, std::string_view account,
              std::int64_t now_ns);
  // order_id: as answered; empty when there was none.
  void finish(const Workload& workload, const Order& order, std::string_view account,
              Outcome outcome, std::string_view order_id, std::string_view code,
              std::int64_t now_ns);
  // False when a line could not be written.
  bool close();

 private:
  void start(const Workload& workload, const Order& order, std::string_view event,
             std::string_view account, std::int64_t now_ns);
  void write();

  std::FILE* file_ = nullptr;
  bool failed_ = false;
  std::string line_;
};

}  // namespace trading::load
