"""Experiments as cells that are computed once, kept in a file: a killed run resumes."""

import csv
import json
import os
import time
from pathlib import Path

from machine import describe_machine


class Cells:
    """Finished cells of an experiment.

    Parameters
    ----------
    file : str or None
        JSON file of finished cells; None keeps them in memory only.
    settings : dict
        What the cells depend on: a file of other settings is refused.
    facts : dict
        What else the file says, such as the machine.
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
                    f"{self.file} holds cells of other settings, {held['settings']}: give another "
                    "--checkpoint, or delete it."
                )
            self.cells = held["cells"]
            print(f"resuming: {len(self.cells)} finished cells in {self.file}")

    def get(self, name, compute):
        """The cell's result (anything JSON can hold): from the file, or computed and kept."""
        if name not in self.cells:
            start = time.perf_counter()
            result = compute()
            self.cells[name] = {"result": result, "seconds": time.perf_counter() - start}
            print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)
            if self.file:
                # Written beside and renamed: a kill leaves the old file or the new one.
                beside = self.file.with_suffix(".tmp")
                content = {**self.facts, "settings": self.settings, "cells": self.cells}
                beside.write_text(json.dumps(content, indent=1))
                os.replace(beside, self.file)
        return self.cells[name]["result"]


def write_csv(file, rows, facts=None):
    """Rows (dicts) as CSV below comments that start with #: `facts` and the machine."""
    with open(file, "w", newline="") as stream:
        facts = {**(facts or {}), **describe_machine()}
        stream.writelines(f"# {name}: {value}\n" for name, value in facts.items())
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def print_table(rows):
    """Rows (dicts) in columns."""
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in rows[0]}
    print("  ".join(name.rjust(width) for name, width in widths.items()))
    for row in rows:
        print("  ".join(str(row[name]).rjust(width) for name, width in widths.items()))


def add_common_arguments(parser, name):
    """Options that all experiments with cells have."""
    parser.add_argument("--quick", action="store_true", help="under 5 minutes on two cores")
    parser.add_argument("--checkpoint", help="JSON file of finished cells, to resume from")
    parser.add_argument(
        "--output", default=name, help="CSV and PNG files are written as NAME.csv …"
    )
    parser.add_argument("--device", default="auto", help="of the finite networks")
