// The wire between backends and partitions: fixed records, little-endian, no implicit padding.
//
// The same layout in Python: crds/trading_contract/wire.py. A test compares the two field by field.
// Frame = FrameHeader + payload. Every frame is bounded by kFrameBytesMax; a larger length is a
// protocol error and closes the connection.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trading::wire {

inline constexpr std::uint32_t kProtocolVersion = 1;
inline constexpr std::uint32_t kFrameBytesMax = 4U << 20;  // header included
inline constexpr std::size_t kSymbolBytes = 16;            // ^[A-Z0-9]{2,16}$, zero-padded
inline constexpr std::size_t kClientIdBytes = 36;          // ^[a-zA-Z0-9-_]{1,36}$, zero-padded

enum class FrameType : std::uint8_t {
  kHello = 1,  // backend -> partition: JSON {"version","cluster","replica"}
  // partition -> backend: JSON {"version","cluster","partition","incarnation","slots"}
  kWelcome = 2,
  // sent again, unasked, whenever the partition's slots change
  kCommands = 3,  // backend -> partition: n * Command, n >= 1
  kReplies = 4,   // partition -> backend: sequence of Reply + Reply::fill_count * Fill
  kDepth = 5,     // partition -> backend: DepthHeader + (bid_count + ask_count) * Level, best first
  kPing = 6,      // either way, any payload up to 64 bytes
  kPong = 7,      // the same payload back
  kStatus = 8,    // anyone -> partition: empty or `load`; answered by kStatus with JSON
  kError = 9,     // partition -> backend before it closes: JSON {"error"}
  // backend -> partition: JSON {"channel", "after"}: what was told there after that number, which
  // is -1 to learn the newest number only; only of partitions whose WELCOME says "retells".
  // partition -> backend: msgpack {"p": partition, "i": incarnation, "c": channel, "n": newest
  // number, "m": [message..]}, contiguous and as published, from the oldest that is still known
  kRetell = 10,
};

struct FrameHeader {
  std::uint32_t length;  // of the whole frame, header included
  std::uint8_t type;     // FrameType
  std::uint8_t flags;    // 0
  std::uint16_t reserved;
};
static_assert(sizeof(FrameHeader) == 8);

enum class Kind : std::uint8_t {
  kPlace = 1,
  kCancel = 2,
  kReduce = 3,  // quantity = lots taken away; keeps priority
  kAmend = 4,   // quantity = new original quantity, below the present one; keeps priority
  // same id, to the tail; price/quantity 0 = unchanged, quantity = new remaining
  kReplace = 5,
  kCancelReplace = 6,  // cancel the target, then place this order under a new id: two replies
  // all open orders of the account on the symbol: one reply per order, then kEnd
  kCancelAll = 7,
  kQueryOrder = 8,   // answered after all commands before it are committed
  kQueryOpen = 9,    // one reply per open order of the account on the symbol, then kEnd
  kQueryDepth = 10,  // quantity = levels per side wanted; answered by a kDepth frame
  kHalt = 11,        // system (account 0): no new orders on the symbol
  kResume = 12,
  kClear = 13,  // system: cancels every open order of the symbol
};

enum class Side : std::uint8_t { kBuy = 0, kSell = 1 };
enum class OrderType : std::uint8_t { kLimit = 0, kMarket = 1, kLimitMaker = 2 };
enum class TimeInForce : std::uint8_t { kGtc = 0, kIoc = 1, kFok = 2 };
enum class SelfTrade : std::uint8_t {
  kNone = 0,
  kExpireTaker = 1,
  kExpireMaker = 2,
  kExpireBoth = 3,
  kDecrement = 4
};
enum class OrderStatus : std::uint8_t {
  kNew = 0,
  kPartiallyFilled = 1,
  kFilled = 2,
  kCanceled = 3,
  kRejected = 4,
  kExpired = 5,
  kExpiredInMatch = 6
};
// Why an order ended. 0 while it is open or when it was filled.
enum class EndReason : std::uint8_t {
  kNone = 0,
  kUser = 1,
  kMassCancel = 2,
  kReplaced = 3,
  kDisconnect = 4,
  kDeadMan = 5,
  kIocUnfilled = 6,
  kFokUnfilled = 7,
  kNoLiquidity = 8,
  kPriceBand = 9,
  kExchange = 10,
  kSelfTrade = 11
};

enum class Code : std::uint16_t {
  kOk = 0,
  // same client id, same order: order_id names the first one; it is committed
  kDuplicateSame = 1,
  kDuplicateOther = 2,  // same client id, other order
  kOrderNotActive = 3,  // cancel, reduce, amend, replace of an unknown, ended or foreign order
  kInvalidOrder = 4,
  kInvalidReplacement = 5,
  kPostOnlyWouldTake = 6,
  kStopWouldTrigger = 7,
  kSymbolHalted = 8,
  kAccountHalted = 9,
  kInsufficientFunds = 10,
  kWrongOwner = 11,      // surely not applied; epoch = the newest this partition knows, 0 = none
  kRequestExpired = 12,  // Command::expires_us passed before sequencing
  kUnknownSymbol = 13,
  kBusy = 14,            // surely not applied
  kUnknownOutcome = 15,  // may or may not have been applied: ask by client id
  kNoSuchOrder = 16,     // query: neither open nor in the recent set; the shard may know it
  kPriceBand = 17,
  kTooManyOpenOrders = 18,
  kMalformed = 19,
  kInvalidAmend = 20,
  kEnd = 21,  // ends a list of replies to one request; executed = how many came before
};

namespace flag {
// Command, kCancelReplace: place even if the cancel fails
inline constexpr std::uint8_t kAllowFailure = 1;
inline constexpr std::uint8_t kMore = 1;           // Reply: more replies to this request follow
inline constexpr std::uint8_t kCancelledPart = 2;  // Reply: the cancelled half of a kCancelReplace
}  // namespace flag

struct Command {
  std::uint64_t request_id;  // the sender's, echoed in the reply; unique per connection
  char symbol[kSymbolBytes];
  std::int64_t account;         // 0 = system: never self-trade-prevented
  std::int64_t price;           // ticks; 0 = none
  std::int64_t quantity;        // lots; see Kind
  std::int64_t quote_quantity;  // kMarket by quote: ticks * lots; 0 = none
  // target of cancel, reduce, amend, replace, query; 0 = by target_client_id
  std::int64_t order_id;
  std::uint64_t epoch;      // the slot's epoch as the sender knows it; 0 = any
  std::int64_t expires_us;  // Unix microseconds; 0 = never
  // set by the partition's host when sequenced; the core has no clock
  std::int64_t time_us;
  char client_id[kClientIdBytes];         // of the new order; empty for cancels and queries
  char target_client_id[kClientIdBytes];  // of the order meant, when order_id is 0
  std::uint8_t kind;
  std::uint8_t side;
  std::uint8_t type;
  std::uint8_t time_in_force;
  std::uint8_t self_trade;
  std::uint8_t flags;
  std::uint16_t reserved0;
  std::uint64_t connection;  // the partition's own, overwritten on receipt
  std::uint64_t reserved1;
};
static_assert(sizeof(Command) == 184);

struct Reply {
  std::uint64_t request_id;
  char symbol[kSymbolBytes];
  std::int64_t order_id;
  std::int64_t account;
  std::int64_t price;                     // ticks
  std::int64_t quantity;                  // lots, original
  std::int64_t executed;                  // lots
  std::int64_t executed_quote;            // ticks * lots
  std::int64_t prevented;                 // lots, by self-trade prevention
  std::int64_t created_us;                // when the order was sequenced
  std::int64_t time_us;                   // of this answer; of a query: the order's last change
  std::uint64_t epoch;                    // of the slot
  std::uint64_t sequence;                 // sym_seq: dense number of the symbol's accepted commands
  char client_id[kClientIdBytes];         // of the order
  char target_client_id[kClientIdBytes];  // as sent
  std::uint16_t code;                     // Code
  std::uint8_t kind;                      // of the command
  std::uint8_t status;                    // OrderStatus
  std::uint8_t side;
  std::uint8_t type;
  std::uint8_t time_in_force;
  std::uint8_t self_trade;
  std::uint8_t end_reason;
  std::uint8_t flags;
  std::uint16_t reserved0;
  std::uint32_t fill_count;  // fills of this command only, as taker
};
static_assert(sizeof(Reply) == 200);

struct Fill {
  std::int64_t trade_id;
  std::int64_t price;
  std::int64_t quantity;
  std::int64_t maker_order_id;
};
static_assert(sizeof(Fill) == 32);

struct DepthHeader {
  std::uint64_t request_id;
  char symbol[kSymbolBytes];
  std::uint64_t update_id;
  std::int64_t last_price;  // ticks; 0 = never traded
  std::uint64_t epoch;
  std::uint16_t code;  // kOk, kUnknownSymbol or kWrongOwner
  std::uint16_t reserved;
  std::uint32_t bid_count;
  std::uint32_t ask_count;
  std::uint32_t reserved1;
};
static_assert(sizeof(DepthHeader) == 64);

struct Level {
  std::int64_t price;
  std::int64_t quantity;
};
static_assert(sizeof(Level) == 16);

}  // namespace trading::wire
