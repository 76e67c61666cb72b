"""A report as one HTML file that requests nothing from a network."""

from mlgcn_pyg.report.page.content import (
    BrokenExpectation,
    Case,
    Confusion,
    Fact,
    HeadContent,
    PageContent,
    StudyContent,
    Thumbnail,
)
from mlgcn_pyg.report.page.writing import write_page

__all__ = [
    "BrokenExpectation",
    "Case",
    "Confusion",
    "Fact",
    "HeadContent",
    "PageContent",
    "StudyContent",
    "Thumbnail",
    "write_page",
]
