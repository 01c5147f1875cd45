// Replies of partitions to answers of clients.
#include <algorithm>
#include <cstring>

#include "order_entry.hpp"

namespace trading::entry {
namespace {

constexpr std::string_view kNull = "null";

wire::Code code_of(const wire::Reply& reply) noexcept {
  return static_cast<wire::Code>(reply.code);
}
wire::Kind kind_of(const Pending& pending) noexcept {
  return static_cast<wire::Kind>(pending.draft.command.kind);
}

}  // namespace

bool OrderEntry::feed(std::size_t partition, std::string_view bytes, std::int64_t now_us) {
  now_us_ = now_us;
  FrameCutter& cutter = links_[partition].cutter;
  cutter.feed(bytes);
  Frame frame;
  while (cutter.next(frame)) {
    if (frame.type == wire::FrameType::kDepth) {
      on_depth(frame.payload);
      continue;
    }
    if (frame.type != wire::FrameType::kReplies) {
      done_.frames.emplace_back(static_cast<std::uint8_t>(frame.type), frame.payload);
      continue;
    }
    std::string_view rest = frame.payload;
    while (!rest.empty()) {
      wire::Reply reply;
      if (rest.size() < sizeof reply) return false;
      std::memcpy(&reply, rest.data(), sizeof reply);
      const std::size_t fills = reply.fill_count * sizeof(wire::Fill);
      if (rest.size() - sizeof reply < fills) return false;
      on_reply(reply, rest.data() + sizeof reply, now_us);
      rest.remove_prefix(sizeof reply + fills);
    }
  }
  return !cutter.failed();
}

void OrderEntry::on_depth(std::string_view payload) {
  wire::DepthHeader header;
  if (payload.size() < sizeof header) return;
  std::memcpy(&header, payload.data(), sizeof header);
  Pending* pending = commands_.find(header.request_id);
  if (pending == nullptr) return;
  Request* request = requests_.find(pending->request);
  if (request != nullptr) request->body.append(payload);
  finish_command(*pending, Error::kNone, nullptr);
}

void OrderEntry::on_reply(const wire::Reply& reply, const char* fills, std::int64_t now_us) {
  Pending* pending = commands_.find(reply.request_id);
  if (pending == nullptr || pending->state != CommandState::kWritten) return;  // ended before
  Request* request = requests_.find(pending->request);
  if (request == nullptr) return;
  if (code_of(reply) == wire::Code::kWrongOwner) {
    park(*pending, now_us);
    return;
  }
  if (request->sink == Sink::kRaw) {
    const std::size_t bytes = reply.fill_count * sizeof(wire::Fill);
    request->body.append(reinterpret_cast<const char*>(&reply), sizeof reply);
    request->body.append(fills, bytes);
    const bool list = kind_of(*pending) == wire::Kind::kQueryOpen;
    const bool last =
        list ? code_of(reply) != wire::Code::kOk : (reply.flags & wire::flag::kMore) == 0;
    if (last) finish_command(*pending, Error::kNone, nullptr);
    return;
  }
  const Answer answer{reply, fills, *pending->draft.symbol, pending->draft.command.quote_quantity,
                      request->microseconds};
  const bool unknown =
      code_of(reply) == wire::Code::kNoSuchOrder && kind_of(*pending) == wire::Kind::kQueryOrder;
  if (code_of(reply) == wire::Code::kDuplicateSame || unknown) {
    look_up(*pending, reply, now_us);
  } else if (request->shape == Shape::kList) {
    on_list(*pending, *request, answer);
  } else if (request->shape == Shape::kReplace) {
    on_replace(*pending, *request, answer);
  } else {
    finish_command(*pending, error_of_code(reply.code, pending->draft.command.kind), &answer);
  }
}

void OrderEntry::on_list(Pending& pending, Request& request, const Answer& answer) {
  if (code_of(answer.reply) == wire::Code::kEnd) {
    finish_command(pending, Error::kNone, nullptr);
  } else if (code_of(answer.reply) != wire::Code::kOk) {
    finish_command(pending, error_of_code(answer.reply.code, pending.draft.command.kind), nullptr);
  } else {
    if (!request.body.empty()) request.body.push_back(',');
    if (kind_of(pending) == wire::Kind::kCancelAll) {
      append_cancelled(request.body, answer, text_of(answer.reply.client_id));
    } else {
      append_order(request.body, answer);
    }
  }
}

// The first half is kept in request.body as the members of the final object.
void OrderEntry::on_replace(Pending& pending, Request& request, const Answer& answer) {
  const Error error = error_of_code(answer.reply.code, pending.draft.command.kind);
  if ((answer.reply.flags & wire::flag::kCancelledPart) == 0) {
    finish_replace(pending, request, &answer, error);
    return;
  }
  request.cancel_failed = error != Error::kNone;
  if (code_of(answer.reply) == wire::Code::kInvalidReplacement) {
    request.body.append(kNull);  // the new order was at fault: the target was left alone
  } else if (error == Error::kNone) {
    append_cancelled(request.body, answer, text_of(pending.draft.cancel_client_id));
  } else {
    append_failure(request.body, {error, {}});
  }
  if ((answer.reply.flags & wire::flag::kMore) == 0) {
    finish_replace(pending, request, nullptr, error);
  }
}

void OrderEntry::finish_replace(Pending& pending, Request& request, const Answer* answer,
                                Error error) {
  const std::string cancel = std::move(request.body);
  request.body.clear();
  if (cancel.empty()) {  // refused as a whole, before either half
    finish_command(pending, error == Error::kNone ? Error::kUnknownOutcome : error, nullptr);
    return;
  }
  // A new order that was only refused because its target was not there.
  const bool held_back = answer != nullptr && request.cancel_failed && cancel != kNull &&
                         code_of(answer->reply) == wire::Code::kInvalidReplacement;
  const bool attempted = answer != nullptr && !held_back;
  const bool placed = attempted && error == Error::kNone;
  const bool good = placed && !request.cancel_failed;
  const bool none = !placed && request.cancel_failed;
  std::string& out = request.body;
  if (!good) {
    const ErrorRow& found = row(none ? Error::kReplaceFailed : Error::kReplacePartly);
    request.status = found.http;
    out.append("{\"code\":").append(std::to_string(found.code)).append(",\"msg\":\"");
    out.append(found.text).append("\",\"data\":");
  }
  out.append("{\"cancelResult\":\"");
  out.append(cancel == kNull ? "NOT_ATTEMPTED" : request.cancel_failed ? "FAILURE" : "SUCCESS");
  out.append("\",\"newOrderResult\":\"");
  out.append(placed ? "SUCCESS" : attempted ? "FAILURE" : "NOT_ATTEMPTED");
  out.append("\",\"cancelResponse\":").append(cancel).append(",\"newOrderResponse\":");
  if (placed) {
    append_placed(out, *answer, pending.draft.response);
  } else if (attempted) {
    append_failure(out, {error, {}});
  } else {
    out.append(kNull);
  }
  out.push_back('}');
  if (!good) out.push_back('}');
  end_command(pending, request);
}

// Ends a command with its answer, or without one (`answer` null) as an error or an end of a list.
void OrderEntry::finish_command(Pending& pending, Error error, const Answer* answer) {
  Request* request = requests_.find(pending.request);
  if (request == nullptr) {
    leave(pending);
    commands_.release(pending);
    return;
  }
  std::string& out = request->body;
  const std::size_t start = out.size();
  if (error != Error::kNone) {
    if (request->shape == Shape::kItems) {
      load_.count_failure(row(error).http);
      append_failure(out, {error, {}});
    } else {
      // One failure ends a list as a whole: half a list would look like all of it.
      const std::uint64_t id = request->id;
      fail(*request, {error, {}});
      if (Request* found = requests_.find(id); found != nullptr) finish(*found);
      return;
    }
  } else if (answer != nullptr) {
    switch (kind_of(pending)) {
      case wire::Kind::kPlace:
        append_placed(out, *answer, pending.draft.response);
        break;
      case wire::Kind::kCancel:
        append_cancelled(out, *answer, text_of(pending.draft.cancel_client_id));
        break;
      case wire::Kind::kAmend:
        append_amended(out, *answer);
        break;
      default:
        append_order(out, *answer);
        break;
    }
  }
  if (request->shape == Shape::kItems) {
    request->items[pending.item] = {start, out.size() - start};
  }
  end_command(pending, *request);
}

void OrderEntry::end_command(Pending& pending, Request& request) {
  leave(pending);
  commands_.release(pending);
  if (--request.remaining == 0) finish(request);
}

void OrderEntry::look_up(Pending& pending, const wire::Reply& reply, std::int64_t now_us) {
  leave(pending);
  pending.state = CommandState::kLookup;
  pending.since_us = now_us;
  const wire::Command& command = pending.draft.command;
  Lookup lookup;
  lookup.command = pending.id;
  lookup.first_answer = code_of(reply) == wire::Code::kDuplicateSame;
  lookup.symbol = text_of(command.symbol);
  lookup.account = command.account;
  if (lookup.first_answer) {
    lookup.order_id = reply.order_id;
    if (kind_of(pending) == wire::Kind::kCancelReplace) {
      lookup.cancelled_id = command.order_id;
      lookup.cancelled_client_id = text_of(command.target_client_id);
    }
  } else {
    // The partition may know the number of an order that was asked for by name.
    lookup.order_id = reply.order_id > 0 ? reply.order_id : command.order_id;
    lookup.client_id = text_of(command.target_client_id);
  }
  done_.lookups.push_back(std::move(lookup));
}

void OrderEntry::resolve(std::uint64_t command, std::string_view record,
                         std::string_view cancelled) {
  Pending* pending = commands_.find(command);
  if (pending == nullptr || pending->state != CommandState::kLookup) return;
  Request* request = requests_.find(pending->request);
  const auto accept = [&](std::string_view bytes, std::uint8_t flags) {
    wire::Reply reply;
    if (bytes.size() < sizeof reply) return;
    std::memcpy(&reply, bytes.data(), sizeof reply);
    const std::size_t room = (bytes.size() - sizeof reply) / sizeof(wire::Fill);
    if (reply.fill_count > room) reply.fill_count = static_cast<std::uint32_t>(room);
    const std::string_view named = text_of(pending->draft.command.target_client_id);
    if (kind_of(*pending) == wire::Kind::kQueryOrder && !named.empty() &&
        named != text_of(reply.client_id)) {
      finish_command(*pending, Error::kNoSuchOrder, nullptr);  // id and name are of two orders
      return;
    }
    reply.code = static_cast<std::uint16_t>(wire::Code::kOk);
    reply.flags = flags;
    const Answer answer{reply, bytes.data() + sizeof reply, *pending->draft.symbol,
                        pending->draft.command.quote_quantity, request->microseconds};
    if (request->shape == Shape::kReplace) {
      on_replace(*pending, *request, answer);
    } else {
      finish_command(*pending, Error::kNone, &answer);
    }
  };
  if (request == nullptr || record.size() < sizeof(wire::Reply)) {
    // A first answer that is not found is one we cannot tell: the engine has just named it.
    const bool query = kind_of(*pending) == wire::Kind::kQueryOrder;
    finish_command(*pending, query ? Error::kNoSuchOrder : Error::kUnknownOutcome, nullptr);
    return;
  }
  if (request->shape == Shape::kReplace) {
    if (cancelled.size() < sizeof(wire::Reply)) {
      request->cancel_failed = true;
      append_failure(request->body, {Error::kUnknownOrder, {}});
    } else {
      accept(cancelled, wire::flag::kCancelledPart | wire::flag::kMore);
    }
  }
  accept(record, 0);
}

void OrderEntry::resolve_failed(std::uint64_t command) {
  Pending* pending = commands_.find(command);
  if (pending == nullptr || pending->state != CommandState::kLookup) return;
  finish_command(*pending, open_outcome(*pending), nullptr);
}

void OrderEntry::append_body(std::string& out, const Request& request) const {
  if (request.shape == Shape::kItems) {
    char before = '[';
    for (const Span& item : request.items) {
      out.push_back(before);
      out.append(request.body, item.begin, item.bytes);
      before = ',';
    }
    out.push_back(']');
  } else if (request.shape == Shape::kList) {
    out.append("[").append(request.body).append("]");
  } else {
    out.append(request.body);
  }
}

void OrderEntry::count(const Request& request) noexcept {
  if (request.sink == Sink::kRaw) return;  // of the replica itself
  if (request.sink == Sink::kStream) ++load_.stream_requests;
  if (request.status != 200) load_.count_failure(request.status);
  if (request.begun_us != 0) {
    const std::size_t commands = request.commands.size();  // 0: it failed as a whole
    load_.count_orders(std::max<std::size_t>(1, commands),
                       std::max<std::int64_t>(0, now_us_ - request.begun_us));
  }
}

void OrderEntry::finish(Request& request) {
  if (request.action == Action::kCancelAll && request.shape == Shape::kList &&
      request.body.empty() && request.sink != Sink::kRaw) {
    fail(request, {Error::kUnknownOrder, {}});
  }
  count(request);
  if (request.sink == Sink::kStream) {
    if (stream_sink_ != nullptr) stream_sink_->answer(request);
  } else if (request.sink == Sink::kRaw) {
    // The first byte tells records (0) from an error as JSON (1).
    done_.answers.emplace_back(request.id, (request.status == 200 ? '\0' : '\1') + request.body);
  } else {
    std::size_t bytes = request.body.size();
    if (request.shape == Shape::kItems) {
      bytes = 1 + request.items.size();
      for (const Span& item : request.items) bytes += item.bytes;
    } else if (request.shape == Shape::kList) {
      bytes += 2;
    }
    std::string out;
    out.reserve(bytes + 384);
    append_head(out, request.status,
                request.sink == Sink::kLane ? std::string_view(common_headers_) : "", request.rates,
                request.retry_after_seconds, bytes);
    append_body(out, request);
    done_.answers.emplace_back(request.id, std::move(out));
  }
  requests_.release(request);
}

}  // namespace trading::entry
