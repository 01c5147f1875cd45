#include "recorder.hpp"

namespace trading::load {

Recorder::~Recorder() {
  close();
}

std::string Recorder::open(const std::string& path) {
  if (path.empty()) return {};
  file_ = std::fopen(path.c_str(), "we");
  if (file_ == nullptr) return "--record: cannot write " + path;
  std::setvbuf(file_, nullptr, _IOFBF, 1 << 20);
  return {};
}

bool Recorder::close() {
  if (file_ != nullptr && std::fclose(file_) != 0) failed_ = true;
  file_ = nullptr;
  return !failed_;
}

void Recorder::start(const Workload& workload, const Order& order, std::string_view event,
                     std::string_view account, std::int64_t now_ns) {
  line_.assign("{\"event\":\"").append(event).append("\",\"operation\":\"");
  line_.append(order.cancels ? "cancel" : "place").append("\",\"time\":");
  append_steps(line_, now_ns, Step{1, 9});
  line_.append(",\"account\":\"").append(account).append("\",\"symbol\":\"");
  line_.append(workload.grid(order).symbol).append("\",\"client_order_id\":\"");
  workload.append_client_id(line_, order);
  line_.push_back('"');
}

void Recorder::write() {
  line_.append("}\n");
  if (std::fwrite(line_.data(), 1, line_.size(), file_) != line_.size()) failed_ = true;
}

void Recorder::invoke(const Workload& workload, const Order& order, std::string_view account,
                      std::int64_t now_ns) {
  if (file_ == nullptr) return;
  start(workload, order, "invoke", account, now_ns);
  line_.append(",\"side\":\"").append(order.sells ? "SELL" : "BUY").append("\",\"price\":\"");
  workload.append_price(line_, order);
  line_.append("\",\"quantity\":\"");
  workload.append_quantity(line_, order);
  line_.push_back('"');
  write();
}

void Recorder::finish(const Workload& workload, const Order& order, std::string_view account,
                      Outcome outcome, std::string_view order_id, std::string_view code,
                      std::int64_t now_ns) {
  if (file_ == nullptr) return;
  const char* event = outcome == Outcome::kOk     ? "ok"
                      : outcome == Outcome::kFail ? "fail"
                                                  : "unknown";
  start(workload, order, event, account, now_ns);
  if (!order_id.empty()) line_.append(",\"order_id\":").append(order_id);
  if (!code.empty()) line_.append(",\"code\":\"").append(code).append("\"");
  write();
}

}  // namespace trading::load
