"""Pictures of images: sizes, damaged and missing files, names of the data sets, and nothing outside of the folder."""

import io

import numpy as np
import pytest
from PIL import Image

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.run_report.thumbnails import BYTES, SIDE, Thumbnails, picture


def noise(path, width=800, height=600, mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, len(mode)), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels if mode == "RGB" else pixels[..., 0]).save(path)
    return path


def opened(content):
    return Image.open(io.BytesIO(content))


def test_pictures_are_small(tmp_path):
    for name in ("a.jpg", "a.png", "a.webp"):
        content = picture(noise(tmp_path / name))
        assert opened(content).size == (SIDE, 120) and opened(content).format == "JPEG" and len(content) <= BYTES


def test_small_images_are_not_enlarged(tmp_path):
    assert opened(picture(noise(tmp_path / "a.png", 3, 2))).size == (3, 2)
    assert opened(picture(noise(tmp_path / "thin.png", 4000, 1))).size == (SIDE, 1)
    assert opened(picture(noise(tmp_path / "grey.png", 9, 9, "L"))).mode == "RGB"


def test_pictures_have_no_metadata(tmp_path):
    image, exif = Image.new("RGB", (400, 200)), Image.Exif()
    exif[315] = "a name"  # the artist
    image.save(tmp_path / "a.jpg", comment=b"a name" * 2000, exif=exif, xmp=b"a name")
    content = picture(tmp_path / "a.jpg")
    assert b"a name" not in content and len(content) < 1000


def test_pictures_are_upright(tmp_path):
    image = Image.new("RGB", (400, 200))
    exif = image.getexif()
    exif[274] = 6  # the camera was turned
    image.save(tmp_path / "a.jpg", exif=exif)
    assert opened(picture(tmp_path / "a.jpg")).size == (80, SIDE)


def test_damaged_images_have_no_picture(tmp_path):
    whole = noise(tmp_path / "a.jpg").read_bytes()
    for content in (b"", b"text", whole[:200], whole[: len(whole) // 2]):
        (tmp_path / "b.jpg").write_bytes(content)
        assert picture(tmp_path / "b.jpg") is None
    assert picture(tmp_path) is None and picture(tmp_path / "absent.jpg") is None


def test_names_of_images(tmp_path):
    noise(tmp_path / "a.jpg")
    noise(tmp_path / "sub/b.png")
    noise(tmp_path / "VOCdevkit/VOC2007/JPEGImages/000007.jpg")
    noise(tmp_path / "val2014/COCO_val2014_000000000042.jpg")
    noise(tmp_path / "cafe\u0301.jpg")
    names = ["a.jpg", "a", "sub/b", "000007", "42", "caf\u00e9.jpg", "no"]
    pictures = Thumbnails(names, tmp_path)
    assert [pictures(row).picture is not None for row in range(7)] == [True] * 6 + [False]
    assert [pictures(row).image for row in range(7)] == names and pictures(0) is pictures(0)


def test_nothing_outside_of_the_folder(tmp_path):
    outside = noise(tmp_path / "secret.jpg")
    noise(tmp_path / "photos/a.jpg")
    names = ["a.jpg", "../secret.jpg", "../secret", str(outside), "sub/../../secret.jpg", "a\0.jpg"]
    pictures = Thumbnails(names, tmp_path / "photos")
    assert [pictures(row).picture is not None for row in range(len(names))] == [True] + [False] * 5


def test_without_a_folder_there_are_names_only(tmp_path):
    assert Thumbnails(["a"])(0).picture is None
    with pytest.raises(InputError, match="root: expected a folder that exists, found no folder"):
        Thumbnails(["a"], tmp_path / "absent")


def test_the_wrong_folder_is_an_error(tmp_path):
    noise(tmp_path / "photos/19.jpg")
    pictures = Thumbnails([str(row) for row in range(100)], tmp_path)
    with pytest.raises(InputError, match="root: expected the folder of the photographs.*, found no file of"):
        for row in range(100):
            pictures(row)
    few = Thumbnails([str(row) for row in range(100)], tmp_path / "photos")
    assert sum(few(row).picture is not None for row in range(10, 100)) == 1  # most are missing, but not all
