# SPDX-License-Identifier: Apache-2.0
"""The measurements as a table: medians, and inlay's share of each peer's rate and memory."""

from statistics import median

COLUMNS = ("case", "peer", "unit", "peer rate", "inlay rate", "ratio", "peer RSS", "inlay RSS",
           "memory")


def _rate(measurement, clock):
    return median(measurement[clock])


def _megabytes(measurement):
    return f"{measurement['peak_rss'] / 1e6:.0f} MB"


def rows(results, clock):
    out = []
    for result in results:
        ours = result["inlay"]
        for name, theirs in result["peers"].items():
            row = [result["case"]["name"], name, result["case"]["unit"]]
            failed = [m["error"] for m in (theirs, ours) if "error" in m]
            if failed:
                out.append(row + [f"not measured: {failed[0]}"])
                continue
            row += [f"{_rate(theirs, clock):.1f}", f"{_rate(ours, clock):.1f}",
                    f"{_rate(ours, clock) / _rate(theirs, clock):.2f} x", _megabytes(theirs),
                    _megabytes(ours), f"{ours['peak_rss'] / theirs['peak_rss']:.2f} x"]
            out.append(row)
    return out


def text(report):
    """Markdown, with the machine and the versions above it."""
    machine = report["machine"]
    versions = sorted({m["version"] for r in report["results"]
                       for m in [r["inlay"], *r["peers"].values()] if "version" in m})
    lines = [f"{machine['processor']}, {report['threads']} threads, {machine['system']}, "
             f"load {machine['load']:.1f}; {report['steps']} steps; medians by the "
             f"{report['clock']} clock", "; ".join(versions), "",
             "| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for row in rows(report["results"], report["clock"]):
        lines.append("| " + " | ".join(row + [""] * (len(COLUMNS) - len(row))) + " |")
    return "\n".join(lines)
