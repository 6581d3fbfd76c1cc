// SPDX-License-Identifier: Apache-2.0
#include "finetune/hf_export.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/safetensors.h"
#include "data/tokenizer/load.h"
#include "finetune/row_source.h"
#include "nn/embedding.h"
#include "nn/expert_stack.h"
#include "nn/linear.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "quant/torch_dtype.h"

namespace inlay {
namespace {

Tensor converted(const Tensor& f32, DType dtype) {
  const MemoryScope scope(MemoryClass::kScratch);
  return f32.to(dtype);
}

// The matrix of an expert that was asked for last: a source of bytes comes for it in pieces.
class LastExpert {
 public:
  explicit LastExpert(const ExpertStack& stack) : stack_(stack) {}
  const Tensor& matrix(i64 expert) {
    if (expert != expert_) {
      matrix_ = stack_.matrix(expert);
      expert_ = expert;
    }
    return matrix_;
  }

 private:
  const ExpertStack& stack_;
  i64 expert_ = -1;
  Tensor matrix_;
};

// Collects what is to be written under the names Hugging Face uses. Adapter factors are folded in,
// never listed.
class Collector : public Visitor {
 public:
  explicit Collector(DType dtype) : dtype_(dtype) {}

  void linear(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    const LinearLike* layer = slot.get();
    const i64 out = layer->out_features();
    const i64 in = layer->in_features();
    if (dynamic_cast<const TiedHead*>(layer) != nullptr && same_rows(*layer, *input_table_)) {
      return;
    }
    if (layer->checkpoint_layout() == WeightLayout::kInOut) {
      add(name + ".weight", layer->weight_rows(0, out).transpose(0, 1).contiguous());
    } else {
      add_rows(
          name, [layer](i64 begin, i64 end) { return layer->weight_rows(begin, end); }, out, in);
    }
    if (layer->bias().defined()) {
      add(name + ".bias", layer->bias());
    }
  }

  void router(const std::string& name, std::unique_ptr<LinearLike>& slot) override {
    linear(name, slot);
  }

  void experts(const std::string& name, ExpertStack& stack) override {
    const ExpertStackSpec& spec = stack.spec();
    if (spec.stacked) {
      add_stack(spec.path(name, spec.stack_name()), stack);
    } else {
      add_each(name, stack);
    }
    if (spec.bias) {
      add(spec.path(name, spec.bias_name()), stack.bias());
    }
  }

  void embedding(const std::string& name, std::unique_ptr<EmbeddingLike>& slot) override {
    const EmbeddingLike* table = slot.get();
    if (input_table_ == nullptr) {
      input_table_ = table;
    }
    add_rows(
        name, [table](i64 begin, i64 end) { return table->weight_rows(begin, end); }, table->rows(),
        table->width());
  }

  void parameter(const std::string& name, Tensor& value) override {
    if (value.defined()) {
      add(name, value);
    }
  }

  void buffer(const std::string& name, const Tensor& value) override { add(name, value); }

  std::vector<TensorToWrite> tensors;

 private:
  // Whether the head still is the embedding's table: an adapter on the embedding does not reach the
  // head.
  static bool same_rows(const LinearLike& head, const EmbeddingLike& table) {
    constexpr i64 kRows = 1024;
    for (i64 begin = 0; begin < table.rows(); begin += kRows) {
      const i64 end = std::min(table.rows(), begin + kRows);
      if (head.weight_rows(begin, end).to_vector() != table.weight_rows(begin, end).to_vector()) {
        return false;
      }
    }
    return true;
  }

  void add_rows(const std::string& name, RowFunction rows, i64 count, i64 width) {
    tensors.push_back({name + ".weight",
                       dtype_,
                       {count, width},
                       row_source(std::move(rows), count, width, dtype_)});
  }

  // All matrices as one tensor [E, out, in], or [E, in, out].
  void add_stack(const std::string& name, const ExpertStack& stack) {
    const ExpertStackSpec& spec = stack.spec();
    const i64 rows = spec.in_out ? spec.in : spec.out, cols = spec.in_out ? spec.out : spec.in;
    // Asked for in order, an expert's rows after another's.
    const auto last = std::make_shared<LastExpert>(stack);
    const auto rows_of_all = [last, rows, cols, in_out = spec.in_out](i64 begin, i64 end) {
      const Tensor out = Tensor::empty({end - begin, cols});
      for (i64 row = begin; row < end;) {
        const i64 expert = row / rows, stop = std::min(end, (expert + 1) * rows);
        const Tensor& matrix = last->matrix(expert);
        out.slice(0, row - begin, stop - begin)
            .copy_from((in_out ? matrix.transpose(0, 1) : matrix)
                           .slice(0, row - expert * rows, stop - expert * rows));
        row = stop;
      }
      return out;
    };
    tensors.push_back({name,
                       dtype_,
                       {spec.experts, rows, cols},
                       row_source(rows_of_all, spec.experts * rows, cols, dtype_)});
  }

  // Each expert's parts by names of their own.
  void add_each(const std::string& name, const ExpertStack& stack) {
    const ExpertStackSpec& spec = stack.spec();
    const i64 parts = std::ssize(spec.parts), out = spec.out / parts;
    const auto last = std::make_shared<LastExpert>(stack);
    for (i64 e = 0; e < spec.experts; ++e) {
      for (i64 p = 0; p < parts; ++p) {
        const auto rows = [last, e, first = p * out](i64 begin, i64 end) {
          return last->matrix(e).slice(0, first + begin, first + end).contiguous();
        };
        tensors.push_back({spec.path(name, spec.name_of(e, p)),
                           dtype_,
                           {out, spec.in},
                           row_source(rows, out, spec.in, dtype_)});
      }
    }
  }

  void add(const std::string& name, const Tensor& value) {
    kept_.push_back(converted(value, dtype_));
    const std::span<const i64> dims = value.shape().dims();
    tensors.push_back({name, dtype_, {dims.begin(), dims.end()}, tensor_source(kept_.back())});
  }

  DType dtype_;
  std::vector<Tensor> kept_;
  const EmbeddingLike* input_table_ = nullptr;
};

// The config as a folder has it: GGUF files keep Llama 3's rotary scaling in a tensor.
nlohmann::json exported_config(const LoadedModel& model) {
  nlohmann::json json = model.config->json();
  if (model.checkpoint != nullptr && model.checkpoint->has(kGgufRopeDivisors)) {
    const std::vector<float> divisors =
        model.checkpoint->vector(kGgufRopeDivisors, model.config->integer("head_dim") / 2, 0)
            .to_vector();
    const auto plain = [](float d) { return d == 1.0F; };
    if (!std::ranges::all_of(divisors, plain)) {
      std::optional<nlohmann::json> rope = llama3_parameters(rope_theta(*model.config), divisors);
      if (!rope || json["rope_parameters"].value("rope_type", "default") != "default") {
        throw DataError(str(model.name, ": \"", kGgufRopeDivisors,
                            "\": config.json has no words for these "
                            "divisors, so the model cannot be written as a folder"));
      }
      json["rope_parameters"] = std::move(*rope);
    }
  }
  if (json.contains(kGgufRopeKey)) {
    throw DataError(str(model.name, ": config.json has no words for its rope.scaling (",
                        json[kGgufRopeKey].dump(),
                        "), so the model cannot be written as a folder"));
  }
  return json;
}

// Of a model of several parts the language model alone is written, as a model of its own.
nlohmann::json text_alone(nlohmann::json json, const HfConfig& config) {
  const Family& family = family_of(config);
  if (family.text_key.empty()) {
    return json;
  }
  nlohmann::json text = json[family.text_key];
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (json.contains(key)) {
      text[key] = json[key];
    }
  }
  const Family* alone = find_family(text.value("model_type", ""));
  if (alone == nullptr || !alone->text_key.empty()) {
    alone = find_family(family.text_alone);
  }
  text["model_type"] = alone->model_types.front();
  text["architectures"] = {alone->causal_class};
  return text;
}

// The name of a tensor in a file, where that is not the one in memory.
std::string written_name(const Family& family, const std::string& name) {
  const std::string inner = "model.language_model.";
  if (!family.text_key.empty()) {
    return name.starts_with(inner) ? "model." + name.substr(inner.size()) : name;
  }
  const std::vector<std::string> others = other_names(family, name);
  return others.empty() ? name : others.front();
}

std::string config_text(const LoadedModel& model, DType dtype, bool tied) {
  nlohmann::json json = text_alone(exported_config(model), *model.config);
  json.erase("quantization_config");
  json["torch_dtype"] = torch_name(dtype);
  json.erase("dtype");
  json["tie_word_embeddings"] = tied;
  return json.dump(2) + "\n";
}

// A file of that name in `from`, where there is one.
void copy_file(const std::string& from, const std::string& name, const std::string& to) {
  constexpr i64 kMaxCopiedBytes = 1 << 28;
  const std::string path = join_path(from, name);
  if (is_file(path)) {
    write_file(join_path(to, name), file_system().read(path, kMaxCopiedBytes));
  }
}

void copy_named_templates(const std::string& from, const std::string& to) {
  const std::string templates = "additional_chat_templates";
  if (!is_directory(join_path(from, templates))) {
    return;
  }
  make_directories(join_path(to, templates));
  for (const std::string& name : file_system().list(join_path(from, templates))) {
    if (name.ends_with(".jinja")) {
      copy_file(from, join_path(templates, name), to);
    }
  }
}

// Whatever a reader of the folder might look at for its tokens: what is left out would be read
// differently there than in the source.
void copy_tokenizer_files(const LoadedModel& model, const std::string& to) {
  std::string from = model.tokenizer_directory;
  if (from.empty() && model.checkpoint != nullptr && is_directory(model.name) &&
      !has_tokenizer(model.name)) {
    from = model.name;  // no tokenizer was read there, but what there is may be of use
  }
  if (!from.empty()) {
    for (const char* name :
         {"tokenizer.json", "tokenizer.model", "spiece.model", "tokenizer_config.json",
          "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
          "chat_template.json", "vocab.json", "merges.txt"}) {
      copy_file(from, name, to);
    }
    copy_named_templates(from, to);
  }
  if (model.checkpoint != nullptr && is_directory(model.name)) {
    copy_file(model.name, "generation_config.json", to);
  }
}

}  // namespace

void require_exportable(const LoadedModel& model) {
  exported_config(model);
}

void write_hf_files(const std::string& directory, LoadedModel& model, DType dtype) {
  const NoGrad guard;
  Collector collector(dtype);
  model.model->visit(collector, "");
  const Family& family = family_of(*model.config);
  const bool tied = std::ranges::none_of(
      collector.tensors, [head = model.model->head_name() + ".weight"](const TensorToWrite& t) {
        return t.name == head;
      });
  write_file(join_path(directory, "config.json"), config_text(model, dtype, tied));
  copy_tokenizer_files(model, directory);
  for (TensorToWrite& tensor : collector.tensors) {
    tensor.name = written_name(family, tensor.name);
  }
  write_safetensors(join_path(directory, "model.safetensors"), std::move(collector.tensors));
}

}  // namespace inlay
