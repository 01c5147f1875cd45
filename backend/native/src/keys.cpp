// The low-level SHA-256 calls are deprecated in OpenSSL 3 but copy as plain structs: no allocation
// and no provider look-up per signature, which cost more than the hash of an order does.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "keys.hpp"

#include <openssl/crypto.h>

#include <cstring>
#include <utility>

namespace trading::entry {
namespace {

constexpr std::size_t kBlockBytes = 64;

int digit_of(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Hmac::Hmac(std::string_view secret) noexcept {
  unsigned char block[kBlockBytes] = {};
  if (secret.size() > kBlockBytes) {
    SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), block);
  } else {
    std::memcpy(block, secret.data(), secret.size());
  }
  unsigned char padded[kBlockBytes];
  for (std::size_t i = 0; i < kBlockBytes; ++i) padded[i] = block[i] ^ 0x36U;
  SHA256_Init(&inner_);
  SHA256_Update(&inner_, padded, kBlockBytes);
  for (std::size_t i = 0; i < kBlockBytes; ++i) padded[i] = block[i] ^ 0x5cU;
  SHA256_Init(&outer_);
  SHA256_Update(&outer_, padded, kBlockBytes);
}

std::array<unsigned char, 32> Hmac::sign(std::string_view first,
                                         std::string_view second) const noexcept {
  std::array<unsigned char, 32> digest{};
  SHA256_CTX inner = inner_;
  SHA256_Update(&inner, first.data(), first.size());
  SHA256_Update(&inner, second.data(), second.size());
  SHA256_Final(digest.data(), &inner);
  SHA256_CTX outer = outer_;
  SHA256_Update(&outer, digest.data(), digest.size());
  SHA256_Final(digest.data(), &outer);
  return digest;
}

bool Hmac::verify(std::string_view first, std::string_view second,
                  std::string_view hex) const noexcept {
  std::array<unsigned char, 32> sent{};
  if (hex.size() != 2 * sent.size()) return false;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const int high = digit_of(hex[2 * i]);
    const int low = digit_of(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    sent[i] = static_cast<unsigned char>(high * 16 + low);
  }
  const auto right = sign(first, second);
  return CRYPTO_memcmp(right.data(), sent.data(), sent.size()) == 0;
}

void KeyTable::set(std::vector<ApiKey> keys) {
  keys_.clear();
  for (ApiKey& key : keys) {
    std::string name = key.name;
    keys_.insert_or_assign(std::move(name), std::move(key));
  }
  ++revision_;
}

const ApiKey* KeyTable::find(std::string_view name) const noexcept {
  const auto found = keys_.find(name);
  return found == keys_.end() ? nullptr : &found->second;
}

}  // namespace trading::entry
