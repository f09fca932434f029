"""Runs NVIDIA's tools and others in separate processes with a time limit."""

import csv
import os
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Prefixes of the Nsight Compute metrics to keep.
FIGURES = (
    *("gpu__time_duration.sum", "launch__registers_per_thread", "launch__occupancy_limit"),
    *("sm__warps_active.avg.pct", "smsp__issue_active.avg.pct", "smsp__inst_executed.sum"),
    *("sm__inst_executed_pipe", "smsp__average_warps_issue_stalled", "dram__throughput.avg.pct"),
    *(
        "lts__t_sector_hit_rate.pct",
        "l1tex__data_bank_conflicts",
        "l1tex__data_pipe_lsu_wavefronts",
    ),
)


def read_csv(output):
    """Return the metrics to keep from the output of ncu: messages, then names, units and a row."""
    lines = [line for line in output.splitlines() if line.startswith('"')]
    if len(lines) < 3:
        return {}
    names, units, values = list(csv.reader(lines))[:3]
    return {
        name: f"{value} {unit}".strip()
        for name, unit, value in zip(names, units, values, strict=True)
        if name.startswith(FIGURES) and value not in ("0", "")
    }


def run_tool(command, seconds):
    """Return the status and output of a command, or why there is none."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    try:
        process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **options)
    except OSError as error:
        return 127, str(error)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its child processes hold the GPU
        output, _ = process.communicate()
        return 124, f"{output}\nnot done within {seconds} s"
    return process.returncode, output
