// Who speaks on a stream: session.logon, or a signature on each request; and what is handed over.
#include "streams.hpp"

namespace trading::entry {

Failure Streams::check_signed(const Message& message, std::uint8_t scopes, std::int64_t now_us,
                              Caller& caller) {
  const Fields& fields = message.fields;
  if (!fields.has(Param::kApiKey)) return {Error::kKeyFormat, {}};
  const ApiKey* key = entry_.keys().find(fields.get(Param::kApiKey));
  if (const Failure f = entry_.check_key(key, scopes)) return f;
  if (!fields.has(Param::kSignature)) return {Error::kMissingParameter, "signature"};
  payload_.clear();
  for (std::size_t i = 0; i < kParamCount; ++i) {
    const auto param = static_cast<Param>(i);
    if (param == Param::kSignature || !fields.has(param)) continue;
    if (!payload_.empty()) payload_.push_back('&');
    payload_.append(name_of(param)).append("=").append(fields.get(param));
  }
  if (!key->hmac.verify(payload_, {}, fields.get(Param::kSignature))) {
    return {Error::kSignature, {}};
  }
  if (const Failure f = entry_.check_time(fields, true, now_us, caller.expires_us)) return f;
  caller.account = key->account;
  return {};
}

Failure Streams::authenticate(Stream& stream, const Message& message, std::uint8_t scopes,
                              std::int64_t now_us, Caller& caller) {
  const Fields& fields = message.fields;
  if (fields.has(Param::kApiKey) || fields.has(Param::kSignature)) {
    return check_signed(message, scopes, now_us, caller);
  }
  if (stream.session_key.empty()) return {Error::kNotLoggedOn, {}};
  // Looked up each time: a revoked key ends the session's rights at once.
  const ApiKey* key = entry_.keys().find(stream.session_key);
  if (const Failure f = entry_.check_key(key, scopes)) return f;
  if (const Failure f = entry_.check_time(fields, false, now_us, caller.expires_us)) return f;
  caller.account = key->account;
  return {};
}

Failure Streams::logon(Stream& stream, const Message& message, std::int64_t now_us) {
  Caller caller;
  if (const Failure f = check_signed(message, 0, now_us, caller)) return f;
  constexpr ParamSet kAllowed = kSignedParams | set_of(Param::kApiKey, Param::kReturnRateLimits);
  if (const Failure f = message.fields.only(kAllowed)) return f;
  stream.session_key = message.fields.get(Param::kApiKey);
  stream.authorized_us = now_us;
  if (message.fields.has(Param::kReturnRateLimits)) {
    stream.rate_limits = message.fields.get(Param::kReturnRateLimits) == "true";
  }
  return {};
}

void Streams::session(Stream& stream, const Message& message, std::int64_t now_us) {
  Failure failure;
  if (message.method == "session.logon") {
    failure = logon(stream, message, now_us);
  } else if (message.method == "session.logout") {
    stream.session_key.clear();
  } else if (message.method != "session.status") {
    failure = {Error::kUnsupported, {}};
  }
  if (failure) {
    reply_failure(stream, message, failure);
    return;
  }
  const bool on = !stream.session_key.empty();
  scratch_ = "{\"apiKey\":";
  if (on) {
    scratch_.append("\"");
    append_escaped(scratch_, stream.session_key);
    scratch_.append("\"");
  } else {
    scratch_.append("null");
  }
  scratch_.append(",\"authorizedSince\":");
  if (on) {
    append_integer(scratch_, stream.authorized_us / 1000);
  } else {
    scratch_.append("null");
  }
  scratch_.append(",\"connectedSince\":");
  append_integer(scratch_, stream.connected_us / 1000);
  scratch_.append(",\"returnRateLimits\":").append(stream.rate_limits ? "true" : "false");
  scratch_.append(",\"serverTime\":");
  append_integer(scratch_, now_us / 1000);
  scratch_.append("}");
  reply(stream, message.id, 200, scratch_, stream.rate_limits, stream.rates);
}

void Streams::hand_over(Stream& stream, const Message& message, std::int64_t now_us) {
  Caller caller;
  // A subscription is ended by the stream that began it: no rights are needed for that.
  const bool ends = message.method.ends_with(".unsubscribe");
  const Failure failure =
      ends ? Failure{} : authenticate(stream, message, scope::kRead, now_us, caller);
  if (failure) {
    reply_failure(stream, message, failure);
    return;
  }
  stream.events.push_back({std::string(message.method), std::string(message.id), caller.account,
                           std::string(message.params)});
}

}  // namespace trading::entry
