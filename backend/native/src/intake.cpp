// Intake: from a request's bytes to staged commands, or to a failure that is rendered already.
#include <algorithm>
#include <cstring>

#include "json.hpp"
#include "order_entry.hpp"

namespace trading::entry {
namespace {

constexpr std::int64_t kRecvWindowMs = 5000;
constexpr std::int64_t kRecvWindowMsMax = 60'000;
constexpr std::int64_t kAheadMs = 1000;
constexpr std::int64_t kMicrosecondStamps = 1'000'000'000'000'000;  // larger: in microseconds

constexpr std::uint8_t scopes_of(Action action) noexcept {
  return action == Action::kQueryOrder || action == Action::kQueryOpen ? scope::kRead
                                                                       : scope::kTrade;
}

bool is_json(std::string_view type) noexcept {
  return type.starts_with("application/json");
}
bool is_lines(std::string_view type) noexcept {
  return type.starts_with("application/x-ndjson");
}

// Cuts `signature=..` off the end. False: it is not there.
bool cut_signature(std::string_view& text, std::string_view& signature) noexcept {
  constexpr std::string_view kName = "signature=";
  const std::size_t start = text.rfind(kName);
  if (start == std::string_view::npos || (start != 0 && text[start - 1] != '&')) return false;
  signature = text.substr(start + kName.size());
  if (signature.find('&') != std::string_view::npos) return false;
  text = text.substr(0, start == 0 ? 0 : start - 1);
  return true;
}

}  // namespace

Failure OrderEntry::check_key(const ApiKey* key, std::uint8_t scopes) const noexcept {
  return key != nullptr && (key->scopes & scopes) == scopes ? Failure{}
                                                            : Failure{Error::kKeyRejected, {}};
}

Failure OrderEntry::check_signature(const HttpRequest& request, const ApiKey& key) const noexcept {
  std::string_view query = request.query;
  std::string_view body = request.body;
  std::string_view signature;
  if (!cut_signature(body, signature) && !cut_signature(query, signature)) {
    return {Error::kSignature, {}};
  }
  return key.hmac.verify(query, body, signature) ? Failure{} : Failure{Error::kSignature, {}};
}

Failure OrderEntry::check_time(const Fields& fields, bool required, std::int64_t now_us,
                               std::int64_t& expires_us) const noexcept {
  std::int64_t window_ms = kRecvWindowMs;
  if (fields.has(Param::kRecvWindow)) {
    if (const Failure f = parse_count(fields, Param::kRecvWindow, window_ms)) return f;
    if (window_ms > kRecvWindowMsMax) return {Error::kRecvWindow, {}};
  }
  std::int64_t sent_us = now_us;
  if (fields.has(Param::kTimestamp)) {
    if (const Failure f = parse_count(fields, Param::kTimestamp, sent_us)) return f;
    if (sent_us < kMicrosecondStamps) sent_us *= 1000;
  } else if (required) {
    return {Error::kMissingParameter, "timestamp"};
  }
  if (sent_us >= now_us + kAheadMs * 1000) return {Error::kTimestampAhead, {}};
  if (now_us - sent_us > window_ms * 1000) return {Error::kTimestampOutside, {}};
  // Nothing may be sequenced after this replica has answered "unknown" for it.
  expires_us = std::min(sent_us + window_ms * 1000, now_us + limits_.deadline_us);
  return {};
}

Failure OrderEntry::authenticate(const HttpRequest& request, std::int64_t now_us, Caller& caller) {
  if (request.api_key.empty()) return {Error::kKeyFormat, {}};
  const ApiKey* key = keys_.find(request.api_key);
  if (const Failure f = check_key(key, scopes_of(request.action))) return f;
  if (!fields_.has(Param::kSignature)) return {Error::kMissingParameter, "signature"};
  if (const Failure f = check_signature(request, *key)) return f;
  if (const Failure f = check_time(fields_, true, now_us, caller.expires_us)) return f;
  caller.account = key->account;
  return {};
}

Request& OrderEntry::new_request(Sink sink) {
  Request& request = requests_.take();
  request.reset();
  request.sink = sink;
  return request;
}

void OrderEntry::fail(Request& request, const Failure& failure) {
  for (const std::uint64_t id : request.commands) {
    if (Pending* pending = commands_.find(id); pending != nullptr) {
      leave(*pending);
      commands_.release(*pending);
    }
  }
  request.commands.clear();
  request.items.clear();
  request.body.clear();
  request.shape = Shape::kSingle;
  request.remaining = request.orders = 0;
  request.status = row(failure.error).http;
  if (failure.error == Error::kBusy) request.retry_after_seconds = 1;
  append_failure(request.body, failure);
}

Begun OrderEntry::begin_http(std::string_view data, std::int64_t now_us) {
  HttpRequest http;
  const Head head = read_http(data, limits_.body_bytes_max, http);
  if (head.state != HeadState::kComplete) return {head.state, head.bytes, nullptr};
  return {head.state, head.bytes, &begin(http, Sink::kLane, now_us)};
}

Request& OrderEntry::begin(const HttpRequest& http, Sink sink, std::int64_t now_us) {
  Request& request = new_request(sink);
  request.action = http.action;
  request.microseconds = http.microseconds;
  fields_.clear();
  decoded_.clear();
  decoded_.reserve(http.query.size() + http.body.size());
  const bool json = is_json(http.content_type) || is_lines(http.content_type);
  Caller caller;
  Failure failure = read_form(http.query, fields_, decoded_);
  if (!failure && json && http.action != Action::kBatch) {
    failure = {Error::kInvalidParameter, "content-type"};
  }
  if (!failure && !json) failure = read_form(http.body, fields_, decoded_);
  if (!failure) failure = authenticate(http, now_us, caller);
  if (caller.account >= 0) request.account = caller.account;
  if (!failure) failure = fields_.only(allowed_of(http.action) | kSignedParams);
  if (failure) {
    fail(request, failure);
  } else if (http.action != Action::kBatch) {
    stage(request, http.action, fields_, caller);
  } else if (json == fields_.has(Param::kBatchOrders)) {
    fail(request, {json ? Error::kNotRequired : Error::kMissingParameter, "batchOrders"});
  } else {
    stage_items(request, json ? http.body : fields_.get(Param::kBatchOrders),
                is_lines(http.content_type), caller);
  }
  return request;
}

Request& OrderEntry::begin_query(const wire::Command& command, int partition, std::int64_t now_us) {
  Request& request = new_request(Sink::kRaw);
  Pending& pending = commands_.take();
  pending.request = request.id;
  pending.draft.command = command;
  pending.draft.command.expires_us = now_us + limits_.deadline_us;
  pending.draft.symbol = symbols_.find(text_of(command.symbol));
  pending.partition = partition;
  pending.state = CommandState::kStaged;
  pending.lost_us = 0;
  request.commands.push_back(pending.id);
  request.remaining = 1;
  return request;
}

void OrderEntry::stage(Request& request, Action action, const Fields& fields,
                       const Caller& caller) {
  request.account = caller.account;
  request.action = action;
  Pending& pending = commands_.take();
  const Failure failure = parser_.parse(action, fields, caller.account, pending.draft);
  if (failure || action == Action::kTest) {
    commands_.release(pending);
    if (failure) {
      fail(request, failure);
    } else {
      request.body = "{}";
    }
    return;
  }
  if (pending.draft.symbol == nullptr) {
    commands_.release(pending);
    stage_all_symbols(request, caller);
    return;
  }
  pending.draft.command.expires_us = caller.expires_us;
  pending.request = request.id;
  pending.item = 0;
  pending.state = CommandState::kStaged;
  pending.lost_us = 0;
  request.commands.push_back(pending.id);
  request.remaining = 1;
  request.orders = action == Action::kPlace || action == Action::kCancelReplace ? 1 : 0;
  if (action == Action::kCancelAll || action == Action::kQueryOpen) request.shape = Shape::kList;
  if (action == Action::kCancelReplace) request.shape = Shape::kReplace;
}

void OrderEntry::stage_all_symbols(Request& request, const Caller& caller) {
  request.shape = Shape::kList;
  for (const Symbol& symbol : symbols_.all()) {
    if (!symbol.listed) continue;
    Pending& pending = commands_.take();
    pending.draft = Draft{};
    wire::Command& command = pending.draft.command;
    std::memset(&command, 0, sizeof command);
    command.kind = static_cast<std::uint8_t>(wire::Kind::kQueryOpen);
    command.account = caller.account;
    command.expires_us = caller.expires_us;
    std::memcpy(command.symbol, symbol.name.data(), symbol.name.size());
    pending.draft.symbol = &symbol;
    pending.request = request.id;
    pending.state = CommandState::kStaged;
    pending.lost_us = 0;
    request.commands.push_back(pending.id);
    ++request.remaining;
  }
}

void OrderEntry::stage_item(Request& request, Failure failure, const Caller& caller) {
  const auto item = static_cast<std::uint32_t>(request.items.size());
  request.items.emplace_back();
  if (!failure) failure = fields_.only(allowed_of(Action::kPlace));
  if (!failure) {
    Pending& pending = commands_.take();
    failure = parser_.parse(Action::kPlace, fields_, caller.account, pending.draft);
    if (!failure) {
      pending.draft.command.expires_us = caller.expires_us;
      pending.request = request.id;
      pending.item = item;
      pending.state = CommandState::kStaged;
      pending.lost_us = 0;
      request.commands.push_back(pending.id);
      ++request.remaining;
      ++request.orders;
      return;
    }
    commands_.release(pending);
  }
  const std::size_t start = request.body.size();
  append_failure(request.body, failure);
  request.items[item] = {start, request.body.size() - start};
}

void OrderEntry::stage_items(Request& request, std::string_view text, bool lines,
                             const Caller& caller) {
  request.account = caller.account;
  request.shape = Shape::kItems;
  unescaped_.clear();
  unescaped_.reserve(text.size());
  JsonReader reader(text, unescaped_);
  if (!lines) reader.enter('[');
  bool first = true;
  while (lines ? !reader.failed() && !reader.at_end() : reader.element(first)) {
    if (request.items.size() == limits_.batch_orders_max) {
      fail(request, {Error::kInvalidParameter, "batchOrders"});
      return;
    }
    first = false;
    fields_.clear();
    Failure failure;
    std::string_view key;
    JsonValue value;
    if (!reader.enter('{')) break;
    for (bool opening = true; reader.member(opening, key); opening = false) {
      if (!reader.value(value)) break;
      if (failure) continue;
      if (value.type == JsonType::kObject || value.type == JsonType::kArray) {
        failure = {Error::kInvalidParameter, key};
      } else {
        failure = fields_.add(key, value.type == JsonType::kNull ? std::string_view{} : value.text);
      }
    }
    if (reader.failed()) break;
    stage_item(request, failure, caller);
  }
  if (reader.failed() || !reader.at_end()) {
    fail(request, {Error::kMalformedJson, "batchOrders"});
  } else if (request.items.empty()) {
    fail(request, {Error::kEmptyParameter, "batchOrders"});
  }
}

}  // namespace trading::entry
