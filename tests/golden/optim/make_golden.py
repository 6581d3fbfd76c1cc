# SPDX-License-Identifier: Apache-2.0
"""Writes adamw_8bit.safetensors: eight steps of bitsandbytes' AdamW8bit, with the state before and after each.

Run with a Python that has torch, bitsandbytes and safetensors, in this directory: python make_golden.py
The optimizer is bitsandbytes' own, on the CPU. Only its quantisation of moments is taken from another of its backends, the
portable one: the CPU's goes through a table of steps of 3e-5, under which small values do not get the nearest code (and a
moment of zero does not stay zero); the portable one and the GPU's take the nearest.
"""

import bitsandbytes
import torch
from bitsandbytes.backends.cpu import ops
from safetensors.torch import save_file

COUNT = 2 * 256 + 37  # the last block is short
STEPS = 8
PORTABLE = torch._C.DispatchKey.CompositeExplicitAutograd


def quantize(values, code, absmax, codes, blocksize):
    operator = torch.ops.bitsandbytes.quantize_blockwise.default
    found = operator._op_dk(PORTABLE, values, code, blocksize)
    codes.copy_(found[0])
    absmax.copy_(found[1])


def gradient():
    """Sizes over some decades; the second block a millionth of the others; a tenth of the last one exactly zero."""
    g = torch.randn(COUNT) * 10 ** (0.5 * torch.randn(COUNT) - 2)
    g[256:512] *= 1e-6
    g[512:][torch.rand(COUNT - 512) < 0.1] = 0.0
    return g


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    ops._quant_blockwise_fp32_direct = quantize
    p = torch.nn.Parameter(torch.randn(COUNT))
    optimizer = bitsandbytes.optim.AdamW8bit([p], lr=0.01, betas=(0.9, 0.99), weight_decay=0.1, min_8bit_size=0)
    out = {"0.p": p.detach().clone()}
    for step in range(1, STEPS + 1):
        p.grad = gradient()
        optimizer.step()
        out[f"{step}.g"] = p.grad.clone()
        out[f"{step}.p"] = p.detach().clone()
        state = optimizer.state[p]
        for name, key in (("m", "state1"), ("m_absmax", "absmax1"), ("v", "state2"), ("v_absmax", "absmax2")):
            out[f"{step}.{name}"] = state[key].clone()
    save_file(out, "adamw_8bit.safetensors")
    print(torch.__version__, bitsandbytes.__version__)
    print("m", out["8.m"].unique().numel(), "codes, v", out["8.v"].unique().numel(), "p", p.abs().max().item())


if __name__ == "__main__":
    main()
