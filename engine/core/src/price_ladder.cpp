#include "price_ladder.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "trading/core/matching_engine.hpp"

namespace trading::core {

Level* PriceLadder::find_far(Key key) {
  ++far_uses_;
  const auto found = far_.find(key);
  return found == far_.end() ? nullptr : &found->second;
}

void PriceLadder::find_best(std::size_t from) {
  best_ = nullptr;
  if (const std::size_t i = tree_.first_from(from); i < window_.size())
    set_best(key_at(i), &window_[i]);
  if (!far_.empty() && (best_ == nullptr || far_.begin()->first < best_key_))
    set_best(far_.begin()->first, &far_.begin()->second);
}

bool PriceLadder::next(Key key, Key* next_key, const Level** level) const {
  const Level* found = nullptr;
  Key found_key = 0;
  if (const auto it = far_.upper_bound(key); it != far_.end()) {
    found_key = it->first;
    found = &it->second;
  }
  // Where the window is entered: after the key, or at its beginning when the key lies before it.
  const std::uint64_t i = index_of(key);
  std::size_t from = BitTree::kSizeMax;
  if (i < window_.size()) {
    from = static_cast<std::size_t>(i) + 1;
  } else if (key < base_) {
    from = 0;
  }
  if (from < window_.size()) {
    const std::size_t j = tree_.first_from(from);
    if (j < window_.size() && (found == nullptr || key_at(j) < found_key)) {
      found_key = key_at(j);
      found = &window_[j];
    }
  }
  if (found == nullptr) return false;
  *next_key = found_key;
  *level = found;
  return true;
}

// Window of at most 32 ticks a level, an eighth of it for prices better than the best.
void PriceLadder::lay_window(Key best) {
  constexpr Key kLowest = std::numeric_limits<Key>::min();
  constexpr Key kHighest = std::numeric_limits<Key>::max();
  std::size_t size = std::clamp(std::bit_ceil(32 * (levels_ + 1)), kWindowMin, kWindowMax);
  if (size < window_.size() && size * 4 >= window_.size()) size = window_.size();
  const Key before = static_cast<Key>(size / 8);
  Key base = best < kLowest + before ? kLowest : best - before;
  base = std::min(base, kHighest - static_cast<Key>(size) + 1);
  far_uses_ = 0;
  far_uses_max_ = std::max(size / 4, far_.size());
  if (size == window_.size() && base == base_) return;

  BigArray<Level> old(size);
  std::swap(old, window_);
  const Key old_base = std::exchange(base_, base);
  tree_ = BitTree(size);
  marked_.assign(size / 64, 0);
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (old[i].quantity == 0) continue;
    const Key key = old_base + static_cast<Key>(i);
    const std::uint64_t j = index_of(key);
    if (j < size) {
      window_[j] = old[i];
      tree_.set(j);
    } else {
      far_.emplace(key, old[i]);
    }
  }
  auto it = far_.lower_bound(base);
  while (it != far_.end() && index_of(it->first) < size) {
    const std::uint64_t j = index_of(it->first);
    window_[j] = it->second;
    tree_.set(j);
    it = far_.erase(it);
  }
  if (levels_ != 0) find_best(0);
}

void PriceLadder::mark_new(Key key) {
  if (marked_too_many_) return;
  marked_keys_.push_back(key);
  if (marked_keys_.size() >= marked_compact_at_) compact_marked();
}

void PriceLadder::compact_marked() {
  std::sort(marked_keys_.begin(), marked_keys_.end());
  marked_keys_.erase(std::unique(marked_keys_.begin(), marked_keys_.end()), marked_keys_.end());
  marked_compact_at_ = std::max<std::size_t>(4096, marked_keys_.size() * 2);
  if (marked_keys_.size() <= MatchingEngine::kDirtyLevelsMax) return;
  marked_too_many_ = true;
  marked_keys_.clear();
}

bool PriceLadder::take_marked(std::vector<Key>& keys) {
  compact_marked();
  keys.swap(marked_keys_);
  marked_keys_.clear();
  marked_compact_at_ = 4096;
  if (std::exchange(marked_too_many_, false)) {
    std::fill(marked_.begin(), marked_.end(), 0);
    keys.clear();
    return false;
  }
  for (const Key key : keys) {
    const std::uint64_t i = index_of(key);
    if (i < window_.size()) marked_[i >> 6] &= ~(1ULL << (i & 63));
  }
  return true;
}

std::size_t PriceLadder::memory_bytes() const {
  constexpr std::size_t kMapNodeBytes = sizeof(std::pair<const Key, Level>) + 4 * sizeof(void*);
  return window_.memory_bytes() + tree_.memory_bytes() + far_.size() * kMapNodeBytes +
         marked_.capacity() * sizeof(std::uint64_t) + marked_keys_.capacity() * sizeof(Key);
}

}  // namespace trading::core
