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
  // The order ended: its entry may leave from now on.
  void ended(const ClientKey& key, std::int64_t time_us);
  void evict(std::int64_t now_us);
  void reserve(std::size_t more);
  [[nodiscard]] std::size_t size() const { return used_; }
  [[nodiscard]] std::size_t memory_bytes() const {
    return table_.capacity() * sizeof(Entry) + ended_.size() * sizeof(Ended);
  }

 private:
  struct Ended {
    ClientKey key;
    std::int64_t time_us;
  };
  [[nodiscard]] std::size_t slot_of(const ClientKey& key) const;
  void erase(const ClientKey& key);
  void grow(std::size_t size);

  std::vector<Entry> table_;  // open addressing, linear probing, power of two
  std::size_t used_ = 0;
  std::deque<Ended> ended_;
  std::uint64_t secret_[4];
  std::size_t ended_max_;
  std::int64_t window_us_;
};

}  // namespace trading::sequencer
