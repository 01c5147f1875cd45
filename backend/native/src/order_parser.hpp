// From parameters to commands: what each kind of request takes, and every refusal by name.
#pragma once

#include <cstdint>
#include <string_view>
#include <trading/wire.hpp>

#include "failure.hpp"
#include "parameters.hpp"
#include "symbols.hpp"

namespace trading::entry {

enum class Action : std::uint8_t {
  kNone,
  kPlace,
  kTest,
  kCancel,
  kCancelReplace,
  kAmend,
  kCancelAll,
  kQueryOrder,
  kQueryOpen,
  kBatch,
};

enum class ResponseType : std::uint8_t { kAck, kResult, kFull };

// One order request, understood. `client_id` of a cancel lives here: the engine does not need it.
struct Draft {
  wire::Command command;
  const Symbol* symbol = nullptr;
  ResponseType response = ResponseType::kFull;
  char cancel_client_id[wire::kClientIdBytes] = {};
};

// Makes client order ids: unique over all replicas by a random prefix, over time by a counter.
class ClientIds {
 public:
  ClientIds();
  void next(char (&id)[wire::kClientIdBytes]) noexcept;

 private:
  char prefix_[12];
  std::uint64_t counter_ = 0;
};

// The parameters that an action takes, without those of the signature.
ParamSet allowed_of(Action action) noexcept;
// Parameters of authentication, taken by every signed request.
inline constexpr ParamSet kSignedParams =
    set_of(Param::kRecvWindow, Param::kSignature, Param::kTimestamp);

// A strict count: digits only, fits in int64, else kIllegalInteger.
Failure parse_count(const Fields& fields, Param param, std::int64_t& value) noexcept;

class OrderParser {
 public:
  explicit OrderParser(const SymbolTable& symbols) : symbols_(symbols) {}
  // Fills `draft` for one command of `action` (not kBatch). kQueryOpen without a symbol leaves
  // draft.symbol null: all symbols.
  Failure parse(Action action, const Fields& fields, std::int64_t account, Draft& draft);

 private:
  Failure place(const Fields& fields, Draft& draft);
  Failure quantities(const Fields& fields, Draft& draft) const;
  Failure price(const Fields& fields, Draft& draft) const;
  Failure target(const Fields& fields, Param id, Param client_id, Draft& draft) const;
  Failure client_id(const Fields& fields, Param param, char (&id)[wire::kClientIdBytes]);
  Failure cancel_replace(const Fields& fields, Draft& draft);
  Failure amend(const Fields& fields, Draft& draft) const;

  const SymbolTable& symbols_;
  ClientIds ids_;
};

}  // namespace trading::entry
