// Memory for large tables: zeroed or filled at once, on huge pages when it is large enough. With
// many scattered reads the page tables are as far away as the data.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "trading/core/check.hpp"

namespace trading::core {

inline constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;

inline std::size_t in_huge_pages(std::size_t bytes) {
  return (bytes + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
}

// Uninitialised; freed by std::free. Ends the process when there is none.
inline void* allocate_big(std::size_t bytes) {
  if (bytes < kHugePageBytes) {
    void* memory = std::malloc(bytes);
    TRADING_CHECK(memory != nullptr);
    return memory;
  }
  const std::size_t whole = in_huge_pages(bytes);
  void* memory = std::aligned_alloc(kHugePageBytes, whole);
  TRADING_CHECK(memory != nullptr);
#ifdef __linux__
  madvise(memory, whole, MADV_HUGEPAGE);  // only a wish
#endif
  return memory;
}

// The same, all zeros; a large one is zeroed by the kernel, part by part as it is touched.
inline void* allocate_zeros(std::size_t bytes) {
  if (bytes < kHugePageBytes) {
    void* memory = std::calloc(1, bytes);
    TRADING_CHECK(memory != nullptr);
    return memory;
  }
  void* memory = allocate_big(bytes);
#ifdef __linux__
  if (madvise(memory, in_huge_pages(bytes), MADV_DONTNEED) == 0) return memory;
#endif
  std::memset(memory, 0, bytes);
  return memory;
}

struct Freed {
  void operator()(void* memory) const { std::free(memory); }
};

// A fixed number of plain values.
template <typename T>
class BigArray {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  BigArray() = default;
  explicit BigArray(std::size_t size)
      : data_(static_cast<T*>(allocate_big(size * sizeof(T)))), size_(size) {
    std::uninitialized_value_construct_n(data_.get(), size);
  }

  // Of values that are all zeros; a large one costs nothing until it is touched.
  static BigArray zeros(std::size_t size) {
    static_assert(std::is_trivially_copyable_v<T>);
    BigArray made;
    made.data_.reset(static_cast<T*>(allocate_zeros(size * sizeof(T))));
    made.size_ = size;
    return made;
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }
  [[nodiscard]] std::size_t memory_bytes() const { return size_ * sizeof(T); }

 private:
  std::unique_ptr<T[], Freed> data_;
  std::size_t size_ = 0;
};

}  // namespace trading::core
