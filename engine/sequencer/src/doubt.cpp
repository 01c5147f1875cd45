// Answers to commands whose commit is in doubt.
#include "trading/sequencer/batch.hpp"

namespace trading::sequencer {
namespace {

using wire::Code;
using wire::Kind;

template <typename Record>
Record take(std::string_view& bytes) {
  Record record;
  std::memcpy(&record, bytes.data(), sizeof record);
  bytes.remove_prefix(sizeof record);
  return record;
}

bool is_list(Kind kind) {
  return kind == Kind::kCancelAll || kind == Kind::kQueryOpen || kind == Kind::kClear;
}

bool ends_request(const wire::Reply& reply) {
  if (is_list(static_cast<Kind>(reply.kind))) {
    return reply.code != static_cast<std::uint16_t>(Code::kOk);
  }
  return (reply.flags & wire::flag::kMore) == 0;
}

// What may be said of a command before its commit is known.
Code in_doubt(const wire::Reply& reply) {
  const auto kind = static_cast<Kind>(reply.kind);
  if (kind == Kind::kQueryOrder || kind == Kind::kQueryOpen) return Code::kBusy;
  const auto code = static_cast<Code>(reply.code);
  const bool applied = code == Code::kOk || code == Code::kDuplicateSame || code == Code::kEnd;
  return applied || kind == Kind::kCancelReplace ? Code::kUnknownOutcome : code;
}

}  // namespace

void Batch::doubt_frame(std::uint64_t connection, std::string_view frame) {
  const auto header = take<wire::FrameHeader>(frame);
  if (header.type == static_cast<std::uint8_t>(wire::FrameType::kDepth)) {
    const auto depth = take<wire::DepthHeader>(frame);
    wire::Reply busy{};
    busy.request_id = depth.request_id;
    std::memcpy(busy.symbol, depth.symbol, sizeof busy.symbol);
    busy.epoch = depth.epoch;
    busy.kind = static_cast<std::uint8_t>(Kind::kQueryDepth);
    busy.code = static_cast<std::uint16_t>(Code::kBusy);
    return add_reply(connection, busy);
  }
  while (!frame.empty()) {
    const auto told = take<wire::Reply>(frame);
    frame.remove_prefix(told.fill_count * sizeof(wire::Fill));
    if (!ends_request(told)) continue;
    wire::Reply reply{};
    reply.request_id = told.request_id;
    std::memcpy(reply.symbol, told.symbol, sizeof reply.symbol);
    std::memcpy(reply.client_id, told.client_id, sizeof reply.client_id);
    std::memcpy(reply.target_client_id, told.target_client_id, sizeof reply.target_client_id);
    reply.account = told.account;
    reply.time_us = told.time_us;
    reply.epoch = told.epoch;
    reply.kind = told.kind;
    reply.code = static_cast<std::uint16_t>(in_doubt(told));
    add_reply(connection, reply);
  }
}

void Batch::doubt() {
  std::vector<Outbox> told(outboxes_used_);
  for (std::size_t i = 0; i < told.size(); ++i) std::swap(told[i], outboxes_[i]);
  outboxes_used_ = outbox_last_ = 0;
  for (const Outbox& box : told) {
    std::string_view rest = box.bytes.view();
    while (!rest.empty()) {
      wire::FrameHeader header;
      std::memcpy(&header, rest.data(), sizeof header);
      doubt_frame(box.connection, rest.substr(0, header.length));
      rest.remove_prefix(header.length);
    }
  }
  seal();
}

}  // namespace trading::sequencer
