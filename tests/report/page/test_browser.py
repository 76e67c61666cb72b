"""A report in a browser: no error, no request, and controls that do what they say."""

import pytest

from mlgcn_pyg import LabelGraph
from mlgcn_pyg.report.page import write_page
from tests.report.page.conftest import opened
from tests.report.page.pages import made_content, made_targets

LONG = "a label of two hundred characters " * 6
SCRIPT = "<script>alert(1)</script>"
NAMES = [
    SCRIPT,
    "قطة سوداء",
    "猫",
    LONG.strip()[:200],
    "tie",
    "\"quoted\" & 'so'",
    *(f"label {c}" for c in range(6, 40)),
]


def odd_targets():
    targets = made_targets(250, len(NAMES))
    targets[:, 39] = 0
    targets[::7, 5] = -1
    return targets


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A page with all sections, of labels in several scripts; one has no positive image, one is unknown in some."""
    content = made_content(len(NAMES), 250, NAMES, targets=odd_targets(), pictures=4)
    return write_page(content, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def desktop(browser, path):
    with opened(browser, path, viewport={"width": 1200, "height": 900}) as found:
        yield found


@pytest.fixture(autouse=True)
def no_error(request):
    """After each test, the page of the module has no error and has requested nothing but itself."""
    yield
    if "desktop" in request.fixturenames:
        found = request.getfixturevalue("desktop")
        assert found.errors == []
        assert [url for url in found.requests if not url.startswith("data:")] == found.requests[:1]


def shown_edges(desktop) -> int:
    return desktop.page.evaluate(
        "[...document.querySelectorAll('#graph-frame .edge')].filter((edge) => edge.style.display !== 'none').length"
    )


def set_tau(desktop, value: str) -> None:
    desktop.page.locator("#graph-tau").fill(value)
    desktop.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def column(desktop, number: int) -> list[str]:
    cells = desktop.page.locator(f"#label-table tbody tr :nth-child({number}):is(td, th)")
    return [text.split()[0] for text in cells.all_inner_texts() if text.strip()]


def test_the_slider_changes_the_edges_and_says_how_many(desktop):
    before = shown_edges(desktop)
    assert desktop.text("#graph-count").startswith(f"{before} edges with P ≥ 0.40")
    set_tau(desktop, "0.8")
    assert 0 < shown_edges(desktop) < before
    assert desktop.text("#graph-count").startswith(f"{shown_edges(desktop)} edges with P ≥ 0.80")
    assert desktop.page.locator("#graph-count").get_attribute("aria-live") == "polite"
    set_tau(desktop, "0.2")
    assert shown_edges(desktop) > before
    set_tau(desktop, "0.4")
    assert shown_edges(desktop) == before


def test_the_slider_shows_the_edges_of_the_threshold(desktop):
    """The numbers are those of the graph with that τ."""
    graph = LabelGraph.from_targets(odd_targets(), tau=0.2)
    for tau in (0.3, 0.55):
        set_tau(desktop, str(tau))
        assert shown_edges(desktop) == graph.reweighted(tau=tau).edge_index.size(1)
    set_tau(desktop, "0.4")


def test_search_marks_labels_and_says_how_many(desktop):
    desktop.page.locator("#graph-search").fill("قطة")
    assert desktop.text("#graph-count") == "1 label found in the picture."
    assert desktop.count(".node.found") == 1
    desktop.page.locator("#graph-search").press("Enter")
    assert desktop.text("#graph-details h3") == "قطة سوداء"
    desktop.page.locator("#graph-search").press("Escape")
    assert desktop.count(".node.found") == 0


def test_the_widths_of_learned_weights(desktop):
    desktop.page.locator("#graph-widths").select_option("0")
    assert "learned weight" in desktop.text("#graph-count")
    assert desktop.count(".edge.heavier") > 0
    assert desktop.count(".edge.lighter") > 0
    desktop.page.locator("#graph-widths").select_option("-1")
    assert desktop.count(".edge.heavier") == 0


def test_keys_move_and_select(desktop):
    current = desktop.page.locator(".node[tabindex='0']")
    assert current.count() == 1
    current.focus()
    name = current.get_attribute("aria-label")
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "ArrowLeft"):
        desktop.page.keyboard.press(key)
    moved = desktop.page.locator(".node:focus")
    assert moved.count() == 1
    assert current.count() == 1
    assert moved.get_attribute("aria-label") != name
    desktop.page.keyboard.press("Enter")
    assert moved.get_attribute("aria-pressed") == "true"
    desktop.page.keyboard.press("Escape")
    assert moved.get_attribute("aria-pressed") == "false"


def test_a_label_is_dragged_and_the_picture_is_zoomed(desktop):
    node = desktop.page.locator(".node").nth(3)
    node.scroll_into_view_if_needed()
    before = node.bounding_box()
    desktop.page.mouse.move(before["x"] + before["width"] / 2, before["y"] + before["height"] / 2)
    desktop.page.mouse.down()
    desktop.page.mouse.move(before["x"] + 60, before["y"] + 40, steps=3)
    desktop.page.mouse.up()
    set_tau(desktop, "0.4")  # waits for the next frame
    after = node.bounding_box()
    assert after["x"] > before["x"] + 20
    desktop.page.get_by_role("button", name="Zoom in").click()
    set_tau(desktop, "0.4")
    assert node.bounding_box() != after
    desktop.page.get_by_role("button", name="Show the whole graph").click()


def test_sorting_sorts(desktop):
    button = desktop.page.locator("#label-table thead th", has_text="positives").locator("button")
    heading = desktop.page.locator("#label-table thead th", has_text="positives")
    assert heading.get_attribute("aria-sort") == "descending"
    numbers = [int(text.replace(",", "")) for text in column(desktop, 3)]
    assert numbers == sorted(numbers, reverse=True)
    button.click()
    assert heading.get_attribute("aria-sort") == "ascending"
    numbers = [int(text.replace(",", "")) for text in column(desktop, 3)]
    assert numbers == sorted(numbers)
    assert numbers[0] == 0


def test_labels_without_positives_come_last_in_both_orders(desktop):
    heading = desktop.page.locator("#label-table thead th", has_text="linear")
    desktop.page.locator(".more", has_text="Show all").first.click()
    for order in ("descending", "ascending"):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == order
        assert column(desktop, 5)[-1] == "–"
    desktop.page.locator(".more", has_text="Show the first").first.click()


def test_the_filter_keeps_labels_with_its_text(desktop):
    field = desktop.page.locator("[data-filter=label-table]")
    field.fill("label 1")
    visible = desktop.page.locator("#label-table tbody tr:visible").count()
    assert visible == 10  # label 10 … 19
    assert desktop.text("#labels [role=status]") == "10 labels found"
    field.fill("")
    assert desktop.page.locator("#label-table tbody tr:visible").count() == 25


def test_a_label_named_script_stays_text(desktop):
    assert desktop.page.get_by_text(SCRIPT, exact=True).count() > 1
    assert desktop.page.evaluate("document.querySelectorAll('body script').length") == 3  # data, plotly, the page's own
    option = desktop.page.locator("#curve-label option", has_text=SCRIPT)
    assert option.count() == 1


def test_the_chooser_changes_the_curves(desktop):
    chooser = desktop.page.locator("#curve-label")
    together = desktop.text("#curve-summary")
    assert "mAP" in together
    chooser.select_option(label="tie")
    assert desktop.text("#curve-summary") != together
    assert "positives. linear: AP" in desktop.text("#curve-summary")
    chooser.select_option(label="label 39")
    assert desktop.text("#curve-precision").count("no positive image") == 1
    desktop.page.get_by_role("button", name="Next label").click()
    assert desktop.count("#curve-precision .scatterlayer .trace") == 4


def test_every_control_has_a_name(desktop):
    unnamed = desktop.page.evaluate(
        """[...document.querySelectorAll("input, select, button, [role=region], [role=img], [role=button]")].filter(
        (part) => !(part.getAttribute("aria-label") || part.textContent.trim() || (part.labels && part.labels.length))
        ).map((part) => part.outerHTML)"""
    )
    assert unnamed == []
    assert desktop.page.evaluate("[...document.images].filter((image) => !image.alt).length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_enough_contrast(desktop, scheme):
    """WCAG AA: 4.5:1 for text, 3:1 for graphical objects."""
    desktop.page.emulate_media(color_scheme=scheme)
    names = ["paper", "wash", "ink", "muted", "accent", "warm", *(f"head{k}" for k in range(6))]
    colours = desktop.page.evaluate(
        """(names) => names.map((name) =>
        getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim())""",
        names,
    )
    desktop.page.emulate_media(color_scheme="light")
    found = dict(zip(names, map(luminance, colours), strict=True))
    assert (found["paper"] < 0.1) == (scheme == "dark")
    assert min(contrast(found[text], found[g]) for text in names[2:6] for g in ("paper", "wash")) >= 4.5
    assert min(contrast(found[head], found["paper"]) for head in names[6:]) >= 3


def luminance(colour: str) -> float:
    """Returns the relative luminance of WCAG 2."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def test_a_phone_shows_the_page_without_scrolling_sideways(browser, path):
    with opened(browser, path, viewport={"width": 360, "height": 740}) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert len(found.page.screenshot(full_page=True)) > 50_000
        assert found.errors == []


def test_the_page_prints(browser, path):
    with opened(browser, path) as found:
        assert found.page.pdf(format="A4").startswith(b"%PDF")
        found.page.emulate_media(media="print")
        assert found.page.locator("nav").is_hidden()
        assert found.page.locator("#label-table tbody tr:visible").count() == len(NAMES)


def test_the_page_is_readable_without_scripts(browser, path):
    with opened(browser, path, java_script_enabled=False) as found:
        assert found.page.locator("#label-table tbody tr:visible").count() == len(NAMES)
        assert found.page.locator("#graph-tau").is_hidden()
        assert found.page.locator("noscript").first.is_visible()
