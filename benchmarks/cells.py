"""Experiments as cells that are computed once and kept in a file, so that a killed run resumes."""

import csv
import json
import os
import time
from pathlib import Path

from machine import describe_machine


class Cells:
    """The finished cells of an experiment.

    Parameters
    ----------
    file : str or None
        JSON file of finished cells; None keeps them only in memory.
    settings : dict
        Settings that the cells depend on; a file with other settings is rejected.
    facts : dict
        Further contents of the file, such as the machine.
    """

    def __init__(self, file, settings, facts=None):
        self.file = Path(file) if file else None
        self.facts = facts or {}
        self.settings = json.loads(json.dumps(settings))
        self.cells = {}
        if self.file and self.file.exists():
            held = json.loads(self.file.read_text())
            if held["settings"] != self.settings:
                raise SystemExit(
                    f"{self.file} holds cells for other settings, {held['settings']}: use another "
                    "--checkpoint, or delete it."
                )
            self.cells = held["cells"]
            print(f"resuming: {len(self.cells)} finished cells in {self.file}")

    def get(self, name, compute):
        """Return the result of a cell (any JSON value), from the file or computed and kept."""
        if name not in self.cells:
            start = time.perf_counter()
            result = compute()
            self.cells[name] = {"result": result, "seconds": time.perf_counter() - start}
            print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)
            if self.file:
                # Written to a temporary file and renamed: a kill leaves the old or the new file.
                beside = self.file.with_suffix(".tmp")
                content = {**self.facts, "settings": self.settings, "cells": self.cells}
                beside.write_text(json.dumps(content, indent=1))
                os.replace(beside, self.file)
        return self.cells[name]["result"]


def write_csv(file, rows, facts=None):
    """Write rows (dicts) as CSV below comment lines (#) with `facts` and the machine."""
    with open(file, "w", newline="") as stream:
        facts = {**(facts or {}), **describe_machine()}
        stream.writelines(f"# {name}: {value}\n" for name, value in facts.items())
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def print_table(rows):
    """Print rows (dicts) in columns."""
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in rows[0]}
    print("  ".join(name.rjust(width) for name, width in widths.items()))
    for row in rows:
        print("  ".join(str(row[name]).rjust(width) for name, width in widths.items()))


def add_common_arguments(parser, name):
    """Add the options of all experiments with cells."""
    parser.add_argument("--quick", action="store_true", help="under 5 minutes on two cores")
    parser.add_argument("--checkpoint", help="JSON file of finished cells, to resume from")
    parser.add_argument(
        "--output", default=name, help="name of the CSV and PNG files, without extension"
    )
    parser.add_argument("--device", default="auto", help="device for the finite networks")
