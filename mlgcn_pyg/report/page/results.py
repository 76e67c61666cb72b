"""The sections with the verdict, the metrics of the heads, and the average precision of each label."""

from collections.abc import Sequence

from mlgcn_pyg.evaluation import COUNT_METRICS
from mlgcn_pyg.html import Html, element, escaped
from mlgcn_pyg.report.page.content import HeadContent, PageContent
from mlgcn_pyg.report.page.dots import dots, scale_of
from mlgcn_pyg.report.page.parts import (
    Cell,
    Heading,
    data_table,
    head_name,
    images,
    label,
    note,
    percent,
    section,
    with_interval,
)


def verdict(content: PageContent) -> Html:
    """Returns the sentences of the verdict, the first one larger."""
    sentences = [element("p", line, class_=None if place else "lead") for place, line in enumerate(content.verdict)]
    return section("verdict", "Verdict", *sentences)


def heads(content: PageContent) -> Html:
    """Returns the tables of mAP with intervals, and of precision, recall and F1."""
    if not content.heads:
        return Html("")
    return section("heads", "Heads", _mean_table(content), _count_table(content), _seeds(content))


def labels(content: PageContent) -> Html:
    """Returns the table of the labels, the most frequent first."""
    if not content.heads:
        return Html("")
    positives = (content.targets == 1).sum(0).tolist()
    counts = label_counts(content)
    order = sorted(range(len(positives)), key=lambda c: (-positives[c], str(content.label_names[c])))
    headings = [Heading("label", number=False)]
    headings += [Heading("training images")] if counts is not None else []
    headings += [Heading("positives", sorted="descending"), Heading(_axis("AP", 0.0, 1.0), False, sortable=False)]
    headings += [Heading(head_name(k, head.name)) for k, head in enumerate(content.heads)]
    rows = []
    for c in order:
        found = [head.AP[c] for head in content.heads]
        row: list[object] = [label(content.label_names[c])]
        row += [Cell(f"{counts[c]:,}", counts[c])] if counts is not None else []
        row += [Cell(f"{positives[c]:,}", positives[c]), dots(found, (0.0, 1.0))]
        rows.append([*row, *(Cell(with_interval(ap), ap.value) for ap in found)])
    caption = (
        f"Average precision (AP) of each label in per cent, with its {100 * content.level:g} % interval over the "
        f"images. Positives are those among the {images(content.num_images)} of {content.images}."
    )
    tools = element(
        "p", element("label", "Filter labels ", element("input", type="search", data_filter="label-table")),
        element("span", class_="count", role="status"), class_="tools needs-script",
    )  # fmt: skip
    return section("labels", "Labels", tools, data_table(caption, headings, rows, name="label-table", sortable=True))


def label_counts(content: PageContent) -> Sequence[int] | None:
    """Returns the numbers of training images with each label; None if they are unknown."""
    if content.label_counts is not None:
        return list(content.label_counts)
    if content.graph is not None and bool(content.graph.label_counts.any()):
        counts: list[int] = content.graph.label_counts.tolist()
        return counts
    return None


def _mean_table(content: PageContent) -> Html:
    found = [head.mAP for head in content.heads]
    scale = scale_of(found)
    differs = any(head.difference is not None for head in content.heads)
    headings = [Heading("head", number=False), Heading("mAP"), Heading(_axis("", *scale), number=False)]
    headings += [Heading(Html(f"against {escaped(content.reference or 'the first')}"))] if differs else []
    rows = [_mean_row(content, place, differs, scale) for place in range(len(content.heads))]
    caption = (
        f"Mean average precision (mAP) over the labels in per cent, on {images(content.num_images)} of "
        f"{content.images}. Lines and small numbers are {100 * content.level:g} % intervals over the images"
        + ("; differences are paired over the images." if differs else ".")
    )
    return data_table(caption, headings, rows)


def _mean_row(content: PageContent, place: int, differs: bool, scale: tuple[float, float]) -> list[object]:
    head = content.heads[place]
    row: list[object] = [_named(head, place), with_interval(head.mAP), dots([head.mAP], scale, first=place)]
    if differs:
        reference = "" if head.difference is None else with_interval(head.difference, "+")
        row.append(reference)
    return row


def _named(head: HeadContent, place: int) -> Html:
    mark = f" {element('span', 'recommended', class_='mark')}" if head.recommended else ""
    return Html(f"{head_name(place, head.name)}{mark}")


def _seeds(content: PageContent) -> Html:
    """Returns a sentence about heads that were trained with several seeds; empty if there are none."""
    several = [f"{head.name} ({head.num_seeds})" for head in content.heads if head.num_seeds > 1]
    if not several:
        return Html("")
    text = (
        f"Trained with several seeds: {', '.join(several)}. The tables show their mean. Curves, confusions, mistakes "
        "and suspicious labels are those of the first seed."
    )
    return note(text)


def _count_table(content: PageContent) -> Html:
    parts = [(part, title) for part, title in (("all", ""), ("top3", "³")) if any(part in h.row for h in content.heads)]
    if not parts:
        return Html("")
    headings = [Heading("head", number=False)]
    headings += [Heading(f"{name}{title}") for _, title in parts for name in COUNT_METRICS]
    rows = [
        [head_name(place, head.name)]
        + [percent(head.row.get(part, {}).get(name)) for part, _ in parts for name in COUNT_METRICS]
        for place, head in enumerate(content.heads)
    ]
    caption = "Precision (P), recall (R) and F1 in per cent: C averages over the labels, O counts over all labels."
    caption += " Columns marked ³ use the three highest labels of each image." if len(parts) > 1 else ""
    return data_table(caption, headings, rows)


def _axis(title: str, low: float, high: float) -> Html:
    """Returns the heading of a column of dots: its title between the ends of the scale."""
    ends = [element("span", f"{100 * end:.0f}") for end in (low, high)]
    return element("span", ends[0], element("span", title), ends[1], class_="axis")
