"""Settings of Sphinx, https://www.sphinx-doc.org/en/master/usage/configuration.html."""

from importlib.metadata import version as installed_version

project = "sktime_rnn"
author = "the sktime_rnn developers"
copyright = author
release = installed_version("sktime-rnn")

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["_build"]

autosummary_generate = True
numpydoc_show_class_members = False
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "generated/examples",
    "filename_pattern": "plot_",
    "ignore_pattern": "demo",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_show_sourcelink = False
