"""The sections with training curves, with how to make the results again, and with the meaning of words."""

from typing import Any

from mlgcn_pyg.html import Html, element, escaped
from mlgcn_pyg.report.page.content import HeadContent, PageContent
from mlgcn_pyg.report.page.parts import note, section

CURVES = {"loss": "training loss", "mAP": "mAP in per cent"}
WORDS = {
    "AP": (
        "Average precision of a label: images are sorted by their score for the label, and the precision at each "
        "positive image is averaged. 100 means that all positive images come first."
    ),
    "mAP": "The mean of AP over the labels that have a positive image.",
    "P": "A probability between 0 and 1: of a label in an image as predicted, or of label j given label i, P(j | i).",
    "positives": "The images in which a label is given as present.",
    "precision": "The share of the predictions that are right.",
    "recall": "The share of the positives that are predicted.",
    "F1": "The harmonic mean of precision and recall.",
    "CP, CR, CF1; OP, OR, OF1": (
        "Precision, recall and F1 as means over the labels (C), and from counts over all labels together (O)."
    ),
    "interval": (
        "A range that covers the value for new images of the same kind with the given probability. It is computed from "
        "random samples of the images, and does not include what another training set would change."
    ),
    "reliability": (
        "Whether P means what it says: of the predictions with P near 0.7, 70 per cent should be right. ECE is the "
        "mean distance from that, weighted by the number of predictions."
    ),
    "label graph, τ": "Labels that make others likely. An edge i → j requires P(j | i) ≥ τ.",
    "hub": "A label with very many edges, such as “person”.",
}


def training_values(heads: tuple[HeadContent, ...]) -> list[dict[str, Any]]:
    """Returns the curves of the heads that were trained for several epochs."""
    values = []
    for place, head in enumerate(heads):
        epochs = [record.get("epoch", number) for number, record in enumerate(head.history, start=1)]
        for key in CURVES:
            points = [
                (epoch, 100 * value if key == "mAP" else value)
                for epoch, record in zip(epochs, head.history, strict=True)
                if (value := record.get(key)) is not None and value == value
            ]
            if len(points) > 1:
                values.append({"head": place, "kind": key, "x": [x for x, _ in points], "y": [y for _, y in points]})
    return values


def training(content: PageContent) -> Html:
    """Returns the section with places for the curves; empty if no head has several epochs."""
    kinds = {found["kind"] for found in training_values(tuple(content.heads))}
    plots = [
        element("div", class_="plot", data_training=kind, role="img", aria_label=f"{name} of each head by epoch")
        for kind, name in CURVES.items()
        if kind in kinds
    ]
    if not plots:
        return Html("")
    sentence = "How the heads that were trained by gradient descent improved, epoch by epoch."
    return section("training", "Training", note(sentence), element("div", *plots, class_="plots needs-script"))


def reproduce(content: PageContent) -> Html:
    """Returns the commands, versions, digests and files."""
    parts = []
    if content.commands:
        lines = Html("\n".join(escaped(line) for line in content.commands))
        button = element("button", "Copy", type="button", data_copy="commands", class_="needs-script")
        parts += [element("div", element("pre", lines, id="commands", tabindex=0), button, class_="commands")]
    if content.facts:
        pairs = [part for fact in content.facts for part in (element("dt", fact.name), element("dd", fact.value))]
        parts.append(element("dl", *pairs, class_="facts"))
    return section("reproduce", "Reproduce", *parts)


def words() -> Html:
    """Returns the meaning of the words that the page uses."""
    pairs = [part for word, meaning in WORDS.items() for part in (element("dt", word), element("dd", meaning))]
    return section("words", "Words", element("dl", *pairs, class_="words"))
