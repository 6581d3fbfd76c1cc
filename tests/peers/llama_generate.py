# SPDX-License-Identifier: Apache-2.0
"""Child: llama.cpp reading a prompt, or writing tokens one by one, over the GGUF file as it is."""

from importlib.metadata import version

import llama_cpp

from child import answer, measure, task, threads


def without_repacking():
    """Weights stay as the file has them; llama_cpp.Llama has no argument for it."""
    defaults = llama_cpp.llama_cpp.llama_model_default_params

    def plain():
        parameters = defaults()
        parameters.use_extra_bufts = False
        return parameters

    llama_cpp.llama_cpp.llama_model_default_params = plain


def main():
    asked = task()
    settings = asked["settings"]
    if settings.get("no_repack"):
        without_repacking()
    count = settings["tokens"]
    llama = llama_cpp.Llama(settings["gguf"], n_ctx=2048, n_batch=512, n_threads=threads(),
                            n_threads_batch=threads(), verbose=False)
    ids = [(7 * i) % 1000 + 100 for i in range(count)]

    def prompt():
        llama.reset()
        llama.eval(ids)

    def decode():
        llama.reset()
        for token in ids:
            llama.eval([token])

    work = {"prompt": prompt, "decode": decode}[settings["phase"]]
    laps = measure(work, count, asked["steps"])
    answer(laps.wall, laps.cpu, f"llama-cpp-python {version('llama-cpp-python')}")


if __name__ == "__main__":
    main()
