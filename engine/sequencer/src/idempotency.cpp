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

// Where in its bucket a key is, or would be.
template <typename Entries>
std::size_t slot_of(const Entries& entries, const ClientKey& key) {
  std::size_t at = static_cast<std::size_t>(key.high) % entries.size();
  while (entries[at].key.low != 0 && !(entries[at].key == key)) at = (at + 1) % entries.size();
  return at;
}

}  // namespace

IdempotencySet::IdempotencySet(std::size_t ended_max, std::int64_t window_us)
    : buckets_(2), directory_{0, 1}, ended_max_(ended_max), window_us_(window_us) {
  for (Bucket& bucket : buckets_) bucket.depth = depth_;
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

const IdempotencySet::Entry* IdempotencySet::find(const ClientKey& key) const {
  const Entries& entries = *bucket_of(key).entries;
  const Entry& entry = entries[slot_of(entries, key)];
  return entry.key.low == 0 ? nullptr : &entry;
}

bool IdempotencySet::insert(const Entry& entry) {
  while (bucket_of(entry.key).used >= kBucketFull) split(entry.key);
  Bucket& bucket = bucket_of(entry.key);
  Entry& place = (*bucket.entries)[slot_of(*bucket.entries, entry.key)];
  if (place.key.low != 0) return false;
  place = entry;
  ++bucket.used;
  ++used_;
  return true;
}

void IdempotencySet::put(const Entry& entry) {
  if (insert(entry)) return;
  Entries& entries = *bucket_of(entry.key).entries;
  entries[slot_of(entries, entry.key)] = entry;
}

void IdempotencySet::split(const ClientKey& key) {
  const std::uint32_t lower = directory_[directory_at(key)];
  if (buckets_[lower].depth == depth_) {
    std::vector<std::uint32_t> twice;
    twice.reserve(directory_.size() * 2);
    for (const std::uint32_t each : directory_) twice.insert(twice.end(), 2, each);
    directory_ = std::move(twice);
    ++depth_;
  }
  const auto upper = static_cast<std::uint32_t>(buckets_.size());
  const std::uint32_t depth = ++buckets_[lower].depth;
  buckets_.emplace_back().depth = depth;
  const std::size_t half = std::size_t{1} << (depth_ - depth);  // of their places in the directory
  const std::size_t first = directory_at(key) / (half * 2) * (half * 2);
  std::fill_n(directory_.begin() + static_cast<std::ptrdiff_t>(first + half), half, upper);
  const std::unique_ptr<Entries> old =
      std::exchange(buckets_[lower].entries, std::make_unique<Entries>());
  buckets_[lower].used = 0;
  for (const Entry& entry : *old) {
    if (entry.key.low == 0) continue;
    Bucket& bucket = bucket_of(entry.key);
    (*bucket.entries)[slot_of(*bucket.entries, entry.key)] = entry;
    ++bucket.used;
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
  Bucket& bucket = bucket_of(ended.key);
  Entries& entries = *bucket.entries;
  std::size_t hole = slot_of(entries, ended.key);
  const Entry& entry = entries[hole];
  if (entry.key.low == 0 || static_cast<std::uint32_t>(entry.order_id) != ended.order_low) return;
  --used_;
  --bucket.used;
  // Backward shift: entries behind the hole that may live in it move up, so that probing needs no
  // marks.
  constexpr std::size_t kMask = kBucketSize - 1;
  for (std::size_t next = (hole + 1) & kMask; entries[next].key.low != 0;
       next = (next + 1) & kMask) {
    const std::size_t home = static_cast<std::size_t>(entries[next].key.high) & kMask;
    if (((next - home) & kMask) >= ((next - hole) & kMask)) {
      entries[hole] = entries[next];
      hole = next;
    }
  }
  entries[hole] = Entry{};
}

}  // namespace trading::sequencer
