#include "streams.hpp"

#include <algorithm>

namespace trading::entry {
namespace {

constexpr std::size_t kIdBytesMax = 64;

struct Method {
  std::string_view name;
  Action action;
};
constexpr Method kMethods[] = {
    {"order.place", Action::kPlace},
    {"order.cancel", Action::kCancel},
    {"orders.place", Action::kBatch},
    {"order.test", Action::kTest},
    {"order.cancelReplace", Action::kCancelReplace},
    {"order.amend.keepPriority", Action::kAmend},
    {"order.status", Action::kQueryOrder},
    {"openOrders.status", Action::kQueryOpen},
    {"openOrders.cancelAll", Action::kCancelAll},
};

Action action_of_method(std::string_view name) noexcept {
  for (const Method& method : kMethods) {
    if (method.name == name) return method.action;
  }
  return Action::kNone;
}

// An id is echoed as it was sent, so only what is safe to echo is taken.
bool good_id(const JsonValue& value, std::string_view raw) noexcept {
  if (value.type == JsonType::kNull) return true;
  if (raw.size() > kIdBytesMax) return false;
  if (value.type == JsonType::kNumber) {
    return value.text.find_first_not_of("-0123456789") == std::string_view::npos;
  }
  return value.type == JsonType::kString &&
         std::all_of(value.text.begin(), value.text.end(),
                     [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

}  // namespace

std::uint64_t Streams::open(bool rate_limits, std::int64_t now_us) {
  auto stream = std::make_unique<Stream>(++last_id_, entry_.limits().body_bytes_max, now_us);
  stream->rate_limits = rate_limits;
  streams_.emplace(last_id_, std::move(stream));
  return last_id_;
}

void Streams::close(std::uint64_t id) {
  Stream* stream = find(id);
  if (stream == nullptr) return;
  for (const std::uint64_t staged : stream->staged) {
    if (Request* request = entry_.find(staged); request != nullptr) entry_.forget(*request);
  }
  streams_.erase(id);
}

Stream* Streams::find(std::uint64_t id) noexcept {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

void Streams::shut(Stream& stream, std::uint16_t code, std::string_view reason) {
  append_close(stream.out, code, reason);
  stream.closing = true;
}

// Who sends a little too much is told so, message by message; who does not care is closed.
Error Streams::count_message(Stream& stream, std::int64_t now_us) {
  constexpr std::uint32_t kInsistent = 2;
  constexpr std::int64_t kSecondUs = 1'000'000;
  const std::uint32_t most = entry_.limits().stream_messages_1s;
  if (most == 0) return Error::kNone;
  if (const std::int64_t second = now_us / kSecondUs; second != stream.second) {
    stream.second = second;
    stream.messages = 0;
  }
  if (++stream.messages <= most) return Error::kNone;
  if (stream.messages / kInsistent > most) {
    shut(stream, close_code::kPolicy, "more than " + std::to_string(most) + " messages a second");
  }
  return Error::kTooMuchWeight;
}

void Streams::receive(Stream& stream, std::string_view bytes, std::int64_t now_us) {
  stream.reader.feed(bytes);
  std::string_view payload;
  while (!stream.closing) {
    switch (stream.reader.next(payload)) {
      case FrameEvent::kNeedMore:
        return;
      case FrameEvent::kText:
        message(stream, payload, now_us);
        break;
      case FrameEvent::kPing:
        if (count_message(stream, now_us) == Error::kNone) {
          append_frame(stream.out, Opcode::kPong, payload);
        }
        break;
      case FrameEvent::kPong:
        count_message(stream, now_us);
        break;
      case FrameEvent::kClose:
        shut(stream, close_code::kNormal, "");
        break;
      case FrameEvent::kFault:
        switch (stream.reader.fault()) {
          case close_code::kTooLarge:
            shut(stream, close_code::kTooLarge, "message larger than limits.bodyBytesMax");
            break;
          case close_code::kUnsupported:
            shut(stream, close_code::kUnsupported, "text frames only");
            break;
          case close_code::kInvalidText:
            shut(stream, close_code::kInvalidText, "text is not UTF-8");
            break;
          default:
            shut(stream, close_code::kProtocolError, "not a frame of a client");
            break;
        }
        break;
    }
  }
}

Failure Streams::read_params(JsonReader& reader, Message& message) {
  std::string_view key;
  JsonValue value;
  for (bool first = true; reader.member(first, key); first = false) {
    if (!reader.value(value)) break;
    if (message.failure) continue;
    if (value.type == JsonType::kArray && key == "orders") {
      message.orders = value.text;
      message.failure = message.fields.add(key, value.text);
    } else if (value.type == JsonType::kObject || value.type == JsonType::kArray) {
      message.failure = {Error::kInvalidParameter, key};
    } else {
      message.failure =
          message.fields.add(key, value.type == JsonType::kNull ? std::string_view{} : value.text);
    }
  }
  return reader.failed() ? Failure{Error::kMalformedJson, "params"} : Failure{};
}

Failure Streams::read(std::string_view text, Message& message) {
  unescaped_.clear();
  unescaped_.reserve(2 * text.size());
  JsonReader reader(text, unescaped_);
  std::string_view key;
  JsonValue value;
  const Failure malformed{Error::kMalformedJson, "request"};
  if (!reader.enter('{')) return malformed;
  for (bool first = true; reader.member(first, key); first = false) {
    if (!reader.value(value)) break;
    if (key == "id") {
      const bool quoted = value.type == JsonType::kString;
      // Raw text with its quotes, which stand just outside of an unescaped content.
      const bool inside = value.text.data() >= text.data() &&
                          value.text.data() + value.text.size() < text.data() + text.size();
      if ((quoted && !inside) || !good_id(value, value.text)) {
        return {Error::kInvalidParameter, "id"};
      }
      message.id =
          quoted ? std::string_view(value.text.data() - 1, value.text.size() + 2) : value.text;
    } else if (key == "method" && value.type == JsonType::kString) {
      message.method = value.text;
    } else if (key == "params" && value.type == JsonType::kObject) {
      message.params = value.text;
    } else if (key == "method" || key == "params") {
      message.failure = {Error::kInvalidParameter, key};
    } else {
      message.failure = {Error::kUnknownParameter, key};
    }
  }
  if (reader.failed() || !reader.at_end()) {
    message.id = "null";
    return malformed;
  }
  JsonReader params(message.params, unescaped_);
  params.enter('{');
  return message.failure ? Failure{} : read_params(params, message);
}

void Streams::message(Stream& stream, std::string_view text, std::int64_t now_us) {
  Message message;
  const Error excess = count_message(stream, now_us);
  if (stream.closing) return;
  Failure failure = read(text, message);
  if (!failure && excess != Error::kNone) failure = {excess, {}};
  if (!failure) failure = message.failure;
  if (failure) {
    reply_failure(stream, message, failure);
  } else {
    dispatch(stream, message, now_us);
  }
}

void Streams::dispatch(Stream& stream, Message& message, std::int64_t now_us) {
  const Action action = action_of_method(message.method);
  if (action != Action::kNone) {
    order(stream, message, action, now_us);
  } else if (message.method == "ping") {
    reply(stream, message.id, 200, "{}", stream.rate_limits, stream.rates);
  } else if (message.method == "time") {
    scratch_ = "{\"serverTime\":";
    append_integer(scratch_, now_us / 1000);
    scratch_.push_back('}');
    reply(stream, message.id, 200, scratch_, stream.rate_limits, stream.rates);
  } else if (message.method.starts_with("session.")) {
    session(stream, message, now_us);
  } else if (message.method.starts_with("userDataStream.")) {
    hand_over(stream, message, now_us);
  } else if (message.method.empty()) {
    reply_failure(stream, message, {Error::kMissingParameter, "method"});
  } else {
    reply_failure(stream, message, {Error::kUnsupported, {}});
  }
}

void Streams::order(Stream& stream, Message& message, Action action, std::int64_t now_us) {
  const bool query = action == Action::kQueryOrder || action == Action::kQueryOpen;
  Caller caller;
  Failure failure =
      authenticate(stream, message, query ? scope::kRead : scope::kTrade, now_us, caller);
  constexpr ParamSet kEnvelope = kSignedParams | set_of(Param::kApiKey, Param::kReturnRateLimits);
  const ParamSet own = action == Action::kBatch ? bit(Param::kOrders) : allowed_of(action);
  if (!failure) failure = message.fields.only(own | kEnvelope);
  if (!failure && action == Action::kBatch && message.orders.empty()) {
    failure = {Error::kMissingParameter, "orders"};
  }
  if (failure) {
    reply_failure(stream, message, failure);
    return;
  }
  Request& request = entry_.new_request(Sink::kStream);
  request.stream = stream.id;
  request.id_text = message.id;
  request.rate_limits = stream.rate_limits;
  if (message.fields.has(Param::kReturnRateLimits)) {
    request.rate_limits = message.fields.get(Param::kReturnRateLimits) == "true";
  }
  if (action == Action::kBatch) {
    entry_.stage_items(request, message.orders, false, caller);
  } else {
    entry_.stage(request, action, message.fields, caller);
  }
  stream.staged.push_back(request.id);
}

void Streams::append_rate_limits(std::string& out, const Rates& rates) const {
  const EntryLimits& limits = entry_.limits();
  const auto put = [&out](std::string_view type, std::string_view interval, int number,
                          std::int64_t limit, std::int64_t count) {
    if (limit <= 0 || count < 0) return;
    if (out.back() != '[') out.push_back(',');
    out.append("{\"rateLimitType\":\"").append(type).append("\",\"interval\":\"");
    out.append(interval).append("\",\"intervalNum\":").append(std::to_string(number));
    out.append(",\"limit\":").append(std::to_string(limit));
    out.append(",\"count\":").append(std::to_string(count)).append("}");
  };
  out.append(",\"rateLimits\":[");
  put("ORDERS", "SECOND", 10, limits.orders_10s, rates.orders_10s);
  put("ORDERS", "DAY", 1, limits.orders_1d, rates.orders_1d);
  put("REQUEST_WEIGHT", "MINUTE", 1, limits.weight_1m, rates.weight_1m);
  out.append("]");
}

void Streams::reply(Stream& stream, std::string_view id, int status, std::string_view body,
                    bool rate_limits, const Rates& rates) {
  payload_.assign("{\"id\":").append(id).append(",\"status\":");
  append_integer(payload_, status);
  payload_.append(status == 200 ? ",\"result\":" : ",\"error\":").append(body);
  if (rate_limits) append_rate_limits(payload_, rates);
  payload_.push_back('}');
  append_frame(stream.out, Opcode::kText, payload_);
}

void Streams::reply_failure(Stream& stream, const Message& message, const Failure& failure) {
  scratch_.clear();
  append_failure(scratch_, failure);
  reply(stream, message.id, row(failure.error).http, scratch_, stream.rate_limits, stream.rates);
}

std::vector<Run> Streams::runs(const Stream& stream) {
  std::vector<Run> found;
  for (const std::uint64_t id : stream.staged) {
    const Request* request = entry_.find(id);
    if (request == nullptr) continue;
    if (found.empty() || found.back().account != request->account) {
      found.push_back({request->account, 0, 0});
    }
    ++found.back().requests;
    found.back().orders += request->orders;
  }
  return found;
}

void Streams::submit(Stream& stream, std::size_t count, const Rates& rates, std::int64_t now_us) {
  stream.rates = rates;
  count = std::min(count, stream.staged.size());
  const auto past = stream.staged.begin() + static_cast<std::ptrdiff_t>(count);
  const std::vector<std::uint64_t> taken(stream.staged.begin(), past);
  stream.staged.erase(stream.staged.begin(), past);
  stream.in_flight += taken.size();
  for (const std::uint64_t id : taken) {
    if (Request* request = entry_.find(id); request != nullptr) {
      entry_.submit(*request, rates, now_us);
    }
  }
}

void Streams::refuse(Stream& stream, std::size_t count, Error error, const Rates& rates,
                     std::int64_t retry_after_seconds) {
  stream.rates = rates;
  count = std::min(count, stream.staged.size());
  const auto past = stream.staged.begin() + static_cast<std::ptrdiff_t>(count);
  const std::vector<std::uint64_t> taken(stream.staged.begin(), past);
  stream.staged.erase(stream.staged.begin(), past);
  stream.in_flight += taken.size();
  for (const std::uint64_t id : taken) {
    if (Request* request = entry_.find(id); request != nullptr) {
      entry_.refuse(*request, error, rates, retry_after_seconds);
    }
  }
}

void Streams::answer(Request& request) {
  Stream* stream = find(request.stream);
  if (stream == nullptr) return;  // the client went away
  if (stream->in_flight > 0) --stream->in_flight;
  std::string_view body = request.body;
  if (request.shape == Shape::kItems || request.shape == Shape::kList) {
    scratch_.clear();
    entry_.append_body(scratch_, request);
    body = scratch_;
  }
  reply(*stream, request.id_text, request.status, body, request.rate_limits, request.rates);
  if (!stream->dirty) {
    stream->dirty = true;
    entry_.done().streams.push_back(stream->id);
  }
}

}  // namespace trading::entry
