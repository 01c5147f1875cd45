#include "socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "clock.hpp"
#include "http.hpp"

namespace trading::load {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kBufferedMax = 64U << 20;
constexpr std::int64_t kGetSecondsMax = 10;

}  // namespace

bool Socket::connect(const Address& address) {
  close();
  descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor_ < 0) return false;
  const int on = 1;
  ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(address.port);
  if (::inet_pton(AF_INET, address.host.c_str(), &where.sin_addr) != 1) return false;
  const int done = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&where), sizeof where);
  return done == 0 || errno == EINPROGRESS;
}

void Socket::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  out.clear();
  in_.clear();
  sent_ = taken_ = 0;
}

bool Socket::connected() const {
  int error = 0;
  socklen_t bytes = sizeof error;
  return ::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0;
}

bool Socket::flush() {
  while (sent_ < out.size()) {
    const ssize_t done = ::send(descriptor_, out.data() + sent_, out.size() - sent_, MSG_NOSIGNAL);
    if (done < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN;
    }
    sent_ += static_cast<std::size_t>(done);
    bytes_sent += static_cast<std::uint64_t>(done);
  }
  out.clear();
  sent_ = 0;
  return true;
}

bool Socket::receive() {
  static thread_local char buffer[kReadBytes];
  for (;;) {
    const ssize_t done = ::recv(descriptor_, buffer, sizeof buffer, 0);
    if (done > 0) {
      in_.append(buffer, static_cast<std::size_t>(done));
      bytes_received += static_cast<std::uint64_t>(done);
      if (in_.size() - taken_ > kBufferedMax) return false;
      if (static_cast<std::size_t>(done) < sizeof buffer) return true;
      continue;
    }
    if (done < 0 && errno == EINTR) continue;
    return done < 0 && errno == EAGAIN;
  }
}

void Socket::take(std::size_t bytes) {
  taken_ += bytes;
  if (taken_ == in_.size()) {
    in_.clear();
    taken_ = 0;
  } else if (taken_ > kReadBytes) {
    in_.erase(0, taken_);
    taken_ = 0;
  }
}

std::string get_blocking(const Address& address, std::string_view path, std::string& fault) {
  Socket socket;
  fault = "no connection to port " + std::to_string(address.port);
  if (!socket.connect(address)) return {};
  socket.out.append("GET ").append(path).append(" HTTP/1.1\r\nHost: ").append(address.host);
  socket.out.append("\r\n\r\n");
  const std::int64_t deadline = monotonic_ns() + kGetSecondsMax * kSecondNs;
  HttpAnswer answer;
  while (monotonic_ns() < deadline) {
    pollfd waiting{socket.descriptor(), POLLIN, 0};
    if (socket.has_unsent()) waiting.events |= POLLOUT;
    if (::poll(&waiting, 1, 100) < 0 && errno != EINTR) return {};
    if (waiting.revents == 0) continue;
    if (!socket.connected() || !socket.flush()) return {};
    const bool open = (waiting.revents & POLLIN) == 0 || socket.receive();
    const HttpState state = read_answer(socket.received(), answer);
    if (state == HttpState::kComplete) {
      fault = answer.status == 200 ? "" : "status " + std::to_string(answer.status);
      return answer.status == 200 ? std::string(answer.body) : std::string();
    }
    if (state == HttpState::kFault || !open) break;
  }
  fault = "no complete answer to GET " + std::string(path);
  return {};
}

}  // namespace trading::load
