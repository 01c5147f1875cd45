// One number for all that decides how a slot goes on: equal digests, equal futures.
#include <algorithm>
#include <unordered_map>

#include "trading/sequencer/sequencer.hpp"
#include "trading/sequencer/sha256.hpp"

namespace trading::sequencer {
namespace {

template <typename... Words>
void add_words(Bytes& out, Words... words) {
  (out.add(static_cast<std::int64_t>(words)), ...);
}

struct Ended {  // of a symbol, in whatever order they were learnt
  std::uint64_t sum = 0;
  std::uint64_t count = 0;
};

std::uint64_t mixed(std::uint64_t word) {
  word *= 0xC2B2AE3D27D4EB4FULL;
  return word ^ word >> 29U;
}

}  // namespace

std::int64_t Sequencer::digest_since_us(std::int64_t now_us) const {
  return std::max(now_us - IdempotencySet::kRecentUs, idempotency_.complete_since_us());
}

DigestPart Sequencer::digest(std::int32_t id, std::string_view from, std::string_view past,
                             std::size_t orders_max, std::int64_t since_us) const {
  DigestPart part;
  const auto found = std::find_if(slots_.begin(), slots_.end(), [id](const Slot& each) {
    return each.state.id == id && (each.active || each.followed);
  });
  if (found == slots_.end() || since_us < idempotency_.complete_since_us()) return part;
  std::vector<std::uint32_t> inside;
  for (std::uint32_t index = 0; index < symbols_.size(); ++index) {
    const Symbol& symbol = symbols_[index];
    const bool wanted = symbol.name >= from && (past.empty() || symbol.name < past);
    // What is listed only is not known to everybody.
    if (wanted && found->has(symbol.name) && symbol.update_seq > 0) inside.push_back(index);
  }
  std::sort(inside.begin(), inside.end(), [this](std::uint32_t a, std::uint32_t b) {
    return symbols_[a].name < symbols_[b].name;
  });
  std::unordered_map<std::uint32_t, Ended> ended;  // by tag
  for (const std::uint32_t index : inside) ended.try_emplace(symbols_[index].tag);
  idempotency_.visit_recent(
      since_us, [&](std::uint32_t tag, const ClientKey& key, std::int64_t time_us) {
        const auto at = ended.find(tag);
        if (at == ended.end()) return;
        std::uint64_t word = mixed(static_cast<std::uint64_t>(time_us));
        if (const IdempotencySet::Entry* known = idempotency_.find(key); known != nullptr) {
          word = mixed(word ^ static_cast<std::uint64_t>(known->order_id));
          word = mixed(word ^ static_cast<std::uint64_t>(known->body_hash));
        }
        at->second.sum += word;
        ++at->second.count;
      });
  Sha256 hash;
  hash.begin();
  Bytes bytes;
  std::size_t orders = 0;
  part.past = past.empty() ? found->state.past : past;
  for (const std::uint32_t index : inside) {
    const Symbol& symbol = symbols_[index];
    if (orders >= orders_max) {
      part.past = symbol.name;
      break;
    }
    bytes.clear();
    bytes.append(symbol.name);
    add_words(bytes, engine_.state_hash(index), symbol.order_seq, symbol.update_seq,
              symbol.sym_seq);
    for (const wire::Side side : {wire::Side::kBuy, wire::Side::kSell}) {
      for (core::Handle handle = engine_.first_of_side(index, side); handle != core::kNoHandle;
           handle = engine_.next_of_side(handle), ++orders) {
        const ColdOrder& o = cold_[handle];
        const IdempotencySet::Entry* known = idempotency_.find(o.key);
        // Not updated_us: partitions of the version before, which hand slots over, lack it.
        add_words(bytes, o.order_id, o.account, o.price, o.quantity, o.executed, o.executed_quote,
                  o.prevented, o.priority, o.entry_trade_id, o.body_hash, o.created_us, o.seq,
                  o.attributes(o.open_status(), wire::EndReason::kNone),
                  known != nullptr && known->order_id == o.order_id &&
                      known->body_hash == o.body_hash);
        bytes.append({o.client_id, sizeof o.client_id});
      }
    }
    const Ended& gone = ended[symbol.tag];
    add_words(bytes, gone.sum, gone.count);
    hash.add(bytes.view());
  }
  part.sum = hash.end();
  part.known = true;
  return part;
}

}  // namespace trading::sequencer
