"""The content of a ``metrics.json``, written by hand: three heads, two labels, 100 training images."""

from typing import Any

NAMES = ("cat", "dog")


def interval(value: float | None, low: float | None, high: float | None, **more: Any) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high} | more


def row(mAP: float, *AP: float | None) -> dict[str, Any]:
    counts = dict.fromkeys(("CP", "CR", "CF1", "OP", "OR", "OF1"), 0.5)
    return {"all": {"mAP": mAP} | counts, "top3": counts, "AP": dict(zip(NAMES, AP, strict=True))}


def head(mAP: float, last: dict[str, Any]) -> dict[str, Any]:
    mean = row(mAP, mAP, mAP)
    seeds = [{"seed": 0, **mean, "last_epoch": last, "best_epoch": last}]
    return {"setup": {}, "seeds": seeds, "mean": mean, "std": mean}


def difference(value: float, low: float, high: float, gained: Any = (), lost: Any = ()) -> dict[str, Any]:
    change = interval(value, low, high, above=0.9)
    AP = {"cat": interval(0.25, 0.1, 0.4, above=1.0), "dog": interval(None, None, None, above=None)}
    return {"mAP": change, "OF1": change, "AP": AP, "gained": list(gained), "lost": list(lost)}


def part(file: str, images: int, letter: str) -> dict[str, Any]:
    return {"file": file, "images": images, "sha256": letter * 64}


def plain(recommended: str = "mlgcn", images: str = "folds", test: bool = False, **differences: Any) -> dict[str, Any]:
    """Returns the content; ``differences`` replace those of a kind of head to the linear one."""
    exact = {"iteration": 3, "gradient": 1e-6, "l2": 0.5}
    heads = {"linear": head(0.7, exact), "sharing": head(0.72, exact | {"alpha": 0.4})}
    heads["mlgcn"] = head(0.75, {"epoch": 2, "lr": 0.1, "loss": 0.2})
    of = {"mAP": interval(0.75, 0.7, 0.8), "OF1": interval(0.5, 0.4, 0.6)}
    of["AP"] = {"cat": interval(0.8, 0.7, 0.9), "dog": interval(None, None, None)}
    changes = {"sharing": difference(0.02, -0.01, 0.05), "mlgcn": difference(0.05, 0.01, 0.09, ["cat"], ["dog"])}
    setup = {"config": {"views": "first"}, "seeds": 1, "exact": {"folds": None}}
    setup |= {"train": part("train.h5", 100, "a"), "val": part("val.h5", 50, "b")}
    return {
        "setup": setup | ({"test": part("test.h5", 40, "c")} if test else {}),
        "heads": heads,
        "intervals": {
            "level": 0.95,
            "heads": dict.fromkeys(heads, of),
            "reference": "linear",
            "differences": changes | differences,
            "positives": {"cat": 12, "dog": 0},
        },
        "recommendation": {
            "head": recommended,
            "seed": 0,
            "reference": "linear",
            "selection": {
                "images": images,
                "mAP": {"linear": 0.70, "sharing": 0.71, "mlgcn": 0.73},
                "standard_error": {"sharing": 0.01, "mlgcn": 0.02},
            },
        },
    }
