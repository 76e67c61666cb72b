"""Draws a scene from its labels with random positions, sizes, colours, occlusion and sensor noise.

Coordinates are fractions of the image: x to the right, y down, both in [0, 1].
"""

from collections.abc import Callable, Iterable

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLING = 2  # factor by which scenes are drawn larger and then reduced, to smooth edges
NOISE = 10.0  # standard deviation, in grey levels

Colour = tuple[int, int, int]


class Pen:
    """A drawing surface with fractional coordinates and a random generator."""

    def __init__(self, image: Image.Image, rng: np.random.Generator):
        self.draw, self.side, self.rng = ImageDraw.Draw(image), image.width, rng

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def colour(self, red: int, green: int, blue: int, spread: int = 25) -> Colour:
        jitter = self.rng.integers(-spread, spread + 1, 3)
        red, green, blue = (int(v) for v in np.clip(np.array([red, green, blue]) + jitter, 0, 255))
        return red, green, blue

    def bright(self) -> Colour:
        """Returns a random saturated colour."""
        channels = [self.rng.integers(170, 256), self.rng.integers(0, 120), self.rng.integers(0, 256)]
        red, green, blue = (int(v) for v in self.rng.permutation(channels))
        return red, green, blue

    def _scale(self, points: Iterable[float]) -> list[float]:
        return [v * self.side for v in points]

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Colour) -> None:
        self.draw.rectangle(self._scale((x0, y0, x1, y1)), fill=fill)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: Colour) -> None:
        self.draw.ellipse(self._scale((x - rx, y - ry, x + rx, y + ry)), fill=fill)

    def shape(self, *points: float, fill: Colour) -> None:
        self.draw.polygon(self._scale(points), fill=fill)

    def line(self, *points: float, fill: Colour, width: float) -> None:
        self.draw.line(self._scale(points), fill=fill, width=max(1, round(width * self.side)))


def sun(pen: Pen) -> None:
    r = pen.between(0.05, 0.10)
    pen.ellipse(pen.between(0.1, 0.9), pen.between(0.06, 0.25), r, r, pen.colour(250, 215, 70))


def moon(pen: Pen) -> None:
    x, y, r = pen.between(0.1, 0.9), pen.between(0.08, 0.25), pen.between(0.05, 0.09)
    pen.ellipse(x, y, r, r, pen.colour(235, 235, 215, 15))
    pen.ellipse(x + 0.5 * r, y - 0.2 * r, 0.8 * r, 0.8 * r, (30, 35, 75))


def star(pen: Pen) -> None:
    for _ in range(pen.rng.integers(3, 8)):
        r = pen.between(0.008, 0.015)
        pen.ellipse(pen.between(0, 1), pen.between(0, 0.35), r, r, (255, 250, 220))


def cloud(pen: Pen) -> None:
    x, y, r, white = (
        pen.between(0.1, 0.9),
        pen.between(0.08, 0.3),
        pen.between(0.04, 0.08),
        pen.colour(225, 228, 235, 20),
    )
    for dx in (-1.2, 0.0, 1.2):
        pen.ellipse(x + dx * r, y + pen.between(-0.3, 0.3) * r, 1.2 * r, 0.8 * r, white)


def mountain(pen: Pen) -> None:
    for _ in range(pen.rng.integers(1, 4)):
        x, top, half = pen.between(0, 1), pen.between(0.22, 0.4), pen.between(0.15, 0.3)
        pen.shape(x - half, 0.56, x, top, x + half, 0.56, fill=pen.colour(120, 110, 115))
        pen.shape(x - half * 0.2, top + 0.06, x, top, x + half * 0.2, top + 0.06, fill=(240, 240, 245))


def sea(pen: Pen) -> None:
    top = pen.between(0.55, 0.68)
    pen.box(0, top, 1, pen.between(0.8, 1.0), pen.colour(35, 95, 165))
    for _ in range(5):
        x, y = pen.between(0, 0.9), pen.between(top + 0.02, 0.85)
        pen.line(x, y, x + pen.between(0.05, 0.15), y, fill=pen.colour(110, 165, 215), width=0.01)


def road(pen: Pen) -> None:
    x, bend = pen.between(0.2, 0.8), pen.between(-0.2, 0.2)
    pen.shape(x + bend - 0.03, 0.58, x + bend + 0.03, 0.58, x + 0.2, 1, x - 0.2, 1, fill=pen.colour(95, 95, 100, 15))
    pen.line(x + bend, 0.6, x, 1, fill=(225, 225, 205), width=0.012)


def tree(pen: Pen) -> None:
    for _ in range(pen.rng.integers(1, 4)):
        x, y, s = pen.between(0.05, 0.95), pen.between(0.6, 0.85), pen.between(0.07, 0.13)
        pen.box(x - 0.15 * s, y - s, x + 0.15 * s, y, pen.colour(100, 70, 40, 15))
        pen.ellipse(x, y - 1.4 * s, 0.7 * s, 0.9 * s, pen.colour(40, 110, 45, 30))


def house(pen: Pen) -> None:
    x, y, s = pen.between(0.15, 0.85), pen.between(0.65, 0.85), pen.between(0.10, 0.17)
    pen.box(x - s, y - 1.2 * s, x + s, y, pen.colour(200, 175, 145, 45))
    pen.shape(x - 1.2 * s, y - 1.2 * s, x, y - 2 * s, x + 1.2 * s, y - 1.2 * s, fill=pen.colour(160, 65, 50, 35))
    pen.box(x - 0.2 * s, y - 0.6 * s, x + 0.2 * s, y, pen.colour(85, 60, 45, 20))
    pen.box(x + 0.4 * s, y - 0.9 * s, x + 0.75 * s, y - 0.5 * s, pen.colour(170, 210, 230, 20))


def boat(pen: Pen) -> None:
    x, y, s = pen.between(0.15, 0.85), pen.between(0.65, 0.78), pen.between(0.06, 0.12)
    pen.shape(x - s, y, x + s, y, x + 0.6 * s, y + 0.4 * s, x - 0.6 * s, y + 0.4 * s, fill=pen.colour(120, 60, 40, 40))
    pen.shape(x, y - 0.1 * s, x, y - 1.5 * s, x + 0.8 * s, y - 0.1 * s, fill=pen.colour(235, 230, 220, 20))


def car(pen: Pen) -> None:
    x, y, s, paint = pen.between(0.15, 0.85), pen.between(0.75, 0.93), pen.between(0.07, 0.12), pen.bright()
    pen.box(x - s, y - 0.5 * s, x + s, y, paint)
    pen.shape(
        x - 0.6 * s,
        y - 0.5 * s,
        x - 0.4 * s,
        y - 0.9 * s,
        x + 0.4 * s,
        y - 0.9 * s,
        x + 0.6 * s,
        y - 0.5 * s,
        fill=paint,
    )
    for dx in (-0.55, 0.55):
        pen.ellipse(x + dx * s, y, 0.22 * s, 0.22 * s, (25, 25, 25))


def bird(pen: Pen) -> None:
    for _ in range(pen.rng.integers(1, 4)):
        x, y, s = pen.between(0.1, 0.9), pen.between(0.1, 0.5), pen.between(0.025, 0.045)
        pen.line(x - s, y - 0.5 * s, x, y, x + s, y - 0.5 * s, fill=pen.colour(40, 35, 40, 20), width=0.018)


def person(pen: Pen) -> None:
    x, y, s = pen.between(0.1, 0.9), pen.between(0.75, 0.95), pen.between(0.05, 0.08)
    pen.box(x - 0.35 * s, y - 1.6 * s, x + 0.35 * s, y - 0.7 * s, pen.bright())
    pen.box(x - 0.3 * s, y - 0.7 * s, x + 0.3 * s, y, pen.colour(50, 50, 80, 30))
    pen.ellipse(x, y - 1.95 * s, 0.36 * s, 0.36 * s, pen.colour(205, 160, 130, 35))


def dog(pen: Pen) -> None:
    x, y, s, fur = pen.between(0.1, 0.9), pen.between(0.85, 0.96), pen.between(0.04, 0.06), pen.colour(120, 85, 50, 40)
    pen.box(x - s, y - 1.0 * s, x + 0.7 * s, y - 0.4 * s, fur)
    pen.ellipse(x + 0.9 * s, y - 1.1 * s, 0.4 * s, 0.4 * s, fur)
    for dx in (-0.8, 0.5):
        pen.box(x + (dx - 0.12) * s, y - 0.4 * s, x + (dx + 0.12) * s, y, fur)


def umbrella(pen: Pen) -> None:
    x, y, s = pen.between(0.1, 0.9), pen.between(0.65, 0.8), pen.between(0.06, 0.10)
    pen.line(x, y, x, y + 1.5 * s, fill=(70, 70, 70), width=0.012)
    pen.draw.pieslice([v * pen.side for v in (x - s, y - s, x + s, y + s)], 180, 360, fill=pen.bright())


def kite(pen: Pen) -> None:
    x, y, s = pen.between(0.15, 0.85), pen.between(0.15, 0.45), pen.between(0.04, 0.07)
    pen.line(x, y + s, x + pen.between(-0.1, 0.1), y + 3 * s, fill=(60, 60, 60), width=0.008)
    pen.shape(x, y - s, x + 0.7 * s, y, x, y + s, x - 0.7 * s, y, fill=pen.bright())


# in drawing order, from background to foreground
LAYERS: dict[str, Callable[[Pen], None]] = {
    draw.__name__: draw
    for draw in (star, moon, sun, cloud, mountain, sea, road, house, tree, boat, bird, kite, car, umbrella, person, dog)
}


def draw_scene(labels: Iterable[str], size: int, rng: np.random.Generator) -> Image.Image:
    """Returns an image of ``size`` × ``size`` pixels that shows ``labels`` among unlabelled rocks and bushes."""
    labels = set(labels)
    side = size * SUPERSAMPLING
    image = Image.new("RGB", (side, side))
    pen = Pen(image, rng)
    night = "moon" in labels
    pen.box(0, 0, 1, 1, pen.colour(35, 40, 80, 15) if night else pen.colour(140, 185, 230, 30))
    pen.box(0, pen.between(0.53, 0.58), 1, 1, pen.colour(50, 75, 50, 20) if night else pen.colour(130, 165, 90, 40))
    for _ in range(rng.integers(0, 4)):
        pen.ellipse(
            pen.between(0, 1),
            pen.between(0.6, 1),
            pen.between(0.02, 0.06),
            pen.between(0.02, 0.04),
            pen.colour(110, 110, 95, 50),
        )
    for label, draw in LAYERS.items():
        if label in labels:
            draw(pen)
    pixels = np.asarray(image.resize((size, size), Image.Resampling.BOX), dtype=np.float32)
    if night:
        pixels = pixels * 0.8
    return Image.fromarray(np.clip(pixels + rng.normal(0, NOISE, pixels.shape), 0, 255).astype(np.uint8))
