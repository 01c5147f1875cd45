// The idempotency set: which client ids are taken, and by which order. Open orders are always in
// it; ended ones leave oldest first, by number and by age (command time: there is no clock here).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

namespace trading::sequencer {

struct ClientKey {  // 128-bit keyed hash of (symbol, account, client id); low 0 is never given
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  bool operator==(const ClientKey&) const = default;
};

class IdempotencySet {
 public:
  struct Entry {
    ClientKey key;
    std::int64_t order_id = 0;
    std::int64_t body_hash = 0;
  };

  // The hash is keyed by chance, so that nobody can make client ids that collide with another's.
  IdempotencySet(std::size_t ended_max, std::int64_t window_us);

  // At most 40 bytes of the client id count; the wire has 36.
  [[nodiscard]] ClientKey key_of(std::uint32_t symbol, std::int64_t account,
                                 std::string_view client_id) const;

  [[nodiscard]] const Entry* find(const ClientKey& key) const;
  // False: the key is taken already.
  bool insert(const Entry& entry);
  // Whatever had the key before is forgotten.
  void put(const Entry& entry);
  // The order ended: its entry may leave from now on. `tag` names the symbol in visit_recent();
  // 0: not to be found there.
  void ended(const ClientKey& key, std::int64_t order_id, std::int64_t time_us, std::uint32_t tag);
  void evict(std::int64_t now_us);
  [[nodiscard]] std::size_t size() const { return used_; }
  [[nodiscard]] std::size_t ended_max() const { return ended_max_; }

  // --- what a digest reads ---
  static constexpr std::int64_t kRecentUs = 10'000'000;
  static constexpr std::size_t kRecentMax = 1U << 16;
  // Gives `visit(tag, key, time)` the orders that ended at `since_us` or later.
  template <typename Visit>
  void visit_recent(std::int64_t since_us, Visit visit) const {
    for (const Ended& each : recent_) {
      if (each.time_us >= since_us) visit(each.tag, each.key, each.time_us);
    }
  }
  // visit_recent() is complete from this time on, and all of it is still remembered.
  [[nodiscard]] std::int64_t complete_since_us() const { return incomplete_us_ + 1; }
  void incomplete_until(std::int64_t time_us) {
    incomplete_us_ = time_us > incomplete_us_ ? time_us : incomplete_us_;
  }
  [[nodiscard]] std::size_t memory_bytes() const {
    return buckets_.size() * (sizeof(Bucket) + sizeof(Entries)) +
           directory_.capacity() * sizeof(std::uint32_t) + ended_.size() * sizeof(Ended);
  }

 private:
  struct Ended {
    ClientKey key;
    std::int64_t time_us;
    std::uint32_t tag;
    std::uint32_t order_low;  // the key may be another order's by the time this one leaves
  };
  static constexpr std::size_t kBucketSize = 512;
  static constexpr std::size_t kBucketFull = kBucketSize * 7 / 10;
  using Entries = std::array<Entry, kBucketSize>;  // open addressing, linear probing
  struct Bucket {
    std::unique_ptr<Entries> entries = std::make_unique<Entries>();
    std::uint32_t used = 0;
    std::uint32_t depth = 0;  // how many leading bits all keys that may lie here have in common
  };

  [[nodiscard]] std::size_t directory_at(const ClientKey& key) const {
    return static_cast<std::size_t>(key.high >> (64U - depth_));
  }
  [[nodiscard]] const Bucket& bucket_of(const ClientKey& key) const {
    return buckets_[directory_[directory_at(key)]];
  }
  [[nodiscard]] Bucket& bucket_of(const ClientKey& key) {
    return buckets_[directory_[directory_at(key)]];
  }
  void split(const ClientKey& key);
  void erase(const Ended& ended);

  // Extendible hashing (Fagin, Nievergelt, Pippenger, Strong: ACM TODS 4, 1979): it grows by one
  // bucket at a time. A table that doubles holds up every order meanwhile: for seconds with
  // millions of them, where fresh memory is slow to come by.
  std::vector<Bucket> buckets_;
  std::vector<std::uint32_t> directory_;  // index of a bucket, by the leading bits of a key
  unsigned depth_ = 1;                    // how many bits that is
  std::size_t used_ = 0;
  std::deque<Ended> ended_;
  std::deque<Ended> recent_;  // the last ones that have a tag
  std::int64_t incomplete_us_ = -1;
  std::uint64_t secret_[4];
  std::size_t ended_max_;
  std::int64_t window_us_;
};

}  // namespace trading::sequencer
