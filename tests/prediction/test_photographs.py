"""Which files are found, and what becomes of those that do not decode."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from mlgcn_pyg.datasets import eval_transform, read_image
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.prediction import find_images
from mlgcn_pyg.prediction.photographs import photograph_batches


def test_files_keep_their_order_and_appear_once(made):
    photos = made / "photos"
    named = [photos / "one pixel.png", photos / "notes.txt", str(photos), photos / "a.JPG"]
    names = [path.name for path in find_images(named)]
    assert names == ["one pixel.png", "notes.txt", "a.JPG", "cmyk.tiff", "palette.gif", "sixteen bits.png"]


def test_a_named_pipe_in_a_folder_is_ignored(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait for ever
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    assert [path.name for path in find_images([tmp_path])] == ["dangling.jpg", "self.jpg"]


def test_a_folder_that_cannot_be_read_is_refused(made, monkeypatch):
    real = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(InputError, match="images: expected folders that can be read, found .*deep .Permission denied"):
        find_images([made / "photos"])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_images_that_do_not_decode_leave_the_pixels_of_a_batch(made, tmp_path, num_workers):
    good, bad, gone = made / "photos" / "a.JPG", tmp_path / "bad.jpg", tmp_path / "gone.jpg"
    bad.write_bytes(good.read_bytes()[:200])
    opened = Image.new("L", (5, 7))
    batches = list(photograph_batches([good, bad, gone, opened, bad], (16, 24), 3, num_workers))
    assert [[*map(str, batch.images)] for batch in batches] == [
        [*map(str, x)] for x in ([good, bad, gone], [opened, bad])
    ]
    first, second = batches
    assert torch.equal(first.pixels, eval_transform((16, 24))(read_image(good))[None])
    assert torch.equal(second.pixels, eval_transform((16, 24))(opened.convert("RGB"))[None])
    assert first.errors[0] is None and "bad.jpg" in first.errors[1] and "gone.jpg (missing file)" in first.errors[2]
    assert second.errors[0] is None and "bad.jpg" in second.errors[1]


def test_a_batch_of_broken_images_has_no_pixels(tmp_path):
    [batch] = photograph_batches([tmp_path / "gone.jpg"], (16, 24), 4)
    assert batch.pixels.shape == (0, 3, 16, 24) and batch.images == [Path(tmp_path / "gone.jpg")]
