# SPDX-License-Identifier: Apache-2.0
"""What the measuring child processes share: their task comes as JSON, their answer goes as JSON.

A child prints one last line {"wall": [...], "cpu": [...], "version": "..."}: the rate of each step
by the clock on the wall, and by the processor time of all its threads divided by their number,
which is what a machine shared with other programs would have given alone. Its peak memory is read
by the parent, from the kernel, so that every contestant's is counted the same way.
"""

import json
import os
import sys
import time


def task():
    return json.loads(sys.argv[1])


def threads():
    return int(os.environ["OMP_NUM_THREADS"])


def pin_torch():
    """PyTorch reads OMP_NUM_THREADS, but some of its builds take half of the processors there are."""
    import torch

    torch.set_num_threads(threads())
    torch.set_num_interop_threads(1)


def answer(wall, cpu, version, **more):
    print(json.dumps(dict(wall=wall, cpu=cpu, version=version, **more)), flush=True)


class Laps:
    """Rates between laps: `lap(units)` ends a step of that much work and begins the next."""

    def __init__(self):
        self.wall, self.cpu = [], []
        self.begin()

    def begin(self):
        self._started = time.perf_counter(), time.process_time()

    def lap(self, units):
        now = time.perf_counter(), time.process_time()
        self.wall.append(units / (now[0] - self._started[0]))
        self.cpu.append(units / max((now[1] - self._started[1]) / threads(), 1e-9))
        self.begin()


def measure(work, units, steps, warmups=1):
    """Calls `work` and returns its Laps, without those of the warm-ups."""
    for _ in range(warmups):
        work()
    laps = Laps()
    for _ in range(steps):
        work()
        laps.lap(units)
    return laps
