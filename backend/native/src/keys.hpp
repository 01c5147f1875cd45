// API keys and the HMAC-SHA256 signatures made with their secrets.
#pragma once

#include <openssl/sha.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace trading::entry {

namespace scope {
inline constexpr std::uint8_t kRead = 1;
inline constexpr std::uint8_t kTrade = 2;
}  // namespace scope

// A keyed hash whose two key blocks are hashed once: a signature costs the message and two blocks.
class Hmac {
 public:
  explicit Hmac(std::string_view secret) noexcept;
  std::array<unsigned char, 32> sign(std::string_view first,
                                     std::string_view second) const noexcept;
  // Constant time in the digits. False when `hex` is not 64 hexadecimal digits.
  bool verify(std::string_view first, std::string_view second, std::string_view hex) const noexcept;

 private:
  SHA256_CTX inner_;
  SHA256_CTX outer_;
};

struct ApiKey {
  std::string name;  // the key itself, public
  Hmac hmac;
  std::int64_t account = 0;
  std::uint8_t scopes = 0;
};

class KeyTable {
 public:
  void set(std::vector<ApiKey> keys);
  // Null: unknown. The pointer is valid until the next set().
  const ApiKey* find(std::string_view name) const noexcept;
  std::uint64_t revision() const noexcept { return revision_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, ApiKey, Hash, std::equal_to<>> keys_;
  std::uint64_t revision_ = 0;
};

}  // namespace trading::entry
