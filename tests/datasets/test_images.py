import os
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image
from PIL.PngImagePlugin import PngInfo

from mlgcn_pyg.datasets import ImageError, MultiScaleCrop, eval_transform, images, read_image, train_transform
from mlgcn_pyg.datasets.images import register_heif
from mlgcn_pyg.errors import InputError, InputWarning


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


def tiff(path, bits, pixels, *, interpretation=1, sample_format=1):
    """A grey TIFF of 4 × 4 pixels, written by hand."""
    order = ">" if pixels.dtype.byteorder == ">" else "<"
    data = pixels.tobytes() if bits != 12 else bytes([0xFF, 0xFF, 0xFF] * 8)
    tags = {256: 4, 257: 4, 258: bits, 259: 1, 262: interpretation, 273: 8, 277: 1, 278: 4, 279: len(data)}
    tags[339] = sample_format
    entries = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    path.write_bytes(start + data + struct.pack(order + "H", len(tags)) + entries + bytes(4))
    return path


def level(path):
    """The one grey level of an image."""
    values = np.unique(np.asarray(read_image(path)))
    assert len(values) == 1
    return int(values[0])


@pytest.mark.parametrize("top", [0, 100, 255, 256, 257, 511, 30_000, 65_535])
def test_16_bit_images_are_scaled_by_their_type_whatever_their_content(tmp_path, top):
    pixels = np.full((4, 4), top, np.uint16)
    (tmp_path / "a.pgm").write_bytes(b"P5\n4 4\n65535\n" + pixels.astype(">u2").tobytes())
    for name in ("a.png", "a.tif", "a.jp2"):
        Image.fromarray(pixels).save(tmp_path / name)
    for order in "<>":
        tiff(tmp_path / f"order{ord(order)}.tif", 16, pixels.astype(order + "u2"))
    assert {path.name: level(path) for path in tmp_path.iterdir()} == {p.name: top // 257 for p in tmp_path.iterdir()}
    assert level(Image.fromarray(pixels)) == top // 257


@pytest.mark.parametrize("white", [256, 300, 1023, 4095, 65_535])
def test_the_stated_maximum_of_a_pgm_is_white(tmp_path, white):
    for value, expected in ((white, 255), (white // 2, 127), (0, 0)):
        for start, data in ((b"P5", value.to_bytes(2, "big") * 16), (b"P2", b"%d " % value * 16)):
            (tmp_path / "a.pgm").write_bytes(start + b"\n4 4\n%d\n" % white + data)
            assert abs(level(tmp_path / "a.pgm") - expected) <= 1


def test_bits_signs_and_inversion_of_tiff_are_those_of_the_file(tmp_path):
    def values(value, kind):
        return np.full(16, value, kind)

    assert level(tiff(tmp_path / "a.tif", 12, values(0, "<u2"))) == 255  # all bits are set
    assert level(tiff(tmp_path / "a.tif", 16, values(32_767, "<i2"), sample_format=2)) == 255
    assert level(tiff(tmp_path / "a.tif", 16, values(65_535, "<u2"), interpretation=0)) == 0  # white is zero
    assert level(tiff(tmp_path / "a.tif", 16, values(0, "<u2"), interpretation=0)) == 255
    with pytest.raises(ImageError, match="pixels from -5 to -5, outside 0 to 32767"):
        read_image(tiff(tmp_path / "a.tif", 16, values(-5, "<i2"), sample_format=2))


@pytest.mark.parametrize("value", [0, 200, 255, 256, 60_000])
def test_pixels_of_unknown_scale_are_refused_whatever_their_content(tmp_path, value):
    """Reading a dark image as one of 8 bits would make it brighter than its neighbours."""
    Image.fromarray(np.full((4, 4), value, np.int32)).save(tmp_path / "i.tiff")
    for image in (tmp_path / "i.tiff", Image.fromarray(np.full((4, 4), value, np.int32))):
        with pytest.raises(ImageError, match=f"32-bit pixels from {value} to {value}, of unknown scale"):
            read_image(image)
    Image.fromarray(np.full((4, 4), 0.8, np.float32)).save(tmp_path / "f.tiff")
    with pytest.raises(ImageError, match="32-bit pixels from 0.8"):
        read_image(tmp_path / "f.tiff")


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "tEXt", "many"])
def test_long_texts_in_a_png_are_ignored(tmp_path, kind):
    """Programs that generate images write their settings into them."""
    info = PngInfo()
    if kind == "many":
        for n in range(70):
            info.add_text(f"part {n}", "x" * 1_000_000, zip=True)  # more than Pillow accepts in total
    elif kind == "iTXt":
        info.add_itxt("workflow", "x" * 1_200_000, zip=True)
    else:
        info.add_text("workflow", "x" * 1_200_000, zip=kind == "zTXt")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 4, 3), dtype=np.uint8))
    picture.save(tmp_path / "a.png", pnginfo=info, exif=exif)
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.png")), np.asarray(picture.transpose(Image.ROTATE_270)))


def test_a_damaged_png_with_text_is_refused(tmp_path):
    info = PngInfo()
    info.add_text("workflow", "x" * 1_200_000, zip=True)
    Image.effect_noise((64, 64), 50).save(tmp_path / "a.png", pnginfo=info)
    content = (tmp_path / "a.png").read_bytes()
    for cut in (20, 60, len(content) // 2, len(content) - 40):
        (tmp_path / "a.png").write_bytes(content[:cut])
        with pytest.raises(ImageError, match="a.png"):
            read_image(tmp_path / "a.png")


def noisy(path, kind):
    """An image of which Pillow warns."""
    if kind == "palette":
        picture = Image.effect_noise((12, 8), 50).convert("RGB").quantize(64)
        picture.save(path, transparency=bytes([0] * 10 + [255] * 54))
    elif kind == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (12, 8)).save(path, "JPEG", exif=exif)
        content = bytearray(path.read_bytes())
        at = content.index(b"Exif\0\0") + 6
        content[at + 8 : at + 10] = b"\x40\0"
        path.write_bytes(content)
    return path


def test_warnings_of_pillow_name_the_file_and_are_shown_once(tmp_path):
    paths = [noisy(tmp_path / f"{n}.jpg", "exif") for n in range(3)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for path in paths * 2:
            assert read_image(path).size in ((12, 8), (8, 12))
    assert [(warning.category, str(warning.message).split(":")[0]) for warning in caught] == [
        (InputWarning, str(path)) for path in paths
    ]
    assert "Corrupt EXIF data" in str(caught[0].message)


def test_a_palette_with_transparency_keeps_its_colours_without_a_warning(tmp_path):
    path = noisy(tmp_path / "p.png", "palette")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = np.asarray(read_image(path))
    with Image.open(path) as opened:
        assert np.array_equal(image, np.asarray(opened.convert("RGBA"))[..., :3])


def test_a_large_image_is_read_with_one_warning(tmp_path, monkeypatch):
    Image.new("L", (100, 100)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)
    with pytest.warns(InputWarning, match="large.png: Image size .10000 pixels. exceeds limit") as caught:
        assert read_image(tmp_path / "large.png").size == (100, 100)
    assert len(caught) == 1


def test_warnings_elsewhere_are_not_taken(tmp_path):
    """Reading an image neither takes nor repeats the warnings of other code."""

    def warn():
        warnings.warn("mine", UserWarning, stacklevel=1)

    paths = [noisy(tmp_path / f"x{n}.jpg", "exif") for n in range(8)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(read_image, paths))
        for path in paths:
            warn()
            read_image(path)
    texts = [str(warning.message) for warning in caught]
    assert texts.count("mine") == 1 and len(texts) == 9


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)], ids=["FIFO", "device"])
def test_special_files_are_refused_without_waiting(tmp_path, make):
    make(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="image: expected an image that can be decoded, found the (pipe|device)"):
        read_image(tmp_path / "a.jpg")


def test_heic_files_are_read_with_the_plugin(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    assert register_heif()
    picture = Image.new("RGB", (64, 48), (200, 30, 30))
    heif.from_pillow(picture).save(tmp_path / "a.heic")
    assert np.abs(np.asarray(read_image(tmp_path / "a.heic")).astype(int) - np.asarray(picture)).max() < 20


def test_remedies_for_files_that_are_no_images(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "register_heif", lambda: False)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(ImageError, match=r'no known format.; pip install "mlgcn_pyg\[heif\]"'):
        read_image(tmp_path / "a.jpg")
    (tmp_path / "a.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ImageError, match="Git LFS pointer.*a.jpg; .*git lfs pull"):
        read_image(tmp_path / "a.jpg")
