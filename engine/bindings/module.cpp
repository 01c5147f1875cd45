#include "bindings.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The matching core and what stands on it, in C++.";
  bind_matching_engine(module);
#ifdef TRADING_BINDS_SEQUENCER
  bind_sequencer(module);
#endif
}
