"""Draw the first table of speed that `README.md` keeps: training of W1 by the estimators and by loops.

    python benchmarks/figure.py [docs/_static/speed.png]

Needs matplotlib, the extra `plot`.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
TITLE = "#### W1"


def read_table(text, title):
    """Return the columns and the rows of the first Markdown table after a title, cells as text."""
    lines = text[text.index(title) :].splitlines()
    ends = next((i for i, line in enumerate(lines) if line.startswith("#") and i > 0), len(lines))
    table = [line for line in lines[:ends] if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return cells[0], cells[2:]


def rate(cell):
    """Return the number before the brackets."""
    return float(cell.split("(")[0].replace(",", ""))


def draw(columns, rows, path):
    """Draw one group of bars for each network, one bar for each way to train it."""
    ways = [i for i in range(1, len(columns)) if "=" not in columns[i]]
    width = 0.8 / len(ways)
    figure, axes = plt.subplots(figsize=(8, 3.5), layout="constrained")
    for place, way in enumerate(ways):
        measured = [(x, rate(row[way])) for x, row in enumerate(rows) if row[way]]
        xs, heights = zip(*measured, strict=True)
        label = columns[way].replace("ours", "sktime_rnn")
        axes.bar([x + place * width for x in xs], heights, width, label=label)
    axes.set_xticks([x + 0.4 - width / 2 for x in range(len(rows))], [row[0] for row in rows])
    axes.set_ylabel("thousand steps a second")
    axes.set_title("Training on 2,000 sequences of 10 to 300 steps, hidden size 64, one thread")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else HERE.parent / "docs" / "_static" / "speed.png")
    target.parent.mkdir(parents=True, exist_ok=True)
    draw(*read_table((HERE / "README.md").read_text(encoding="utf-8"), TITLE), target)
