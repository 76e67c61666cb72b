import os

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image

from mlgcn_pyg.datasets import ImageError, MultiScaleCrop, eval_transform, read_image, train_transform
from mlgcn_pyg.errors import InputError


def test_images_of_every_mode_become_rgb(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    pictures = {
        "one.png": Image.new("RGB", (1, 1)),
        "cmyk.jpg": Image.new("CMYK", (8, 8)),
        "palette.png": Image.new("P", (8, 8)),
        "alpha.png": Image.new("RGBA", (8, 8)),
        "grey.png": Image.new("L", (8, 8)),
        "sixteen.png": Image.fromarray(ramp),
    }
    for name, picture in pictures.items():
        picture.save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.mode == "RGB" and image.size == picture.size
        assert eval_transform(32)(image).shape == (3, 32, 32)
        assert train_transform(32)(image).shape == (3, 32, 32)
    grey = np.asarray(read_image(tmp_path / "sixteen.png"))[..., 0]
    assert np.abs(grey.astype(int) - ramp // 257).max() <= 1  # scaled, not clipped at 255


def test_images_are_upright_according_to_their_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (4, 8)


def test_a_file_that_does_not_decode_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.jpg").touch()
    for name in ("text.jpg", "empty.jpg", "absent.jpg"):
        with pytest.raises(ImageError, match=name):
            read_image(tmp_path / name)
    Image.new("L", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="bomb.png .*DecompressionBombError"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_image_that_is_a_program_is_not_run(tmp_path, monkeypatch, wrapped):
    """PostScript under the name of an image: running it would create a file."""
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    if wrapped:  # as the picture within an IPTC record
        fields = {(3, 60): b"\1\0", (3, 20): b"\0\x0a", (3, 30): b"\0\x0a", (3, 120): b"\5", (8, 10): program}
        parts = (bytes([0x1C, *tag]) + len(value).to_bytes(2, "big") + value for tag, value in fields.items())
        program = b"".join(parts) + b"\0" * 5
    (tmp_path / "p.jpg").write_bytes(program)
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # it remembers whether there is one
    with pytest.raises(ImageError, match="p.jpg"):
        read_image(tmp_path / "p.jpg")
    assert not (tmp_path / "ran").exists()


def test_crops_have_the_scales_and_respect_max_distort():
    crop = MultiScaleCrop((32, 32), scales=(1.0, 0.5, 0.25), max_distort=1)
    seen = set()
    for _ in range(200):
        params = crop.make_params([Image.new("RGB", (80, 40))])
        assert 0 <= params["top"] <= 40 - params["height"] and 0 <= params["left"] <= 80 - params["width"]
        seen.add((params["height"], params["width"]))
    assert seen == {(40, 40), (40, 20), (20, 40), (20, 20), (20, 10), (10, 20), (10, 10)}


def test_evaluation_is_the_whole_image_normalised():
    red = eval_transform((16, 24))(Image.new("RGB", (50, 10), (255, 0, 0)))
    assert red.shape == (3, 16, 24)
    expected = (torch.tensor([1.0, 0.0, 0.0]) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    assert torch.allclose(red.mean(dim=(1, 2)), expected, atol=1e-5)


def test_training_transform_varies_and_is_seeded():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    torch.manual_seed(3)
    first, second = train_transform(16)(noise), train_transform(16)(noise)
    torch.manual_seed(3)
    assert torch.equal(train_transform(16)(noise), first) and not torch.equal(first, second)


def test_refused_size():
    with pytest.raises(InputError, match="image_size: expected an integer ≥ 1, found 0"):
        eval_transform(0)


def test_an_image_with_damaged_exif_is_read(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "e.jpg", exif=exif)
    content = bytearray((tmp_path / "e.jpg").read_bytes())
    content[content.index(b"Exif\0\0") + 6 + 17] = 0
    (tmp_path / "e.jpg").write_bytes(content)
    assert sorted(read_image(tmp_path / "e.jpg").size) == [4, 8]


def test_32_bit_grey_images_are_scaled_if_their_scale_is_known_and_refused_otherwise(tmp_path):
    Image.fromarray(np.full((4, 4), 200, np.int32)).save(tmp_path / "i.tiff")
    assert np.asarray(read_image(tmp_path / "i.tiff")).max() == 200
    Image.fromarray(np.full((4, 4), 0.8, np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(ImageError, match="32-bit pixels from 0.8"):
        read_image(tmp_path / "f.tiff")
