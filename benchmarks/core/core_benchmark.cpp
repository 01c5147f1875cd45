// Messages per second of the matching core alone, one thread, events written where the next stage
// reads them. Prints one line of JSON per tape: median and range of the runs.
//   core_benchmark [--runs N] [--batch N] [--only NAME] [--write-tapes FOLDER]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "tape.hpp"
#include "trading/core/matching_engine.hpp"

namespace {

using namespace trading::core;
using trading::benchmarks::Mix;
using trading::benchmarks::Tape;

struct Options {
  int runs = 5;
  std::size_t batch = 512;
  std::string only;
  std::string folder;
};

struct Run {
  double seconds = 0;
  double processor_seconds = 0;  // of this thread: on a shared machine the one to compare
  double filling_seconds = 0;
  std::size_t resting = 0;
  std::size_t events = 0;
  std::size_t memory_bytes = 0;
  std::int64_t trades = 0;
  std::uint64_t state_hash = 0;
};

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double apply_all(MatchingEngine& engine, const std::vector<Command>& commands, std::size_t batch,
                 std::size_t* event_count) {
  EventBuffer events;
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < commands.size(); i += batch) {
    events.clear();
    engine.apply({&commands[i], std::min(batch, commands.size() - i)}, events);
    *event_count += events.size();
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Run run_once(const Tape& tape, std::size_t batch) {
  MatchingEngine engine;
  const std::uint32_t symbol = engine.add_symbol();
  Run run;
  std::size_t filling_events = 0;
  run.filling_seconds = apply_all(engine, tape.filling, batch, &filling_events);
  const double start = processor_seconds();
  run.seconds = apply_all(engine, tape.measured, batch, &run.events);
  run.processor_seconds = processor_seconds() - start;
  run.resting = engine.open_orders();
  run.trades = engine.counters(symbol).trade_id;
  run.memory_bytes = engine.memory_bytes();
  run.state_hash = engine.state_hash(symbol);
  return run;
}

void report(const Mix& mix, const Tape& tape, const Options& options) {
  std::vector<Run> runs;
  for (int i = 0; i < options.runs; ++i) runs.push_back(run_once(tape, options.batch));
  std::sort(runs.begin(), runs.end(),
            [](const Run& a, const Run& b) { return a.seconds < b.seconds; });
  const Run& median = runs[runs.size() / 2];
  std::vector<double> processor_runs;
  for (const Run& run : runs) processor_runs.push_back(run.processor_seconds);
  std::sort(processor_runs.begin(), processor_runs.end());
  const double processor = processor_runs[processor_runs.size() / 2];
  const auto messages = static_cast<double>(tape.measured.size());
  std::printf(
      "{\"name\": \"%s\", \"messages\": %zu, \"seconds\": %.4f, \"messages_per_second\": %.0f, "
      "\"messages_per_second_min\": %.0f, \"messages_per_second_max\": %.0f, "
      "\"messages_per_processor_second\": %.0f, \"runs\": %d, "
      "\"batch\": %zu, \"resting\": %zu, \"trades\": %lld, \"events\": %zu, \"accounts\": %lld, "
      "\"filling_per_second\": %.0f, \"memory_bytes\": %zu, \"state_hash\": \"%016llx\"}\n",
      mix.name.c_str(), tape.measured.size(), median.seconds, messages / median.seconds,
      messages / runs.back().seconds, messages / runs.front().seconds, messages / processor,
      options.runs, options.batch, median.resting, static_cast<long long>(median.trades),
      median.events, static_cast<long long>(mix.accounts),
      static_cast<double>(tape.filling.size()) / median.filling_seconds, median.memory_bytes,
      static_cast<unsigned long long>(median.state_hash));
  std::fflush(stdout);
}

void write_commands(const std::string& path, const std::vector<Command>& commands) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr ||
      std::fwrite(commands.data(), sizeof(Command), commands.size(), file) != commands.size()) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    std::exit(1);
  }
  std::fclose(file);
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (value != nullptr && name == "--runs") {
      options.runs = std::max(1, std::atoi(value));
    } else if (value != nullptr && name == "--batch") {
      options.batch = static_cast<std::size_t>(std::max(1, std::atoi(value)));
    } else if (value != nullptr && name == "--only") {
      options.only = value;
    } else if (value != nullptr && name == "--write-tapes") {
      options.folder = value;
    } else {
      std::fprintf(stderr,
                   "usage: %s [--runs N] [--batch N] [--only NAME] [--write-tapes FOLDER]\n",
                   argv[0]);
      std::exit(2);
    }
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  for (const Mix& mix : trading::benchmarks::standard_mixes()) {
    if (!options.only.empty() && options.only != mix.name) continue;
    const Tape tape = make_tape(mix);
    if (options.folder.empty()) {
      report(mix, tape, options);
    } else {
      write_commands(options.folder + "/" + mix.name + ".filling", tape.filling);
      write_commands(options.folder + "/" + mix.name + ".measured", tape.measured);
    }
  }
}
