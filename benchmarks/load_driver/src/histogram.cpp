#include "histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace trading::load {
namespace {

constexpr int kSubBits = 7;  // 128 buckets for each doubling
constexpr std::int64_t kSubCount = std::int64_t{1} << kSubBits;
constexpr int kDoublings = 41;
constexpr std::int64_t kLargest = (std::int64_t{1} << (kSubBits + kDoublings)) - 1;

std::size_t index_of(std::int64_t value) {
  if (value < 2 * kSubCount) return static_cast<std::size_t>(value);
  const auto width = static_cast<int>(std::bit_width(static_cast<std::uint64_t>(value)));
  const int shift = width - kSubBits - 1;
  return static_cast<std::size_t>(shift * kSubCount + (value >> shift));
}

std::int64_t end_of(std::size_t index) {
  const auto i = static_cast<std::int64_t>(index);
  if (i < 2 * kSubCount) return i;
  const std::int64_t shift = i / kSubCount - 1;
  return ((i - shift * kSubCount + 1) << shift) - 1;
}

}  // namespace

Histogram::Histogram() : buckets_(index_of(kLargest) + 1) {}

void Histogram::record(std::int64_t nanoseconds) {
  const std::int64_t value = std::clamp<std::int64_t>(nanoseconds, 0, kLargest);
  ++buckets_[index_of(value)];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

double Histogram::mean() const {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

std::int64_t Histogram::percentile(double percent) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(static_cast<double>(count_) * percent / 100.0);
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (static_cast<double>(seen) >= wanted && seen > 0) return std::min(end_of(i), max_);
  }
  return max_;
}

}  // namespace trading::load
