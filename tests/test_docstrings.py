"""Docstrings say what the code does: every parameter, what is returned, and examples that run."""

import doctest
import importlib
import inspect
import io
import pkgutil
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import sktime_rnn

ROOT = Path(__file__).parents[1]
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst"))]
MODULES = sorted(module.name for module in pkgutil.walk_packages(sktime_rnn.__path__, "sktime_rnn."))
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

# What users import: the names of the package and those of these modules. Their docstrings are complete; below, one
# sentence is enough, and what a docstring says is true.
SURFACE = (
    "datasets",
    "classifier",
    "regressor",
    "forecaster",
    "seq2seq",
    "reservoir",
    "baselines",
    "model_selection",
    "streaming",
    "inspection",
    "displays",
    "persistence",
    "export",
    "sktime_adapter",
)
# Of what numpydoc finds, by its names; the rest are matters of taste.
TRUE = {
    "GL06",  # an unknown section
    "GL07",  # sections in another order than numpydoc's
    "GL08",  # no docstring
    "SS03",  # no period after the summary
    "SS06",  # a summary of more than one line
    "PR02",  # a documented parameter that does not exist
    "PR03",  # parameters in another order than the signature's
    "PR10",  # no space before the colon
}
COMPLETE = TRUE | {
    "PR01",  # a parameter that is not documented
    "PR04",  # a parameter without a type
    "PR07",  # a parameter without a description
    "RT01",  # no Returns section, though something is returned
    "RT03",  # a return value without a description
    "YD01",  # no Yields section, though something is yielded
}


def public_objects():
    """List (dotted name, checks) of the public functions and classes, and of their methods and properties."""
    found = []
    for name in MODULES:
        if any(part.startswith("_") for part in name.split(".")):
            continue
        for member, value in public_members(importlib.import_module(name)):
            on_surface = name.split(".")[1] in SURFACE or getattr(sktime_rnn, member, None) is value
            checks = COMPLETE if on_surface else TRUE
            found.append((f"{name}.{member}", checks))
            if inspect.isclass(value):
                found += [(f"{name}.{member}.{method}", checks) for method in public_methods(value)]
    return found


def public_members(module):
    """List the classes and functions that a module defines, or names in __all__."""
    names = getattr(module, "__all__", None)
    for name, value in inspect.getmembers(module, lambda value: inspect.isclass(value) or inspect.isfunction(value)):
        own = value.__module__ == module.__name__ and not name.startswith("_")
        if own if names is None else name in names:
            yield name, value


def public_methods(cls):
    """List the methods that a class itself defines, and the properties that its own docstring leaves out."""
    attributes = {attribute.name for attribute in NumpyDocString(inspect.getdoc(cls) or "")["Attributes"]}
    for name, value in vars(cls).items():
        is_method = inspect.isfunction(value) or isinstance(value, classmethod | staticmethod)
        if not name.startswith("_") and (is_method or isinstance(value, property) and name not in attributes):
            yield name


def run_examples(examples):
    """Run one doctest; return what went wrong as text, and how many examples there were."""
    report = io.StringIO()
    results = doctest.DocTestRunner(optionflags=OPTIONS).run(examples, out=report.write)
    return report.getvalue(), results.attempted


@pytest.mark.parametrize(("name", "checks"), [pytest.param(*found, id=found[0]) for found in public_objects()])
def test_docstring(name, checks):
    faults = [f"{code}: {text}" for code, text in validate(name)["errors"] if code in checks]
    assert not faults, f"The docstring of {name}:\n" + "\n".join(faults)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_are_true(name):
    for examples in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        report, _ = run_examples(examples)
        assert not report, report


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_examples_of_texts_are_true(path):
    text = re.sub(r"^```.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)  # a fence is no output
    report, attempted = run_examples(doctest.DocTestParser().get_doctest(text, {}, path.name, str(path), 0))
    assert not report, report
    assert attempted or ">>>" not in text


BAD = '''
def f(x, y):
    """Do it

    Parameters
    ----------
    z : int
        One.
    """
    return x
'''


def test_checks_find_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "badly_documented.py").write_text(BAD)
    monkeypatch.syspath_prepend(tmp_path)
    codes = {code for code, _ in validate("badly_documented.f")["errors"]}
    assert codes & TRUE == {"SS03", "PR02"}
    assert codes & COMPLETE == {"SS03", "PR02", "PR01", "RT01"}


def test_examples_are_run():
    report, attempted = run_examples(doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "sum", None, 0))
    assert attempted == 1
    assert "Expected:\n    3\nGot:\n    2" in report
