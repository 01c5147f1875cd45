// SHA-256 in one go or in parts. Not for two threads at once.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "trading/core/check.hpp"

namespace trading::sequencer {

class Sha256 {
 public:
  using Sum = std::array<std::uint8_t, 32>;

  Sha256() : kind_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
    TRADING_CHECK(kind_ != nullptr && context_ != nullptr);
  }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  ~Sha256() {
    EVP_MD_CTX_free(context_);
    EVP_MD_free(kind_);
  }

  void begin() { TRADING_CHECK(EVP_DigestInit_ex2(context_, kind_, nullptr) == 1); }
  void add(std::string_view bytes) {
    TRADING_CHECK(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
  }
  Sum end() {
    Sum sum;
    TRADING_CHECK(EVP_DigestFinal_ex(context_, sum.data(), nullptr) == 1);
    return sum;
  }

 private:
  EVP_MD* kind_;
  EVP_MD_CTX* context_;
};

}  // namespace trading::sequencer
