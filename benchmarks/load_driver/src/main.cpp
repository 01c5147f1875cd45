// load-driver: sends orders to a server on the loopback, reports what was acknowledged and when.
#include <cstdio>
#include <cstring>

#include "driver.hpp"
#include "exchange_info.hpp"
#include "report.hpp"

namespace {

int refuse(const std::string& fault, int status) {
  std::fprintf(stderr, "load-driver: %s\n", fault.c_str());
  return status;
}

}  // namespace

// Exit status: 0 = it ran (errors of requests are in the report), 1 = could not run, 2 = options.
int main(int count, char** words) {
  using namespace trading::load;
  if (count < 2 || std::strcmp(words[1], "--help") == 0) {
    std::fputs(kUsage.data(), count < 2 ? stderr : stdout);
    return count < 2 ? 2 : 0;
  }
  Options options;
  if (auto fault = parse_options(count, words, options); !fault.empty()) return refuse(fault, 2);
  std::vector<Grid> grids;
  if (auto fault = find_grids(options, grids); !fault.empty()) return refuse(fault, 1);
  Workload workload(options, std::move(grids));
  Recorder recorder;
  if (auto fault = recorder.open(options.record_file); !fault.empty()) return refuse(fault, 2);
  Tally tally;
  {
    Driver driver(Session{options, workload, recorder, tally});
    if (auto fault = driver.run(); !fault.empty()) return refuse(fault, 1);
  }
  if (!recorder.close()) return refuse("--record: the file is not complete", 1);
  const std::string report =
      options.json ? json_report(options, tally) : text_report(options, tally);
  std::fputs(report.c_str(), stdout);
  return 0;
}
