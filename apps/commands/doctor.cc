// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/bench_output.h"
#include "apps/commands.h"
#include "apps/commands/plan.h"
#include "apps/console.h"
#include "core/address_space.h"
#include "core/error.h"
#include "core/kernels/cpu/isa/isa.h"
#include "core/memory/available.h"
#include "core/parallel.h"
#include "core/processors.h"
#include "core/threads.h"
#include "finetune/arithmetic.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

/// What the machine offers, and what a run config that says "auto" makes of it.
struct Diagnosis {
  std::string processor = processor_name();
  int processors = available_processors();
  std::optional<double> quota = processor_quota();
  int threads = num_threads();
  i64 memory = machine_memory();
  i64 available = available_memory();
  std::optional<i64> addresses = addresses_left();
  std::vector<std::string> instruction_sets;
  Arithmetic arithmetic = arithmetic_of(RunConfig());
  std::vector<MachinePeak> machine;
};

Diagnosis examine() {
  Diagnosis out;
  using kernels::Isa;
  for (const Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx}) {
    if (kernels::isa_supported(isa)) {
      out.instruction_sets.emplace_back(kernels::isa_name(isa));
    }
  }
  out.machine = measure_peaks();
  return out;
}

Json number_or_null(std::optional<double> value) {
  return value ? Json(*value) : Json();
}

void print_diagnosis_json(const Diagnosis& d) {
  Json out = {{"processor", d.processor},
              {"instruction_sets", d.instruction_sets},
              {"processors", d.processors},
              {"processor_quota", number_or_null(d.quota)},
              {"threads", d.threads},
              {"refused_threads", refused_threads()},
              {"memory_bytes", d.memory},
              {"available_bytes", d.available},
              {"address_bytes", d.addresses ? Json(*d.addresses) : Json()},
              {"arithmetic", arithmetic_json(d.arithmetic)},
              {"machine", machine_json(d.machine)}};
  print_json(out);
}

void print_diagnosis_text(const Diagnosis& d) {
  std::string sets;
  for (const std::string& set : d.instruction_sets) {
    sets += (sets.empty() ? "" : ", ") + set;
  }
  std::printf("processor   %s\n", d.processor.empty() ? "unknown" : d.processor.c_str());
  std::printf("kernels     %s, of %s\n",
              std::string(kernels::isa_name(kernels::active_isa())).c_str(), sets.c_str());
  std::printf("arithmetic  compute_dtype auto is %s\n", arithmetic_text(d.arithmetic).c_str());
  std::printf("measured    %s\n", readable_machine(d.machine).c_str());
  std::printf("processors  %d, %d threads%s\n", d.processors, d.threads,
              d.quota ? str("; the control group allows the time of ", readable_number(*d.quota),
                            " processors")
                            .c_str()
                      : "");
  const bool limited = d.available < std::numeric_limits<i64>::max();
  std::printf("memory      %s, %s\n", readable_bytes(d.memory).c_str(),
              limited ? str(readable_bytes(d.available), " of it available to this process").c_str()
                      : "what of it is available is not known");
  std::printf(
      "addresses   %s\n",
      d.addresses ? str(readable_bytes(*d.addresses), " left (ulimit -v)").c_str() : "no limit");
  if (d.quota && *d.quota < d.threads) {
    print_notice(str("the control group allows the time of ", readable_number(*d.quota),
                     " processors, and ", d.threads,
                     " threads wait for one another when it is used up: set runtime.threads"));
  }
}

}  // namespace

int run_doctor(std::span<const std::string> arguments) {
  bool json = false;
  Arguments args("inlay doctor",
                 "Says what this machine offers: instruction sets, measured rates, memory, limits, "
                 "and what compute_dtype \"auto\" makes of them.");
  args.flag("--json", json, "print it as JSON");
  if (!args.parse(arguments)) {
    return 0;
  }
  const Diagnosis diagnosis = examine();
  notice_refused_threads();
  if (json) {
    print_diagnosis_json(diagnosis);
  } else {
    print_diagnosis_text(diagnosis);
  }
  return 0;
}

}  // namespace inlay
