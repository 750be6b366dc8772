"""What both benchmarks print: the machine they ran on, and rows of Markdown tables."""

import datetime
import importlib.metadata
import os
import platform

PACKAGES = ("sktime-rnn", "torch", "skorch", "scikit-learn", "numpy")


def cpu_model():
    """Return the name of the processor, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def environment(threads=None):
    """Return one line: date, processor, cores, threads, versions."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    cores = f"{os.cpu_count()} cores" + (f", {threads} thread(s) used" if threads else "")
    date = datetime.date.today().isoformat()
    return f"{date}; {cpu_model()}, {cores}; Python {platform.python_version()}, {versions}"


def print_title(title, text):
    """Print the title of a table, and what its numbers are."""
    print(f"\n## {title}\n\n{text}\n")


def print_header(*columns):
    """Print a table's head and the line under it."""
    print_row(*columns)
    print_row(*("---" for _ in columns))


def print_row(*cells):
    """Print one row of a table at once, so that a long run can be followed."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
