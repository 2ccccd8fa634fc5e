# SPDX-License-Identifier: GPL-2.0
"""The manual, for Sphinx. The Makefile sets KSRC, a kernel's source: its extension reads kernel-doc comments."""

import os
import pathlib
import re
import sys

here = pathlib.Path(__file__).resolve().parent
root = here.parent
kernel = os.environ["KSRC"]
sys.path[:0] = [str(here / "sphinx"), f"{kernel}/Documentation/sphinx"]

project = "vmx"
version = release = ".".join(re.findall(r"#define VMX_API_M\w+ (\d+)", (root / "uapi/linux/vmx.h").read_text()))
exclude_patterns = ["man"]
highlight_language = "none"
smartquotes = False
extensions = ["kerneldoc", "manual", "sphinx.ext.graphviz"]

kerneldoc_bin = f"{kernel}/scripts/kernel-doc"
kerneldoc_srctree = str(root)
graphviz_output_format = "svg"

html_theme = "sphinx_rtd_theme"
html_theme_options = {"navigation_depth": 3}
html_copy_source = False
html_show_copyright = False
