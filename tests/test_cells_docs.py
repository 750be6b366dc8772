"""The page of cells tells of every cell and parameter there is; what it shows has an equation and an example."""

import inspect
import re
from pathlib import Path

import pytest

from sktime_rnn import cells
from sktime_rnn.layers import Layers

PAGE = (Path(__file__).parents[1] / "docs" / "cells.rst").read_text(encoding="utf-8")
# a heading is a line of text and a line of signs of the same length
HEADINGS = list(re.finditer(r"^(?P<title>\w.*)\n(?P<signs>=+|-+|~+)\n$", PAGE, flags=re.MULTILINE))
ENDS = [heading.start() for heading in HEADINGS[1:]] + [len(PAGE)]
SECTIONS = {
    heading["title"]: PAGE[heading.end() : end]
    for heading, end in zip(HEADINGS, ENDS, strict=True)
    if heading["signs"][0] == "~"
}
SHOWN = "\n".join(SECTIONS.values())  # without the tables of all cells


def concrete_cells():
    values = (getattr(cells, name) for name in cells.__all__)
    classes = [value for value in values if inspect.isclass(value) and issubclass(value, cells.Cell)]
    return [cls for cls in classes if not inspect.isabstract(cls)]


CLASSES = [*concrete_cells(), Layers]
PARAMETERS = sorted({name for cls in CLASSES for name in inspect.signature(cls).parameters})


def test_underlines_are_as_long_as_their_titles():
    assert [h["title"] for h in HEADINGS if len(h["title"]) != len(h["signs"])] == []


@pytest.mark.parametrize("name", sorted(cells.CELLS))
def test_every_name_stands_in_the_tables_and_is_shown(name):
    assert f'``"{name}"``' in PAGE
    assert f'``cell="{name}"``' in SHOWN


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_is_shown(cls):
    assert re.search(rf"\b{cls.__name__}\b", SHOWN)


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_shown(name):
    assert re.search(rf"``{name}``|\b{name}=|\({name}[,)]", SHOWN)


@pytest.mark.parametrize("title", SECTIONS)
def test_every_section_has_an_equation_and_an_example(title):
    assert re.search(r"^\.\. math::", SECTIONS[title], flags=re.MULTILINE)
    assert re.search(r"^>>> ", SECTIONS[title], flags=re.MULTILINE)


def test_sections_are_found():
    assert len(SECTIONS) > 15
