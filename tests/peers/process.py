# SPDX-License-Identifier: Apache-2.0
"""Runs a child on pinned processors and says how much memory it took at its highest."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# A list as taskset takes it, when the first processors are not the ones to use.
cpus = None


def available():
    """The processors that this process may use; a container's need not begin with 0."""
    return sorted(os.sched_getaffinity(0))


class ChildFailed(Exception):
    """Its last words."""


def environment(threads):
    # A thread that spins while another program has its neighbour's processor holds both back, so
    # no contestant's OpenMP threads spin for more than half a millisecond.
    return dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads),
                GOMP_SPINCOUNT="10000", PYTHONPATH=str(HERE), TOKENIZERS_PARALLELISM="false",
                HF_HUB_OFFLINE="1")


def run(command, threads, watch=None):
    """Its stdout, and its peak resident bytes. `watch(pid)` is called now and then meanwhile."""
    chosen = cpus or ",".join(map(str, available()[:threads]))
    pinned = ["taskset", "-c", chosen, *map(str, command)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(pinned, stdout=out, stderr=err, env=environment(threads))
        usage = _wait(child, watch)
        out.seek(0)
        err.seek(0)
        if child.returncode != 0:
            lines = err.read().decode(errors="replace").strip().splitlines()
            raise ChildFailed(lines[-1] if lines else f"it ended with status {child.returncode}")
        return out.read().decode(), usage.ru_maxrss * 1024


def _wait(child, watch):
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG if watch else 0)
        if pid != 0:
            child.returncode = os.waitstatus_to_exitcode(status)
            return usage
        watch(child.pid)
        time.sleep(0.02)


def python_child(script, asked, threads):
    """The answer of one of the scripts here, with "peak_rss"."""
    out, peak = run([sys.executable, HERE / script, json.dumps(asked)], threads)
    return dict(json.loads(out.strip().splitlines()[-1]), peak_rss=peak)
