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

__all__ = ["BrokenExpectation", "Case", "Confusion", "Fact", "HeadContent", "PageContent", "StudyContent", "Thumbnail"]
