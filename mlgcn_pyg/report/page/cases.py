"""The sections with confusions, broken expectations, confident mistakes and suspected labels."""

import base64
from collections.abc import Sequence

from mlgcn_pyg.html import Html, element, escaped, joined
from mlgcn_pyg.report.page.content import BrokenExpectation, Case, PageContent, Thumbnail
from mlgcn_pyg.report.page.parts import Cell, Heading, data_table, label, note, percent, probability, section

GIVEN = {1: "present", 0: "absent", -1: "unknown"}
MOST_LABELS = 6  # other labels that a case lists


def confusions(content: PageContent) -> Html:
    """Returns the labels that are predicted instead of others, and the expectations that predictions break."""
    return section("confusions", "Confusions and broken expectations", _confused(content), _broken(content))


def mistakes(content: PageContent) -> Html:
    """Returns the predictions that contradict the given labels with the most confidence."""
    wrong = [case for case in content.mistakes if case.given == 0]
    missed = [case for case in content.mistakes if case.given == 1]
    other = [case for case in content.mistakes if case.given not in (0, 1)]
    groups = [("Predicted with confidence, but not given", wrong), ("Given, but predicted with a low P", missed)]
    shown = [
        part for title, cases in [*groups, ("Other", other)] if cases for part in (element("h3", title), _cases(cases))
    ]
    sentence = "A confident mistake is an error of the head, or a wrong label of the image. P is the prediction."
    return section("mistakes", "Confident mistakes", *([note(sentence), *shown] if shown else []))


def suspects(content: PageContent) -> Html:
    """Returns the labels that are most likely wrong."""
    if not content.suspects:
        return Html("")
    sentence = (
        "Given labels that are most likely wrong, the most suspicious first. They are judged by the prediction, P, and "
        "by the other labels of the image together; “expected” is the probability by the other labels alone."
    )
    return section("suspects", "Suspected labels", note(sentence), _cases(content.suspects))


def _confused(content: PageContent) -> Html:
    if not content.confusions:
        return Html("")
    headings = [Heading("given, but not predicted", False), Heading("predicted instead", False)]
    headings += [Heading("images", sorted="descending")]
    rows = [
        [label(found.missed), label(found.instead), Cell(f"{found.images:,}", found.images)]
        for found in content.confusions
    ]
    caption = "How often one label is missed in an image for which another one is predicted wrongly."
    return data_table(caption, headings, rows, sortable=True)


def _broken(content: PageContent) -> Html:
    if not content.broken:
        return Html("")
    headings = [Heading("predicted", False), Heading("without", False), Heading("P of the edge")]
    headings += [Heading("images"), Heading("expected"), Heading("share in %")]
    pictured = any(example.picture for found in content.broken for example in found.examples)
    headings += [Heading("examples", False, sortable=False)] if pictured else []
    rows = [[*_expectation(found), *([_examples(found)] if pictured else [])] for found in content.broken]
    caption = (
        "Images for which a label is predicted without the label that it makes likely. P is the share of the training "
        "images with the first label that also have the second, or the number that was given for a known edge. If the "
        "first label is predicted for n images, n (1 − P) such images are expected. The pairs that exceed this number "
        "most come first. The last number is the share of these n images."
    )
    return data_table(caption, headings, rows, sortable=True)


def _expectation(found: BrokenExpectation) -> list[object]:
    return [
        label(found.source),
        label(found.target),
        Cell(probability(found.probability), found.probability),
        Cell(f"{found.images:,}", found.images),
        Cell(f"{found.expected:,.0f}", found.expected),
        Cell(percent(found.share), found.share),
    ]


def _examples(found: BrokenExpectation) -> Html:
    alt = f"predicted {found.source} without {found.target}"
    pictures = [_picture(example, f"{example.image}: {alt}") for example in found.examples if example.picture]
    return element("span", *pictures, class_="examples")


def _cases(cases: Sequence[Case]) -> Html:
    """Returns cases with pictures in a grid, and cases without any picture as a table."""
    if any(case.thumbnail.picture for case in cases):
        return element("ul", *(element("li", _figure(case)) for case in cases), class_="cases")
    expects = any(case.expected is not None for case in cases)
    reasons = any(case.reason for case in cases)
    headings = [Heading("image", False), Heading("label", False), Heading("given", False), Heading("P")]
    headings += [Heading("expected")] if expects else []
    headings += [Heading("reason", False)] if reasons else []
    headings += [Heading("other labels of the image", False, sortable=False)]
    rows = []
    for case in cases:
        row: list[object] = [case.thumbnail.image, label(case.label), GIVEN[case.given]]
        row += [Cell(probability(case.probability), case.probability)]
        row += [Cell(probability(case.expected), case.expected)] if expects else []
        rows.append([*row, *([case.reason] if reasons else []), _labels(case)])
    return data_table("Images are listed by name, without pictures.", headings, rows, sortable=True)


def _figure(case: Case) -> Html:
    alt = f"{case.thumbnail.image}: {case.label} is {GIVEN[case.given]} as given, P {probability(case.probability)}"
    terms = [_term("given", GIVEN[case.given]), _term("P", probability(case.probability))]
    terms += [] if case.expected is None else [_term("expected", probability(case.expected))]
    lines = [
        element("strong", label(case.label)),
        element("span", *terms, class_="terms"),
        element("span", case.reason) if case.reason else Html(""),
        _labels(case),
        element("span", case.thumbnail.image, class_="file"),
    ]
    return element("figure", _picture(case.thumbnail, alt), element("figcaption", *lines))


def _term(name: str, value: str) -> Html:
    return element("span", Html(f"{escaped(name)} "), element("b", value))


def _labels(case: Case) -> Html:
    """Returns the other labels of the image: those that are given, and those that are predicted but not given."""
    others = [found for found in case.labels if found[0] != case.label]
    given = [label(name) for name, target, _ in others if target == 1]
    predicted = [Html(f"{label(name)} {probability(p)}") for name, target, p in others if target != 1]
    parts = [Html(f"with {_listed(given)}")] if given else []
    parts += [Html(f"also predicted: {_listed(predicted)}")] if predicted else []
    return element("span", joined(parts, "; ")) if parts else Html("")


def _listed(names: Sequence[Html]) -> Html:
    more = f" and {len(names) - MOST_LABELS} more" if len(names) > MOST_LABELS else ""
    return Html(f"{joined(names[:MOST_LABELS], ', ')}{more}")


def _picture(thumbnail: Thumbnail, alt: str) -> Html:
    if thumbnail.picture is None:
        return element("div", "no picture", class_="missing")
    data = f"data:image/jpeg;base64,{base64.b64encode(thumbnail.picture).decode('ascii')}"
    return element("img", src=data, alt=alt)
