// Each bound class has one file and one function here.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>

namespace py = pybind11;

void bind_matching_engine(py::module_& module);
void bind_sequencer(py::module_& module);

// A read-only view of packed records in anything with the buffer protocol. Must not outlive `info`.
template <typename Record>
std::span<const Record> records_in(const py::buffer_info& info) {
  const auto bytes = static_cast<std::size_t>(info.size * info.itemsize);
  if (info.ndim != 1 || info.strides[0] != info.itemsize || bytes % sizeof(Record) != 0)
    throw std::invalid_argument("want a contiguous buffer of whole records of " +
                                std::to_string(sizeof(Record)) + " bytes, got " +
                                std::to_string(bytes) + " bytes");
  if (reinterpret_cast<std::uintptr_t>(info.ptr) % alignof(Record) != 0)
    throw std::invalid_argument("want a buffer aligned to " + std::to_string(alignof(Record)) +
                                " bytes");
  return {static_cast<const Record*>(info.ptr), bytes / sizeof(Record)};
}

template <typename Record>
py::bytes packed(std::span<const Record> records) {
  return {reinterpret_cast<const char*>(records.data()), records.size_bytes()};
}
