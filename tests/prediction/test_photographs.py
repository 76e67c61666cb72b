"""Which files are found, and what becomes of those that do not decode."""

import os
import socket
from pathlib import Path

import pytest
import torch
from PIL import Image

from mlgcn_pyg.datasets import eval_transform, read_image
from mlgcn_pyg.errors import InputError, InputWarning
from mlgcn_pyg.prediction import find_images, photographs
from mlgcn_pyg.prediction.photographs import photograph_batches


def test_files_keep_their_order_and_appear_once(made):
    photos = made / "photos"
    named = [photos / "one pixel.png", photos / "notes.txt", str(photos), photos / "a.JPG"]
    with pytest.warns(InputWarning, match="left out 1 file in folders: 1 .txt"):
        names = [path.name for path in find_images(named)]
    assert names == ["one pixel.png", "notes.txt", "a.JPG", "cmyk.tiff", "palette.gif", "sixteen bits.png"]


def test_special_files_in_a_folder_are_left_out(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")  # opening it would wait forever
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
    (tmp_path / "zeros.jpg").symlink_to("/dev/zero")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    with pytest.warns(InputWarning, match="left out 3 files in folders: 3 FIFOs, sockets or devices"):
        assert [path.name for path in find_images([tmp_path])] == ["dangling.jpg", "self.jpg"]


@pytest.mark.parametrize("target", ["pipe", "/dev/zero"])
def test_special_files_that_are_named_are_refused_without_waiting(tmp_path, target):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "x.jpg").symlink_to(target)
    with pytest.raises(InputError, match="images: expected a regular file, found the (pipe|device)"):
        find_images([tmp_path / "x.jpg"])
    [batch] = photograph_batches([tmp_path / "x.jpg"], (16, 24), 4)
    assert "x.jpg" in batch.errors[0] and "found the" in batch.errors[0]


def test_what_is_left_out_is_counted_by_extension_and_hidden_folders_are_not_searched(made, tmp_path):
    photo = (made / "photos" / "a.JPG").read_bytes()
    for name in (
        "a.jpg",
        "b.mpo",
        "no_ending",
        "x.CR2",
        "y.cr2",
        ".hidden.jpg",
        "deep/.thumbnails/t.jpg",
        "deep/z.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(photo)
    with pytest.warns(InputWarning, match="left out 3 files in folders: 2 .cr2, 1 without an extension$"):
        assert [path.name for path in find_images([tmp_path])] == ["a.jpg", "b.mpo", "z.png"]
    assert [path.name for path in find_images([tmp_path / "deep" / ".thumbnails"])] == ["t.jpg"]  # asked for


@pytest.mark.parametrize("installed", [False, True])
def test_heic_files_are_read_with_the_plugin_and_else_named(made, tmp_path, monkeypatch, installed):
    monkeypatch.setattr(photographs, "register_heif", lambda: installed)
    for name in ("a.jpg", "b.HEIC", "c.heif"):
        (tmp_path / name).write_bytes((made / "photos" / "a.JPG").read_bytes())
    if installed:
        assert len(find_images([tmp_path])) == 3
        return
    with pytest.warns(
        InputWarning, match=r'left out 2 files .* 1 .heic, 1 .heif; for HEIC, pip install "mlgcn_pyg\[heif\]"'
    ):
        assert len(find_images([tmp_path])) == 1
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(InputError, match=r"none in .*heif\]"):
        find_images([tmp_path])


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
