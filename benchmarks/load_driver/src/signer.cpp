#include "signer.hpp"

#include <array>
#include <cstring>

namespace trading::load {
namespace {

using Block = std::array<unsigned char, SHA256_CBLOCK>;

void start(SHA256_CTX& state, Block key, unsigned char pad) {
  for (unsigned char& byte : key) byte = static_cast<unsigned char>(byte ^ pad);
  SHA256_Init(&state);
  SHA256_Update(&state, key.data(), key.size());
}

}  // namespace

Signer::Signer(std::string_view secret) {
  Block key{};
  if (secret.size() > key.size()) {
    SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), key.data());
  } else {
    std::memcpy(key.data(), secret.data(), secret.size());
  }
  start(inner_, key, 0x36);
  start(outer_, key, 0x5c);
}

void Signer::append(std::string& out, std::string_view first, std::string_view second) const {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256_CTX state = inner_;
  SHA256_Update(&state, first.data(), first.size());
  SHA256_Update(&state, second.data(), second.size());
  SHA256_Final(digest, &state);
  state = outer_;
  SHA256_Update(&state, digest, sizeof digest);
  SHA256_Final(digest, &state);
  constexpr char kDigits[] = "0123456789abcdef";
  for (const unsigned char byte : digest) {
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
}

}  // namespace trading::load
