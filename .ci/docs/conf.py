"""Sphinx's configuration: the guides, and the API reference made from the docstrings (``make docs``).

Every object is documented in the module that defines it. A reference to a name that a package re-exports
(``mlgcn_pyg.graph.LabelGraph``) is resolved to that place, and fails the build if no such name exists. Formulas become
MathML when the pages are built, so that the site needs neither JavaScript nor a network. The guides are scripts in
``guides`` that sphinx-gallery runs and shows with their output.
"""

import importlib
import logging as logging_of_python
import warnings
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.domains.python import PyObject
from sphinx.util import logging

import mlgcn_pyg

project = "mlgcn_pyg"
author = "The mlgcn_pyg developers"
copyright = author
version = release = mlgcn_pyg.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_gallery.gen_gallery"]
html_theme = "furo"
html_title = f"mlgcn_pyg {release}"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["guides.css"]

# text in single backquotes is code
default_role = "code"
add_module_names = False
toc_object_entries = False  # listing every function beside every page makes the build slow
python_use_unqualified_type_names = True
maximum_signature_line_length = 100
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes stand in the class: those of a dataclass exist once
napoleon_custom_sections = [("Shapes", "notes_style"), ("Shape", "notes_style"), ("Source", "notes_style")]
autodoc_inherit_docstrings = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "ignore-module-all": True, "show-inheritance": True}

# pages show warnings of the guides without a place in the code, and nothing of what torch and its exporter report
warnings.formatwarning = lambda message, category, *_, **__: f"{category.__name__}: {message}\n"
warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
for library in ("onnx_ir", "onnxscript"):
    logging_of_python.getLogger(library).setLevel("WARNING")

# the guides are run when the pages are built; an exception in one fails the build
sphinx_gallery_conf = {
    "examples_dirs": str(Path(__file__).with_name("guides")),
    "gallery_dirs": "guides",
    "within_subsection_order": "FileNameSortKey",
    "filename_pattern": r"\d_\w+\.py",
    "capture_repr": ("_repr_html_", "__repr__"),
    "reference_url": {"mlgcn_pyg": None},  # names in the code are links to these pages
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 10**6,  # seconds: pages do not depend on how long a build takes
    "reset_modules": (),
    "remove_config_comments": True,
}

# an attribute's own name is looked up as a reference too: several classes have a "tau"
suppress_warnings = ["ref.python"]

log = logging.getLogger(__name__)


def definition(target: str) -> str | None:
    """The full name under which the object ``target`` is documented, or None if it does not exist."""
    parts = target.split(".")
    for split in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for name in parts[split:]:
            value = getattr(value, name, None)
        if value is None:
            return None
        module = getattr(value, "__module__", None)
        return f"{module}.{value.__qualname__}" if module and hasattr(value, "__qualname__") else target
    return None


def resolve(app, env, node, contnode):
    """Resolves names that a module imports or a package re-exports; warns about full names that do not exist."""
    target, module = node.get("reftarget", ""), node.get("py:module") or "mlgcn_pyg"
    if node.get("refdomain") != "py" or not target:
        return None
    full = target.startswith("mlgcn_pyg")
    found = definition(target if full else f"{module}.{target}")
    if found is None and full:
        log.warning("unknown name: %s", target, location=node)
    elif found and found.startswith("mlgcn_pyg"):
        domain = env.get_domain("py")
        return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], found, node, contnode)
    return None


def list_public_names(app, what, name, obj, options, lines):
    """Adds to a package's page the names that it exports, each with a link to its documentation."""
    if what != "module" or not hasattr(obj, "__path__") or not hasattr(obj, "__all__"):
        return
    links = [f":py:obj:`{public} <{name}.{public}>`" for public in obj.__all__ if not public.startswith("_")]
    if links:
        lines += ["", f"Public names: {', '.join(links)}.", ""]


def as_mathml(self, node: nodes.Element, display: str) -> None:
    self.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def visit_inline(self, node):
    as_mathml(self, node, "inline")


def visit_display(self, node):
    self.body.append(self.starttag(node, "div", CLASS="math", style="overflow-y: hidden"))
    self.body.append(convert(node.astext(), display="block"))
    self.body.append("</div>")
    raise nodes.SkipNode


def setup(app):
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", list_public_names)
