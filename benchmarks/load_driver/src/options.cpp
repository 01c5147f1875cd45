#include "options.hpp"

#include <charconv>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "text.hpp"

namespace trading::load {
namespace {

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    if (comma != 0) parts.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
  }
  return parts;
}

template <typename Number>
std::string number(const std::string& text, Number low, Number high, Number& value) {
  const auto done = std::from_chars(text.data(), text.data() + text.size(), value);
  if (done.ec != std::errc{} || done.ptr != text.data() + text.size() || value < low ||
      value > high) {
    std::ostringstream out;
    out << "must be a number from " << low << " to " << high;
    return out.str();
  }
  return {};
}

std::string address(const std::string& url, std::vector<Address>& addresses) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return "must begin with http://";
  std::string rest = url.substr(kScheme.size());
  while (!rest.empty() && rest.back() == '/') rest.pop_back();
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string::npos) return "needs a port";
  Address found;
  found.host = rest.substr(0, colon);
  if (found.host == "localhost") found.host = "127.0.0.1";
  if (!found.host.starts_with("127.")) {
    return "names " + found.host + "; this driver loads servers on the loopback only";
  }
  if (auto fault = number<std::uint16_t>(rest.substr(colon + 1), 1, 65535, found.port);
      !fault.empty()) {
    return "port " + fault;
  }
  addresses.push_back(found);
  return {};
}

std::string read_keys(const std::string& path, std::vector<Key>& keys) {
  std::ifstream file(path);
  if (!file) return "cannot be read: " + path;
  Key key;
  while (file >> key.api_key >> key.secret) keys.push_back(key);
  return keys.empty() ? "holds no line of the form: key secret" : "";
}

std::string check(const Options& options) {
  if (options.addresses.empty()) return "--url is missing";
  if (options.symbols.empty()) return "--symbols is missing";
  if (options.mode != Mode::kPlain && options.keys.empty()) {
    return "a key is missing: give --key and --secret, or --keys-file";
  }
  for (const Key& key : options.keys) {
    if (key.api_key.empty() || key.secret.empty()) return "each --key needs a --secret";
  }
  if (options.cancel_percent > 0 && options.mode != Mode::kRest && options.mode != Mode::kStream) {
    return "--cancel-percent is for the modes rest and stream";
  }
  if (options.resends > 0 && options.mode != Mode::kRest) return "--resends is for the mode rest";
  if (options.client_id_prefix.size() > 22) return "--client-id-prefix: at most 22 characters";
  return {};
}

using Setter = std::function<std::string(const std::string&)>;

Setter text_into(std::string& target) {
  return [&target](const std::string& text) {
    target = text;
    return std::string();
  };
}

Setter decimal_into(std::string& target) {
  return [&target](const std::string& text) {
    target = text;
    return parse_step(text) || text == "0" ? "" : "must be a decimal such as 0.01";
  };
}

template <typename Number>
Setter number_into(Number& target, Number low, Number high) {
  return [&target, low, high](const std::string& text) { return number(text, low, high, target); };
}

std::map<std::string, Setter> setters(Options& o) {
  return {
      {"--mode",
       [&o](const std::string& text) {
         for (const Mode mode : {Mode::kRest, Mode::kBatch, Mode::kStream, Mode::kPlain}) {
           if (text == name_of(mode)) {
             o.mode = mode;
             return std::string();
           }
         }
         return std::string("must be rest, batch, stream or plain");
       }},
      {"--url",
       [&o](const std::string& text) {
         for (const std::string& url : split(text)) {
           if (auto fault = address(url, o.addresses); !fault.empty()) return fault;
         }
         return std::string();
       }},
      {"--key",
       [&o](const std::string& text) {
         o.keys.push_back({text, {}});
         return std::string();
       }},
      {"--secret",
       [&o](const std::string& text) {
         if (o.keys.empty()) return std::string("must follow its --key");
         o.keys.back().secret = text;
         return std::string();
       }},
      {"--keys-file", [&o](const std::string& text) { return read_keys(text, o.keys); }},
      {"--symbols",
       [&o](const std::string& text) {
         o.symbols = split(text);
         return std::string();
       }},
      {"--connections", number_into(o.connections, 1, 4096)},
      {"--duration-seconds", number_into(o.duration_seconds, 0.1, 3600.0)},
      {"--warmup-seconds", number_into(o.warmup_seconds, 0.0, 600.0)},
      {"--rate", number_into(o.rate, 0.1, 1e7)},
      {"--batch-size", number_into(o.batch_size, 1, 5000)},
      {"--in-flight", number_into(o.in_flight, 1, 4096)},
      {"--cross-percent", number_into(o.cross_percent, 0, 100)},
      {"--cancel-percent", number_into(o.cancel_percent, 0, 90)},
      {"--resends", number_into(o.resends, 0, 100)},
      {"--mid-price", decimal_into(o.mid_price)},
      {"--levels", number_into(o.levels, 1, 1'000'000)},
      {"--tick-size", decimal_into(o.tick_size)},
      {"--lot-size", decimal_into(o.lot_size)},
      {"--min-notional", decimal_into(o.min_notional)},
      {"--seed", number_into<std::uint64_t>(o.seed, 0, UINT64_MAX)},
      {"--client-id-prefix", text_into(o.client_id_prefix)},
      {"--orders-max", number_into<std::uint64_t>(o.orders_max, 1, 1'000'000'000)},
      {"--record", text_into(o.record_file)},
  };
}

}  // namespace

std::string_view name_of(Mode mode) {
  switch (mode) {
    case Mode::kRest:
      return "rest";
    case Mode::kBatch:
      return "batch";
    case Mode::kStream:
      return "stream";
    case Mode::kPlain:
      return "plain";
  }
  return "unknown";
}

std::string parse_options(int count, char** words, Options& options) {
  const auto table = setters(options);
  for (int i = 1; i < count; ++i) {
    std::string name = words[i];
    if (name == "--json") {
      options.json = true;
      continue;
    }
    std::string value;
    const std::size_t equals = name.find('=');
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < count) {
      value = words[++i];
    } else {
      return name + " needs a value";
    }
    const auto found = table.find(name);
    if (found == table.end()) return name + " is not an option";
    if (auto fault = found->second(value); !fault.empty()) return name + " " + fault;
  }
  if (options.client_id_prefix.empty()) {
    options.client_id_prefix = "L";
    append_base36(options.client_id_prefix, options.seed);
    options.client_id_prefix.push_back('-');
  }
  return check(options);
}

}  // namespace trading::load
