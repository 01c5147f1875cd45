// Many requests in flight over one WebSocket: session.logon, then order.place and order.cancel.
#include <charconv>

#include "entry.hpp"
#include "http.hpp"
#include "websocket.hpp"

namespace trading::load {
namespace {

constexpr std::uint64_t kSlotBits = 12;  // --in-flight is at most 4096
constexpr std::uint64_t kSlotMask = (1U << kSlotBits) - 1;
constexpr std::string_view kLogonId = "0";

class StreamEntry : public Entry {
 public:
  StreamEntry(Session& session, std::size_t index)
      : Entry(session, index), flights_(static_cast<std::size_t>(session.options.in_flight)) {}

  void opened() override {
    state_ = State::kUpgrading;
    free_.clear();
    for (std::size_t i = flights_.size(); i-- > 0;) free_.push_back(i);
    // The accept key is not compared: a fixed nonce only has to be well-formed.
    socket.out.append("GET /ws-api/v3?returnRateLimits=false HTTP/1.1\r\nHost: ");
    socket.out.append(address_.host).append(":");
    append_integer(socket.out, address_.port);
    socket.out.append(
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: bG9hZC1kcml2ZXItbm9uYw==\r\n\r\n");
  }

  [[nodiscard]] bool ready() const override { return open && !free_.empty(); }
  [[nodiscard]] std::size_t in_flight() const override {
    return open ? flights_.size() - free_.size() : 0;
  }

  void send(std::int64_t since_ns) override {
    const std::size_t slot = free_.back();
    free_.pop_back();
    Slot& place = flights_[slot];
    place.id = ++generation_ << kSlotBits | slot;
    fill(place.flight, since_ns, 1, true);
    const Order& order = place.flight.orders.front();
    const Workload& workload = session_.workload;
    message_.assign("{\"id\":");
    append_integer(message_, static_cast<std::int64_t>(place.id));
    message_.append(order.cancels ? ",\"method\":\"order.cancel\",\"params\":{\"symbol\":\""
                                  : ",\"method\":\"order.place\",\"params\":{\"symbol\":\"");
    message_.append(workload.grid(order).symbol);
    if (order.cancels) {
      message_.append("\",\"origClientOrderId\":\"");
      workload.append_client_id(message_, order);
      message_.append("\"}}");
    } else {
      message_.append(order.sells ? "\",\"side\":\"SELL" : "\",\"side\":\"BUY");
      message_.append("\",\"type\":\"LIMIT\",\"timeInForce\":\"GTC\",\"quantity\":\"");
      workload.append_quantity(message_, order);
      message_.append("\",\"price\":\"");
      workload.append_price(message_, order);
      message_.append("\",\"newClientOrderId\":\"");
      workload.append_client_id(message_, order);
      message_.append("\",\"newOrderRespType\":\"ACK\"}}");
    }
    append(Opcode::kText, message_);
  }

  bool receive() override {
    if (state_ == State::kUpgrading && !upgrade()) return fault.empty();
    ServerFrame frame;
    std::string_view data = socket.received();
    std::size_t taken = 0;
    bool good = true;
    const std::int64_t now = monotonic_ns();
    while (good) {
      const FrameState state = read_frame(data, frame);
      if (state == FrameState::kNeedMore) break;
      if (state == FrameState::kFault) {
        fault = "not a WebSocket frame";
        good = false;
        break;
      }
      data.remove_prefix(frame.bytes);
      taken += frame.bytes;
      good = take_frame(frame, now);
    }
    socket.take(taken);
    return good;
  }

  void lost(std::string_view reason) override {
    const bool was_open = open;
    open = false;
    state_ = State::kUpgrading;
    if (!was_open) return;
    const std::int64_t now = monotonic_ns();
    for (Slot& slot : flights_) {
      if (slot.id == 0) continue;
      slot.id = 0;
      settle(slot.flight.orders.front(), Outcome::kUnknown, {}, reason, now);
    }
  }

 private:
  enum class State : std::uint8_t { kUpgrading, kLoggingOn, kOpen };
  struct Slot {
    std::uint64_t id = 0;  // of the message; 0 = free
    Flight flight;
  };

  void append(Opcode opcode, std::string_view payload) {
    append_masked(socket.out, opcode, payload, static_cast<std::uint32_t>(++masks_ * 0x9e3779b1U));
  }

  bool upgrade() {
    HttpAnswer answer;
    const HttpState state = read_answer(socket.received(), answer);
    if (state == HttpState::kNeedMore) return false;
    if (state == HttpState::kFault || answer.status != 101) {
      fault = "the upgrade of /ws-api/v3 was answered with " + std::to_string(answer.status);
      refused = true;
      return false;
    }
    socket.take(answer.bytes);
    state_ = State::kLoggingOn;
    std::string params = "apiKey=" + api_key_ + "&timestamp=";
    const std::int64_t timestamp = unix_ms();
    append_integer(params, timestamp);
    message_.assign("{\"id\":").append(kLogonId).append(",\"method\":\"session.logon\"");
    message_.append(",\"params\":{\"apiKey\":\"").append(api_key_).append("\",\"signature\":\"");
    signer_.append(message_, params, {});
    message_.append("\",\"timestamp\":");
    append_integer(message_, timestamp);
    message_.append("}}");
    append(Opcode::kText, message_);
    return true;
  }

  bool take_frame(const ServerFrame& frame, std::int64_t now) {
    switch (frame.opcode) {
      case Opcode::kText:
        return take_message(frame.payload, now);
      case Opcode::kPing:
        append(Opcode::kPong, frame.payload);
        return true;
      case Opcode::kPong:
        return true;
      case Opcode::kClose:
        fault = "closed by the server";
        return false;
      case Opcode::kBinary:
        break;
    }
    fault = "an unexpected WebSocket frame";
    return false;
  }

  bool take_message(std::string_view text, std::int64_t now) {
    const std::string_view id = json_member(text, "\"id\"");
    const std::string_view status_text = json_member(text, "\"status\"");
    int status = 0;
    std::uint64_t number = 0;
    const auto done = std::from_chars(id.data(), id.data() + id.size(), number);
    if (text.starts_with("{\"event\"")) return true;
    if (done.ec != std::errc{} ||
        std::from_chars(status_text.data(), status_text.data() + status_text.size(), status).ec !=
            std::errc{}) {
      fault = "an answer without id or status";
      return false;
    }
    if (state_ == State::kLoggingOn) {
      state_ = State::kOpen;
      open = status == 200;
      refused = !open;
      if (refused) fault = "session.logon was refused: " + std::string(text);
      return open;
    }
    const std::size_t slot = number & kSlotMask;
    if (number == 0 || slot >= flights_.size() || flights_[slot].id != number) {
      fault = "an answer without a request";
      return false;
    }
    take_answer(flights_[slot], text, status, now);
    free_.push_back(slot);
    return true;
  }

  void take_answer(Slot& slot, std::string_view text, int status, std::int64_t now) {
    slot.id = 0;
    const Order& order = slot.flight.orders.front();
    const std::string_view order_id = json_member(text, "\"orderId\"");
    if (status == 200 && !order_id.empty()) {
      settle_latency(slot.flight, true, now);
      settle(order, Outcome::kOk, order_id, {}, now);
      return;
    }
    const std::string_view code = json_member(text, "\"code\"");
    const Outcome outcome = status == 200 ? Outcome::kUnknown : outcome_of(status, code);
    const std::string reason =
        code.empty() ? "status " + std::to_string(status) : std::string(code);
    settle(order, outcome, {}, reason, now);
  }

  State state_ = State::kUpgrading;
  std::vector<Slot> flights_;
  std::vector<std::size_t> free_;
  std::uint64_t generation_ = 0;
  std::uint64_t masks_ = 0;
  std::string message_;
};

}  // namespace

std::unique_ptr<Entry> make_stream_entry(Session& session, std::size_t index) {
  return std::make_unique<StreamEntry>(session, index);
}

}  // namespace trading::load
