# SPDX-License-Identifier: Apache-2.0
"""Child: PyTorch's scaled_dot_product_attention, forward and backward, and its linear, forward."""

from importlib.metadata import version

import torch
import torch.nn.functional as F

from child import answer, measure, pin_torch, task
from shapes import attention_flops, gemm_flops

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def attention(s):
    def heads(count):
        return torch.randn(s["batch"], count, s["length"], s["head_dim"], dtype=DTYPES[s["dtype"]],
                           requires_grad=True)

    q, k, v = heads(s["heads"]), heads(s["kv_heads"]), heads(s["kv_heads"])
    dy = torch.randn_like(q)

    def call():
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        torch.autograd.grad(y, (q, k, v), dy)

    return call, attention_flops(s)


def gemm(s):
    x = torch.randn(s["rows"], s["inner"], dtype=DTYPES[s["dtype"]])
    weight = torch.randn(s["columns"], s["inner"], dtype=DTYPES[s["dtype"]])

    def call():
        with torch.no_grad():
            F.linear(x, weight)

    return call, gemm_flops(s)


def main():
    asked = task()
    pin_torch()
    torch.manual_seed(0)
    work, flops = {"attention": attention, "gemm": gemm}[asked["kind"]](asked["settings"])
    # About a tenth of a second a step, so that the clocks are fine enough.
    calls = max(1, int(1e10 / flops))
    laps = measure(lambda: [work() for _ in range(calls)], calls * flops / 1e9, asked["steps"])
    answer(laps.wall, laps.cpu, f"torch {version('torch')}")


if __name__ == "__main__":
    main()
