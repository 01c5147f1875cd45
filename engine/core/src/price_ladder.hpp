// The price levels of one side of one book.
//
// A level is found by its key: the price of an ask, the complement of the price of a bid, so that
// the lowest key is the best price on both sides. Levels near the best stand in a dense window of
// 16 bytes per tick with a bitmap tree above it (best and next in O(1)); all others in a sorted
// map. Both are always correct for any price: the window only makes it fast. It is laid anew around
// the best when the map was used often, so that the cost of doing so is spread over those uses.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "big_array.hpp"
#include "fetch_ahead.hpp"
#include "order_pool.hpp"

namespace trading::core {

using Key = std::int64_t;

inline Key key_of(Side side, std::int64_t price) {
  return side == Side::kBuy ? ~price : price;
}
inline std::int64_t price_of(Side side, Key key) {
  return side == Side::kBuy ? ~key : key;
}

struct Level {
  std::int64_t quantity = 0;  // sum of its orders; 0 = there is no such level
  Handle first = kNoHandle;   // oldest
  Handle last = kNoHandle;
};

// A set of small numbers: 64-way tree of bits, three storeys.
class BitTree {
 public:
  static constexpr std::size_t kSizeMax = 64 * 64 * 64;

  explicit BitTree(std::size_t size = 0) : words_((size + 63) / 64), sums_((size + 4095) / 4096) {}

  void set(std::size_t i) {
    words_[i >> 6] |= bit(i);
    sums_[i >> 12] |= bit(i >> 6);
    top_ |= bit(i >> 12);
  }
  void reset(std::size_t i) {
    if ((words_[i >> 6] &= ~bit(i)) != 0) return;
    if ((sums_[i >> 12] &= ~bit(i >> 6)) != 0) return;
    top_ &= ~bit(i >> 12);
  }
  // The first member >= i, or kSizeMax.
  [[nodiscard]] std::size_t first_from(std::size_t i) const {
    if (i >= words_.size() * 64) return kSizeMax;
    if (const std::uint64_t rest = words_[i >> 6] & (~0ULL << (i & 63)); rest != 0)
      return (i & ~std::size_t{63}) + first_bit(rest);
    const std::size_t word = i >> 6;
    if (const std::uint64_t rest = sums_[word >> 6] & above(word & 63); rest != 0)
      return in_word((word & ~std::size_t{63}) + first_bit(rest));
    if (const std::uint64_t rest = top_ & above(word >> 6); rest != 0) {
      const std::size_t sum = first_bit(rest);
      return in_word(sum * 64 + first_bit(sums_[sum]));
    }
    return kSizeMax;
  }
  [[nodiscard]] std::size_t memory_bytes() const {
    return (words_.capacity() + sums_.capacity()) * sizeof(std::uint64_t);
  }

 private:
  static std::uint64_t bit(std::size_t i) { return 1ULL << (i & 63); }
  static std::uint64_t above(std::size_t i) { return i == 63 ? 0 : ~0ULL << (i + 1); }
  static std::size_t first_bit(std::uint64_t word) {
    return static_cast<std::size_t>(std::countr_zero(word));
  }
  [[nodiscard]] std::size_t in_word(std::size_t word) const {
    return word * 64 + first_bit(words_[word]);
  }

  std::vector<std::uint64_t> words_;
  std::vector<std::uint64_t> sums_;
  std::uint64_t top_ = 0;
};

class PriceLadder {
 public:
  static constexpr std::size_t kWindowMin = 512;
  static constexpr std::size_t kWindowMax = BitTree::kSizeMax;

  PriceLadder() = default;

  [[nodiscard]] bool empty() const { return best_ == nullptr; }
  [[nodiscard]] Key best_key() const { return best_key_; }
  [[nodiscard]] Level& best() { return *best_; }
  [[nodiscard]] const Level& best() const { return *best_; }

  // nullptr when there is no such level.
  [[nodiscard]] Level* find(Key key) {
    const std::uint64_t i = index_of(key);
    if (i < window_.size()) return window_[i].quantity != 0 ? &window_[i] : nullptr;
    return find_far(key);
  }
  [[nodiscard]] const Level* find(Key key) const {
    return const_cast<PriceLadder*>(this)->find(key);
  }
  void prefetch(Key key) const {
    const std::uint64_t i = index_of(key);
    if (i < window_.size()) fetch_ahead(&window_[i]);
  }
  // The youngest order of the level, as far as it is near; else kNoHandle.
  [[nodiscard]] Handle guess_last(Key key) const {
    const std::uint64_t i = index_of(key);
    return i < window_.size() && window_[i].quantity != 0 ? window_[i].last : kNoHandle;
  }

  // The level, made (with quantity 0, to be raised at once) when it is missing. May move other
  // levels.
  Level& acquire(Key key) {
    std::uint64_t i = index_of(key);
    if (i >= window_.size() && ++far_uses_ > far_uses_max_) [[unlikely]] {
      lay_window(best_ == nullptr ? key : std::min(key, best_key_));
      i = index_of(key);
    }
    Level& level = i < window_.size() ? window_[i] : far_[key];
    if (level.quantity == 0) {
      if (i < window_.size()) tree_.set(i);
      ++levels_;
      if (best_ == nullptr || key < best_key_) set_best(key, &level);
    }
    return level;
  }

  // Removes a level whose quantity has become 0.
  void erase(Key key) {
    const std::uint64_t i = index_of(key);
    if (i < window_.size()) {
      tree_.reset(i);
    } else {
      far_.erase(key);
    }
    --levels_;
    if (key == best_key_) find_best(i < window_.size() ? i : 0);
  }

  // The next worse level after `key` (which need not exist): false when there is none.
  [[nodiscard]] bool next(Key key, Key* next_key, const Level** level) const;

  // Remembers that the total at this key may have changed.
  void mark(Key key) {
    const std::uint64_t i = index_of(key);
    if (i < window_.size()) {
      std::uint64_t& word = marked_[i >> 6];
      const std::uint64_t bit = 1ULL << (i & 63);
      if ((word & bit) != 0) return;
      word |= bit;
    }
    mark_new(key);
  }
  // Gives the marked keys in ascending order, each once, and forgets them. false: too many.
  bool take_marked(std::vector<Key>& keys);

  [[nodiscard]] std::size_t levels() const { return levels_; }
  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  [[nodiscard]] std::uint64_t index_of(Key key) const {
    return static_cast<std::uint64_t>(key) - static_cast<std::uint64_t>(base_);  // below: huge
  }
  [[nodiscard]] Key key_at(std::uint64_t i) const { return base_ + static_cast<Key>(i); }
  void set_best(Key key, Level* level) {
    best_key_ = key;
    best_ = level;
  }
  Level* find_far(Key key);
  void find_best(std::size_t from);
  void mark_new(Key key);
  void compact_marked();
  void lay_window(Key best);

  Level* best_ = nullptr;
  Key best_key_ = 0;
  Key base_ = 0;  // of window_[0]; base_ + window_.size() - 1 does not overflow
  BigArray<Level> window_;
  BitTree tree_;
  std::map<Key, Level> far_;
  std::size_t levels_ = 0;
  std::size_t far_uses_ = 0;  // since the window was laid
  std::size_t far_uses_max_ = 0;
  std::vector<std::uint64_t> marked_;  // by index in the window
  std::vector<Key> marked_keys_;       // with repeats for far keys
  std::size_t marked_compact_at_ = 4096;
  bool marked_too_many_ = false;
};

}  // namespace trading::core
