# SPDX-License-Identifier: Apache-2.0
"""Writes Hugging Face folders as GGUF files by llama.cpp's own converter, and compares what inlay makes of both.

    python tests/peers/gguf_of_family.py --llama-cpp LLAMA_CPP_SOURCE --inlay build/release/apps/inlay FOLDER...

LLAMA_CPP_SOURCE is llama.cpp's source tree (its convert_hf_to_gguf.py and conversion/ are used as they are). The folders
are small models without a tokenizer, such as those of tests/golden/models/families: where a folder has none, the file
gets a vocabulary of placeholders. Each folder's line: the architecture in the file, and the largest difference between
the logits of the folder and of the file, over sequences of random tokens. Any difference over --limit, or a file that
one of the two does not read, makes the exit code 1.
"""

import argparse
import json
import logging
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file


def placeholder_vocabulary(size):
    """A set_vocab of the converter's that names each token by its number."""

    def set_vocab(self):
        self.gguf_writer.add_tokenizer_model("none")
        self.gguf_writer.add_vocab_size(size)

    return set_vocab


def prepared(folder, work):
    """The folder again with what the converter wants to find, where the model's config may leave it out."""
    settings = json.loads((folder / "config.json").read_text())
    rope = settings.get("rope_parameters") or {}
    text = settings.get("text_config", settings)
    wanted = {
        "n_ctx": settings.get("n_positions"),
        "rotary_pct": settings.get("partial_rotary_factor", rope.get("partial_rotary_factor", 1.0)),
    }
    if settings["model_type"].startswith("hunyuan"):
        wanted["max_position_embeddings"] = 32768  # the one length it knows; the angles do not depend on it
        settings.pop("max_position_embeddings", None)
    if settings["model_type"] == "granitemoehybrid":  # of whose layers it knows the hub's names alone
        wanted["layer_types"] = [kind.replace("full_attention", "attention") for kind in settings.pop("layer_types")]
    settings = {**{key: value for key, value in wanted.items() if value is not None}, **settings}
    place = work / "prepared" / folder.name
    place.mkdir(parents=True)
    for file in folder.glob("*.safetensors"):
        (place / file.name).symlink_to(file.resolve())
    (place / "config.json").write_text(json.dumps(settings))
    vocabulary = {f"<{i}>": i for i in range(text["vocab_size"])}
    (place / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}, "added_tokens": []}))
    return place


def keep_all_settings(model_base):
    """Lets the converter see keys of config.json that Transformers, through which it reads, renames."""
    if not hasattr(model_base, "read_by_transformers"):
        model_base.read_by_transformers = model_base.load_hparams
        model_base.load_hparams = staticmethod(
            lambda place, *rest, **more: {
                **json.loads((pathlib.Path(place) / "config.json").read_text()),
                **model_base.read_by_transformers(place, *rest, **more),
            }
        )


def convert(folder, target, work):
    """The folder's model as a GGUF file of f32 values. Returns the architecture's name in the file."""
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class
    import gguf
    import torch

    settings = json.loads((folder / "config.json").read_text())
    text = settings.get("text_config", settings)
    with torch.inference_mode():
        if not (folder / "tokenizer.json").exists() and not (folder / "tokenizer.model").exists():
            folder = prepared(folder, work)
            set_vocab = placeholder_vocabulary(text["vocab_size"])
            keep_all_settings(ModelBase)
        else:
            set_vocab = None
        architecture = get_model_architecture(ModelBase.load_hparams(folder, False), ModelType.TEXT)
        model_class = get_model_class(architecture, mmproj=False)
        if set_vocab is not None:
            for part in [model_class, *vars(model_class).values()]:  # some hold the real converter within
                if isinstance(part, type) and issubclass(part, ModelBase):
                    part.set_vocab = set_vocab
        model_class(folder, gguf.LlamaFileType.ALL_F32, target, eager=True).write()
    return gguf.GGUFReader(target).fields["general.architecture"].contents()


def pieces_of(tensor, sources):
    """The parts of the folder's tensors that make up one of the file's: [{"from", "rows"?, "plus"?}], or its values."""
    flat = tensor.reshape(-1, tensor.shape[-1]) if tensor.ndim > 1 else tensor.reshape(-1, 1)
    rows_of = {row.tobytes(): i for i, row in enumerate(flat)}
    parts, done = [], 0
    while done < len(flat):
        part = piece_at(flat, done, sources, rows_of)
        if part is None:
            return {"values": [float(f"{v:.9g}") for v in tensor.reshape(-1)], "shape": list(tensor.shape)}
        done += len(part["rows"])
        parts.append(part)
    return {"parts": parts, "shape": list(tensor.shape)}


def piece_at(flat, begin, sources, rows_of):
    """The longest run of rows from `begin` on that comes from one tensor of the folder, as it is or plus 1."""
    best = None
    for name, source in sources.items():
        for plus in (0, 1):
            rows = source.reshape(-1, source.shape[-1]) if source.ndim > 1 else source.reshape(-1, 1)
            if rows.shape[1] != flat.shape[1]:
                continue
            where = {row.tobytes(): i for i, row in enumerate(rows + np.float32(plus))}
            found = []
            while begin + len(found) < len(flat) and flat[begin + len(found)].tobytes() in where:
                found.append(where[flat[begin + len(found)].tobytes()])
            if found and (best is None or len(found) > len(best["rows"])):
                best = {"from": name, "rows": found, "plus": plus}
    return best


def describe(folder, target, out):
    """Writes how the file is made of the folder: its keys, and of what each tensor is made (gguf.json of a fixture)."""
    import gguf

    reader = gguf.GGUFReader(target)
    sources = load_file(folder / "model.safetensors")
    keys = {}
    for name, field in reader.fields.items():
        if not name.startswith(("GGUF.", "general.", "tokenizer.")) or name == "general.architecture":
            kind = "array" if field.types[0] == gguf.GGUFValueType.ARRAY else field.types[0].name.lower()
            item = field.types[-1].name.lower() if kind == "array" else None
            keys[name] = {"type": kind, **({"of": item} if item else {}), "value": field.contents()}
    tensors = {}
    for tensor in reader.tensors:
        made = pieces_of(np.array(tensor.data).reshape([int(n) for n in reversed(tensor.shape)]), sources)
        for part in made.get("parts", []):
            rows, plus = part.pop("rows"), part.pop("plus")
            whole = sources[part["from"]].shape[0] if sources[part["from"]].ndim < 3 else None
            if rows != list(range(whole or len(rows))):
                part["rows"] = rows
            if plus:
                part["plus"] = plus
        tensors[tensor.name] = made
    lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in tensors.items()]
    heads = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in keys.items()]
    out.write_text('{\n "keys": {\n' + ",\n".join(heads) + '\n },\n "tensors": {\n' + ",\n".join(lines) + "\n }\n}\n")


def logits(inlay, model, ids, work):
    rows = work / "ids.json"
    rows.write_text(json.dumps({"input_ids": ids}))
    out = work / "logits.safetensors"
    out.unlink(missing_ok=True)
    done = subprocess.run(
        [inlay, "logits", "--model", str(model), "--ids", str(rows), "--out", str(out)], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    return load_file(out)["logits"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--llama-cpp", required=True, type=pathlib.Path)
    parser.add_argument("--inlay", required=True)
    parser.add_argument("--limit", type=float, default=1e-4)
    parser.add_argument("--describe", type=pathlib.Path, help="write FOLDER's gguf.json to a folder of its name here")
    parser.add_argument("--json", type=pathlib.Path, help="write what was found, for family_table.py")
    parser.add_argument("--keep", type=pathlib.Path, help="write the files to this folder and keep them")
    options = parser.parse_args()
    sys.path.insert(0, str(options.llama_cpp))
    sys.path.insert(0, str(options.llama_cpp / "gguf-py"))
    logging.disable(logging.INFO)
    failed = 0
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        work = pathlib.Path(scratch)
        place = options.keep or work
        place.mkdir(parents=True, exist_ok=True)
        for folder in options.folders:
            settings = json.loads((folder / "config.json").read_text())
            vocabulary = settings.get("text_config", settings)["vocab_size"]
            ids = np.random.default_rng(7).integers(0, vocabulary, size=(2, 40)).tolist()
            target = place / f"{folder.name}.gguf"
            architecture = "?"
            try:
                architecture = convert(folder, target, work)
                if options.describe:
                    describe(folder, target, options.describe / folder.name / "gguf.json")
                found = logits(options.inlay, target, ids, work)
                expected = logits(options.inlay, folder, ids, work)
                difference = float(np.abs(found - expected).max())
                verdict = f"{difference:.1e}" + ("" if difference <= options.limit else "  TOO FAR")
            except Exception as problem:  # a converter's, or inlay's sentence
                difference, verdict = float("inf"), f"FAILED: {type(problem).__name__}: {problem}"
            failed += not difference <= options.limit
            results[folder.name] = {
                "model_type": settings["model_type"],
                "architecture": architecture,
                "difference": difference if difference < float("inf") else None,
                "limit": options.limit,
            }
            print(f"{folder.name:28} {architecture:16} {verdict}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
