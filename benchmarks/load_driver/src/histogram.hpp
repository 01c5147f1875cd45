// Latencies in log-linear buckets: constant memory, relative error below 1 %.
#pragma once

#include <cstdint>
#include <vector>

namespace trading::load {

class Histogram {
 public:
  Histogram();

  // Negative values count as 0, those above about 73 hours as that.
  void record(std::int64_t nanoseconds);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::int64_t max() const { return max_; }
  [[nodiscard]] double mean() const;
  // The smallest recorded value (rounded up to its bucket's end) that `percent` of all do not
  // exceed; 0 when nothing was recorded. Never above max().
  [[nodiscard]] std::int64_t percentile(double percent) const;

 private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  std::int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace trading::load
