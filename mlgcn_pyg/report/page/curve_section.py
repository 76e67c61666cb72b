"""The section with precision-recall and reliability curves of one label at a time."""

from mlgcn_pyg.html import Html, element, joined
from mlgcn_pyg.report.page.content import PageContent
from mlgcn_pyg.report.page.parts import head_name, note, section

EXPLANATION = (
    "First: the precision of each head at each recall; the mark is where P > 0.5 counts as predicted. Second: how "
    "often predictions with a given P are right. On the diagonal, P means what it says; larger marks are more "
    "predictions."
)


def curves(content: PageContent) -> Html:
    """Returns the section with places for the plots; empty without heads."""
    if not content.heads:
        return Html("")
    order = sorted(range(len(content.label_names)), key=lambda c: str(content.label_names[c]).casefold())
    names = [element("option", content.label_names[c], value=c + 1) for c in order]
    options = joined([element("option", "all labels together", value=0), *names])
    chooser = element("label", "Label ", element("select", options, id="curve-label"))
    steps = [element("button", text, type="button", data_step=step, aria_label=name) for text, step, name in STEPS]
    tools = element("div", chooser, element("span", *steps, class_="zoom"), class_="tools")
    legend = [head_name(k, head.name) for k, head in enumerate(content.heads)]
    if any(head.calibrated is not None for head in content.heads):
        legend.append(element("span", "dotted: calibrated on the validation images"))
    status = element("p", id="curve-summary", class_="count", role="status", aria_live="polite")
    plots = [
        element("div", id=f"curve-{kind}", class_="plot square", role="img", aria_label=name) for kind, name in KINDS
    ]
    picture = element(
        "div",
        tools,
        element("p", *legend, class_="legend"),
        status,
        element("div", *plots, class_="plots"),
        class_="needs-script",
    )
    missing = element("noscript", element("p", "The curves require scripts."))
    return section("curves", "Curves", note(EXPLANATION), picture, missing)


STEPS = (("Previous", -1, "Previous label"), ("Next", 1, "Next label"))
KINDS = (("precision", "Precision-recall curves"), ("reliability", "Reliability curves"))
