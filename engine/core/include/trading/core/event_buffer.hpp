// Where apply() writes its events. Keeps its memory from batch to batch.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <span>

#include "trading/core/check.hpp"
#include "trading/core/event.hpp"

namespace trading::core {

// Grows as needed. Its size is bounded by the batch: at most 4 events per command, plus 2 for each
// resting order that the batch ends or meets.
class EventBuffer {
 public:
  EventBuffer() = default;
  EventBuffer(const EventBuffer&) = delete;
  EventBuffer& operator=(const EventBuffer&) = delete;
  ~EventBuffer() { std::free(data_); }

  void clear() { size_ = 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  [[nodiscard]] const Event* data() const { return data_; }
  [[nodiscard]] const Event& operator[](std::size_t i) const { return data_[i]; }
  [[nodiscard]] const Event* begin() const { return data_; }
  [[nodiscard]] const Event* end() const { return data_ + size_; }
  [[nodiscard]] std::span<const Event> events() const { return {data_, size_}; }

  // The next record, to be filled in whole.
  Event& push() {
    if (size_ == capacity_) [[unlikely]]
      grow();
    return data_[size_++];
  }

 private:
  [[gnu::noinline]] void grow() {
    capacity_ = capacity_ == 0 ? 1024 : capacity_ * 2;
    auto* larger = static_cast<Event*>(std::realloc(data_, capacity_ * sizeof(Event)));
    TRADING_CHECK(larger != nullptr);
    data_ = larger;
  }

  Event* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace trading::core
