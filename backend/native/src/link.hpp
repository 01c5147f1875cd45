// The way to one partition: commands that wait to be written, and frames that come back.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <trading/wire.hpp>

namespace trading::entry {

struct Frame {
  wire::FrameType type = wire::FrameType::kPing;
  std::string_view payload;
};

// Cuts a byte stream into frames. Holds at most one frame's bytes.
class FrameCutter {
 public:
  // The bytes must live until the last next() of this round.
  void feed(std::string_view bytes);
  // False: no whole frame is left; the rest is kept. `failed()`: the stream is not ours.
  bool next(Frame& frame);
  bool failed() const noexcept { return failed_; }
  void reset() noexcept;

 private:
  void keep_rest();

  std::string kept_;
  std::string_view now_;
  bool from_kept_ = false;
  bool failed_ = false;
};

struct Link {
  std::deque<std::uint64_t> outbox;  // command ids; ended ones are passed over
  std::size_t waiting = 0;
  std::size_t in_flight = 0;  // waiting, written or parked
  bool connected = false;
  FrameCutter cutter;
};

}  // namespace trading::entry
