// One request at a time over a kept HTTP/1.1 connection: single orders, batches, the baseline.
#include "entry.hpp"
#include "http.hpp"

namespace trading::load {
namespace {

// The objects of a JSON array of objects, in order: cut by depth, strings skipped.
class ArrayItems {
 public:
  explicit ArrayItems(std::string_view json) : json_(json), at_(json.find('[')) {}

  bool next(std::string_view& item) {
    if (at_ == std::string_view::npos) return false;
    const std::size_t from = json_.find('{', at_);
    if (from == std::string_view::npos) return false;
    int depth = 0;
    for (std::size_t i = from; i < json_.size(); ++i) {
      const char c = json_[i];
      if (c == '"') {
        for (++i; i < json_.size() && json_[i] != '"'; ++i) i += json_[i] == '\\' ? 1 : 0;
      } else if (c == '{') {
        ++depth;
      } else if (c == '}' && --depth == 0) {
        item = json_.substr(from, i + 1 - from);
        at_ = i + 1;
        return true;
      }
    }
    return false;
  }

 private:
  std::string_view json_;
  std::size_t at_;
};

class HttpEntry : public Entry {
 public:
  HttpEntry(Session& session, std::size_t index) : Entry(session, index) {
    const std::string host = address_.host + ":" + std::to_string(address_.port);
    end_of_head_ = " HTTP/1.1\r\nHost: " + host + "\r\n";
    if (!api_key_.empty()) end_of_head_ += "X-MBX-APIKEY: " + api_key_ + "\r\n";
    end_of_head_ += "Content-Type: ";
    end_of_head_ += session.options.mode == Mode::kRest ? "application/x-www-form-urlencoded"
                                                        : "application/json";
    end_of_head_ += "\r\nContent-Length: ";
  }

  void opened() override { open = true; }
  [[nodiscard]] bool ready() const override { return open && !waiting_; }
  [[nodiscard]] std::size_t in_flight() const override { return waiting_ ? 1 : 0; }

  void send(std::int64_t since_ns) override {
    const Mode mode = session_.options.mode;
    waiting_ = true;
    fill(flight_, since_ns, mode == Mode::kBatch ? session_.options.batch_size : 1,
         mode == Mode::kRest);
    resent_ = 0;
    query_.clear();
    body_.clear();
    switch (mode) {
      case Mode::kBatch:
        batch();
        break;
      case Mode::kPlain:
        plain(flight_.orders.front());
        break;
      default:
        single(flight_.orders.front());
        break;
    }
  }

  bool receive() override {
    HttpAnswer answer;
    switch (read_answer(socket.received(), answer)) {
      case HttpState::kNeedMore:
        return true;
      case HttpState::kFault:
        fault = "not an HTTP answer";
        return false;
      case HttpState::kComplete:
        break;
    }
    if (!waiting_) {
      fault = "an answer without a request";
      return false;
    }
    waiting_ = false;
    take_answer(answer, monotonic_ns());
    const bool stays = !answer.closes;
    socket.take(answer.bytes);
    return stays;
  }

  void lost(std::string_view reason) override {
    open = false;
    if (!waiting_) return;
    waiting_ = false;
    const std::int64_t now = monotonic_ns();
    for (const Order& order : flight_.orders) settle(order, Outcome::kUnknown, {}, reason, now);
  }

 private:
  void request(std::string_view method, std::string_view path) {
    std::string& out = socket.out;
    out.append(method).append(" ").append(path);
    if (!query_.empty()) out.append("?").append(query_);
    out.append(end_of_head_);
    append_integer(out, static_cast<std::int64_t>(body_.size()));
    out.append("\r\n\r\n").append(body_);
  }

  void sign(std::string& text) {
    text.append("&timestamp=");
    append_integer(text, unix_ms());
  }

  void single(const Order& order) {
    const Workload& workload = session_.workload;
    std::string& form = order.cancels ? query_ : body_;
    form.append("symbol=").append(workload.grid(order).symbol);
    if (order.cancels) {
      form.append("&origClientOrderId=");
      workload.append_client_id(form, order);
    } else {
      form.append(order.sells ? "&side=SELL" : "&side=BUY");
      form.append("&type=LIMIT&timeInForce=GTC&quantity=");
      workload.append_quantity(form, order);
      form.append("&price=");
      workload.append_price(form, order);
      form.append("&newClientOrderId=");
      workload.append_client_id(form, order);
      form.append("&newOrderRespType=ACK");
    }
    sign(form);
    signature_.clear();
    signer_.append(signature_, form, {});
    form.append("&signature=").append(signature_);
    request(order.cancels ? "DELETE" : "POST", "/api/v3/order");
  }

  void batch() {
    const Workload& workload = session_.workload;
    char before = '[';
    for (const Order& order : flight_.orders) {
      body_.push_back(before);
      before = ',';
      body_.append("{\"symbol\":\"").append(workload.grid(order).symbol);
      body_.append(order.sells ? "\",\"side\":\"SELL" : "\",\"side\":\"BUY");
      body_.append("\",\"type\":\"LIMIT\",\"timeInForce\":\"GTC\",\"quantity\":\"");
      workload.append_quantity(body_, order);
      body_.append("\",\"price\":\"");
      workload.append_price(body_, order);
      body_.append("\",\"newClientOrderId\":\"");
      workload.append_client_id(body_, order);
      body_.append("\",\"newOrderRespType\":\"ACK\"}");
    }
    body_.push_back(']');
    query_.append("timestamp=");
    append_integer(query_, unix_ms());
    signature_.clear();
    signer_.append(signature_, query_, body_);
    query_.append("&signature=").append(signature_);
    request("POST", "/api/v3/batchOrders");
  }

  void plain(const Order& order) {
    const Workload& workload = session_.workload;
    body_.append("{\"symbol\":\"").append(workload.grid(order).symbol);
    body_.append(order.sells ? "\",\"side\":\"SELL" : "\",\"side\":\"BUY");
    body_.append("\",\"order_type\":\"LIMIT\",\"quantity\":\"");
    workload.append_quantity(body_, order);
    body_.append("\",\"price\":\"");
    workload.append_price(body_, order);
    body_.append("\",\"client_order_id\":\"");
    workload.append_client_id(body_, order);
    body_.append("\"}");
    request("POST", "/orders");
  }

  void take_answer(const HttpAnswer& answer, std::int64_t now) {
    const bool batch = session_.options.mode == Mode::kBatch;
    if (batch && answer.status == 200) {
      take_items(answer.body, now);
      return;
    }
    const std::string_view code = json_member(answer.body, "\"code\"");
    Outcome outcome = outcome_of(answer.status, code);
    std::string text = std::to_string(answer.status);
    if (!code.empty()) text = code;
    const std::string_view order_id = json_member(answer.body, "\"orderId\"");
    if (outcome == Outcome::kOk && order_id.empty()) {
      outcome = Outcome::kUnknown;
      text = "200 without an orderId";
    }
    if (resent_ < session_.options.resends && !answer.closes && may_be_resent(outcome, text)) {
      resend(outcome, text, now);
      return;
    }
    settle_latency(flight_, outcome == Outcome::kOk, now);
    for (const Order& order : flight_.orders) {
      settle(order, outcome, outcome == Outcome::kOk ? order_id : std::string_view{},
             outcome == Outcome::kOk ? std::string_view{} : text, now);
    }
  }

  void resend(Outcome outcome, std::string_view code, std::int64_t now) {
    ++resent_;
    const Order& order = flight_.orders.front();
    note_resend(order, outcome, code, now);
    waiting_ = true;
    query_.clear();
    body_.clear();
    single(order);
  }

  void take_items(std::string_view body, std::int64_t now) {
    ArrayItems items(body);
    std::string_view item;
    bool good = true;
    for (const Order& order : flight_.orders) {
      if (!items.next(item)) {
        settle(order, Outcome::kUnknown, {}, "no result for this item", now);
        good = false;
        continue;
      }
      const std::string_view order_id = json_member(item, "\"orderId\"");
      if (!order_id.empty()) {
        settle(order, Outcome::kOk, order_id, {}, now);
        continue;
      }
      const std::string_view code = json_member(item, "\"code\"");
      const bool unknown = code.empty() || code == "-1007" || code == "-1006";
      settle(order, unknown ? Outcome::kUnknown : Outcome::kFail, {}, code, now);
      good = false;
    }
    settle_latency(flight_, good, now);
  }

  bool waiting_ = false;
  int resent_ = 0;  // the request that is under way
  Flight flight_;
  std::string end_of_head_;
  std::string query_;
  std::string body_;
  std::string signature_;
};

}  // namespace

std::unique_ptr<Entry> make_http_entry(Session& session, std::size_t index) {
  return std::make_unique<HttpEntry>(session, index);
}

}  // namespace trading::load
