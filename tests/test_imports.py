"""The architecture: five floors, each file importing only from below, or from files above it on its own floor."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sktime_rnn

PACKAGE = Path(sktime_rnn.__file__).parent

# Reading order is import order. A package stands here by its name, as the one module that it is.
FLOORS = {
    1: (
        "exceptions",
        "panel",
        "sequences",
        "trees",
        "preprocessing",
        "windows",
        "datasets",
    ),
    2: (
        "cells",
        "layers",
        "kernels",
        "attention",
        "heads",
        "networks",
        "encoder_decoder",
        "decoding",
        "recursive",
        "diagnostics",
    ),
    3: (
        "batching",
        "callbacks",
        "nets",
        "state",
        "distributed",
    ),
    4: (
        "base",
        "classifier",
        "regressor",
        "forecaster",
        "seq2seq",
        "reservoir",
        "baselines",
        "model_selection",
        "streaming",
        "inspection",
    ),
    5: (
        "displays",
        "persistence",
        "export",
        "sktime_adapter",
    ),
}
# The floors that a floor sees. Floor 2 stands beside floor 1, not on it; nobody imports floor 5.
SEES = {1: {1}, 2: {2}, 3: {1, 2, 3}, 4: {1, 2, 3, 4}, 5: {1, 2, 3, 4}}
HEAVY = ("matplotlib", "sktime", "dask", "accelerate", "safetensors")
MAX_LINES = 600

MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def module_of(path, package=PACKAGE):
    """Name the module of the list that a file belongs to."""
    return path.relative_to(package).with_suffix("").parts[0]


def place(module):
    """Find a module's floor and its line there; None for one that is not listed."""
    return next(((floor, names.index(module)) for floor, names in FLOORS.items() if module in names), None)


def imports_of(path, package=PACKAGE):
    """List what a file imports, anywhere in it, as (line, dotted name), relative names resolved."""
    folder = (package.name, *path.relative_to(package).parent.parts)
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            source = ".".join((*above, *filter(None, [node.module])))
            found += [(node.lineno, f"{source}.{alias.name}") for alias in node.names]
    return found


def wrong_import(path, name, package=PACKAGE):
    """Say in words why a file may not import a name; an empty str if it may."""
    module = module_of(path, package)
    floor, line = place(module)
    first, *rest = name.split(".")
    if first == package.name:
        target = rest[0] if rest else ""
        if target == module:
            return ""
        if place(target) is None:
            return "a name of the package itself or of an unlisted file; name the module that it comes from"
        target_floor, target_line = place(target)
        if target_floor not in SEES[floor]:
            return f"{module} is on floor {floor}, which does not see floor {target_floor}"
        if target_floor == floor and target_line > line:
            return f"{target} is listed below {module} on floor {floor}"
        return ""
    if floor == 1 and first in {"torch", "skorch"}:
        return "floor 1 knows data, not torch"
    if floor == 2 and first != "torch" and first not in sys.stdlib_module_names:
        return "floor 2 knows torch alone"
    if first == "sklearn" and module != "base" and any(part.startswith("_") for part in rest):
        return "private helpers of scikit-learn are imported in base.py alone"
    return ""


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_file_has_a_place(path):
    assert place(module_of(path)) is not None, (
        f"{name_of(path)} is on no floor. List it in FLOORS, below what it imports."
    )


@pytest.mark.parametrize("path", [path for path in MODULES if place(module_of(path))], ids=name_of)
def test_files_import_only_what_their_floor_sees(path):
    wrong = [
        f"{name_of(path)}:{line} imports {name}: {reason}"
        for line, name in imports_of(path)
        if (reason := wrong_import(path, name))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_long_modules_become_packages(path):
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert n_lines <= MAX_LINES, f"{name_of(path)} has {n_lines} lines: past {MAX_LINES} it becomes a package."


def test_package_only_re_exports():
    body = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")).body
    for node in body:
        if isinstance(node, ast.ImportFrom):
            origin = node.module.removeprefix(f"{PACKAGE.name}.")
            assert place(origin.split(".")[0]) is not None, f"__init__.py:{node.lineno} imports from {node.module}."
        elif isinstance(node, ast.Assign):
            assert [ast.unparse(target) for target in node.targets] == ["__all__"], ast.unparse(node)
        else:
            assert isinstance(node, ast.Expr), f"__init__.py:{node.lineno} does more than re-export."
            assert isinstance(node.value, ast.Constant), ast.unparse(node)


def test_import_stays_light():
    code = f"import sktime_rnn, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", f"`import sktime_rnn` imports {done.stdout.strip()}."


# -- the rules themselves: what they refuse, and what they let pass


def test_imports_are_found_and_resolved(tmp_path):
    file = tmp_path / "sequences" / "inner.py"
    file.parent.mkdir()
    file.write_text("from . import a\nfrom .b import c\nfrom .. import d\nfrom ..e import f\ndef g():\n    import h.i")
    root = tmp_path.name
    assert imports_of(file, tmp_path) == [
        (1, f"{root}.sequences.a"),
        (2, f"{root}.sequences.b.c"),
        (3, f"{root}.d"),
        (4, f"{root}.e.f"),
        (6, "h.i"),
    ]


@pytest.mark.parametrize(
    ("file", "name", "reason"),
    [
        ("sequences/_check.py", "sktime_rnn.panel.split", ""),
        ("sequences/_check.py", "sktime_rnn.sequences._container.Sequences", ""),
        ("preprocessing.py", "sklearn.base.BaseEstimator", ""),
        ("heads.py", "math.pi", ""),
        ("base.py", "sklearn.utils._param_validation.Interval", ""),
        ("displays.py", "matplotlib.pyplot", ""),
        ("panel.py", "sktime_rnn.sequences.Sequences", "listed below"),
        ("panel.py", "torch", "not torch"),
        ("cells.py", "numpy", "torch alone"),
        ("cells.py", "sktime_rnn.panel.split", "does not see floor 1"),
        ("nets.py", "sktime_rnn.base.BaseRNN", "does not see floor 4"),
        ("inspection.py", "sktime_rnn.displays.LossDisplay", "does not see floor 5"),
        ("export.py", "sktime_rnn.persistence.save", "does not see floor 5"),
        ("classifier.py", "sktime_rnn.RNNRegressor", "name the module"),
        ("classifier.py", "sklearn.utils._tags", "base.py alone"),
        ("classifier.py", "sklearn.utils.validation._check_y", "base.py alone"),
    ],
)
def test_rules(file, name, reason):
    found = wrong_import(PACKAGE / file, name)
    assert reason in found
    assert bool(found) == bool(reason)
