// One non-blocking TCP connection with its two buffers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "options.hpp"

namespace trading::load {

class Socket {
 public:
  Socket() = default;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(); }

  // Starts to connect; false: refused at once.
  bool connect(const Address& address);
  void close();
  [[nodiscard]] int descriptor() const { return descriptor_; }
  // After the socket became writable for the first time: whether it is connected.
  [[nodiscard]] bool connected() const;

  // What is to be written; appended to by the caller, emptied by flush().
  std::string out;
  bool flush();  // false: the connection is gone
  [[nodiscard]] bool has_unsent() const { return sent_ < out.size(); }

  // Reads what is there; false: the connection is gone (what came before it can still be taken).
  bool receive();
  [[nodiscard]] std::string_view received() const { return std::string_view(in_).substr(taken_); }
  void take(std::size_t bytes);

  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;

 private:
  int descriptor_ = -1;
  std::size_t sent_ = 0;
  std::string in_;
  std::size_t taken_ = 0;
};

// One blocking GET, for set-up: the body of a 200, or empty with the reason in `fault`.
std::string get_blocking(const Address& address, std::string_view path, std::string& fault);

}  // namespace trading::load
