#include "trading/sequencer/idempotency.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

namespace trading::sequencer {
namespace {

constexpr std::uint64_t kMultiplier1 = 0x9E3779B97F4A7C15ULL;
constexpr std::uint64_t kMultiplier2 = 0xC2B2AE3D27D4EB4FULL;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

}  // namespace

IdempotencySet::IdempotencySet(std::size_t ended_max, std::int64_t window_us)
    : table_(1024), ended_max_(ended_max), window_us_(window_us) {
  std::random_device chance;
  for (std::uint64_t& word : secret_) word = static_cast<std::uint64_t>(chance()) << 32U | chance();
}

ClientKey IdempotencySet::key_of(std::uint32_t symbol, std::int64_t account,
                                 std::string_view client_id) const {
  std::uint64_t words[5] = {};
  std::memcpy(words, client_id.data(), std::min(client_id.size(), sizeof words));
  std::uint64_t high =
      mix(static_cast<std::uint64_t>(account) ^ secret_[0],
          (static_cast<std::uint64_t>(symbol) << 8U | client_id.size()) ^ secret_[1]);
  std::uint64_t low = mix(high ^ secret_[2], secret_[3]);
  for (const std::uint64_t word : words) {
    high = mix(high ^ word, secret_[2] ^ kMultiplier1);
    low = mix(low ^ word, secret_[3] ^ kMultiplier2) + high;
  }
  return {high, low | 1U};
}

std::size_t IdempotencySet::slot_of(const ClientKey& key) const {
  const std::size_t mask = table_.size() - 1;
  std::size_t at = static_cast<std::size_t>(key.high) & mask;
  while (table_[at].key.low != 0 && !(table_[at].key == key)) at = (at + 1) & mask;
  return at;
}

const IdempotencySet::Entry* IdempotencySet::find(const ClientKey& key) const {
  const Entry& entry = table_[slot_of(key)];
  return entry.key.low == 0 ? nullptr : &entry;
}

bool IdempotencySet::insert(const Entry& entry) {
  if ((used_ + 1) * 10 > table_.size() * 7) grow(table_.size() * 2);
  Entry& place = table_[slot_of(entry.key)];
  if (place.key.low != 0) return false;
  place = entry;
  ++used_;
  return true;
}

void IdempotencySet::put(const Entry& entry) {
  if (!insert(entry)) table_[slot_of(entry.key)] = entry;
}

void IdempotencySet::reserve(std::size_t more) {
  std::size_t size = table_.size();
  while ((used_ + more) * 10 > size * 7) size *= 2;
  if (size > table_.size()) grow(size);
}

void IdempotencySet::grow(std::size_t size) {
  std::vector<Entry> old(size);
  std::swap(old, table_);
  for (const Entry& entry : old) {
    if (entry.key.low != 0) table_[slot_of(entry.key)] = entry;
  }
}

void IdempotencySet::ended(const ClientKey& key, std::int64_t order_id, std::int64_t time_us,
                           std::uint32_t tag) {
  ended_.push_back({key, time_us, tag, static_cast<std::uint32_t>(order_id)});
  if (tag == 0) return;
  recent_.push_back(ended_.back());
  if (recent_.size() > kRecentMax) {
    incomplete_until(recent_.front().time_us);
    recent_.pop_front();
  }
}

void IdempotencySet::evict(std::int64_t now_us) {
  while (!ended_.empty() &&
         (ended_.size() > ended_max_ || ended_.front().time_us < now_us - window_us_)) {
    if (ended_.front().tag != 0) incomplete_until(ended_.front().time_us);
    erase(ended_.front());
    ended_.pop_front();
  }
}

void IdempotencySet::erase(const Ended& ended) {
  const std::size_t mask = table_.size() - 1;
  std::size_t hole = slot_of(ended.key);
  const Entry& entry = table_[hole];
  if (entry.key.low == 0 || static_cast<std::uint32_t>(entry.order_id) != ended.order_low) return;
  --used_;
  // Backward shift: entries behind the hole that may live in it move up, so that probing needs no
  // marks.
  for (std::size_t next = (hole + 1) & mask; table_[next].key.low != 0; next = (next + 1) & mask) {
    const std::size_t home = static_cast<std::size_t>(table_[next].key.high) & mask;
    if (((next - home) & mask) >= ((next - hole) & mask)) {
      table_[hole] = table_[next];
      hole = next;
    }
  }
  table_[hole] = Entry{};
}

}  // namespace trading::sequencer
