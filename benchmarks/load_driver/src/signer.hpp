// HMAC-SHA256 of requests, with the key's two hash states prepared once.
#pragma once

#define OPENSSL_SUPPRESS_DEPRECATED  // the plain struct copies without allocation
#include <openssl/sha.h>

#include <string>
#include <string_view>

namespace trading::load {

class Signer {
 public:
  explicit Signer(std::string_view secret);
  // Appends the signature of first + second as 64 hexadecimal digits.
  void append(std::string& out, std::string_view first, std::string_view second) const;

 private:
  SHA256_CTX inner_;
  SHA256_CTX outer_;
};

}  // namespace trading::load
