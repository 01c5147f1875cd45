#pragma once

#include <memory>
#include <span>
#include <vector>

#include "book.hpp"

namespace trading::core {

struct MatchingEngine::State {
  Shared shared;
  std::vector<std::unique_ptr<Book>> books;  // by symbol; nullptr = removed

  [[nodiscard]] Book* find(std::uint32_t symbol) const {
    return symbol < books.size() ? books[symbol].get() : nullptr;
  }
  // Of a symbol the caller got from add_symbol.
  [[nodiscard]] Book& book(std::uint32_t symbol) const {
    Book* found = find(symbol);
    TRADING_CHECK(found != nullptr);
    return *found;
  }
  [[nodiscard]] const Order& live_order(Handle handle) const {
    TRADING_CHECK(handle < shared.pool.past() && shared.pool[handle].live);
    return shared.pool[handle];
  }
  [[nodiscard]] const Book& book_of(Handle handle) const {
    return book(shared.accounts[live_order(handle).account_entry].symbol);
  }
};

}  // namespace trading::core
