// The idempotency set: which client ids are taken, and by which order. Open orders are always in
// it; ended ones leave oldest first, by number and by age (command time: there is no clock here).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
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
  void reserve(std::size_t more);
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
    return table_.capacity() * sizeof(Entry) + ended_.size() * sizeof(Ended);
  }

 private:
  struct Ended {
    ClientKey key;
    std::int64_t time_us;
    std::uint32_t tag;
    std::uint32_t order_low;  // the key may be another order's by the time this one leaves
  };
  [[nodiscard]] std::size_t slot_of(const ClientKey& key) const;
  void erase(const Ended& ended);
  void grow(std::size_t size);

  std::vector<Entry> table_;  // open addressing, linear probing, power of two
  std::size_t used_ = 0;
  std::deque<Ended> ended_;
  std::deque<Ended> recent_;  // the last ones that have a tag
  std::int64_t incomplete_us_ = -1;
  std::uint64_t secret_[4];
  std::size_t ended_max_;
  std::int64_t window_us_;
};

}  // namespace trading::sequencer
