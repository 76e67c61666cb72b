import numpy as np
import pytest
import torch

from mlgcn_pyg.datasets import VOC2007, Scenes, eval_transform
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, extract_features
from mlgcn_pyg.nn import Backbone
from tests.features.small import SmallBackbone, small_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return Scenes(tmp_path_factory.mktemp("scenes"), 10, transform=eval_transform(64))


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return Backbone("resnet18")


def live(backbone, data, batch_size):
    """The features in the inference form, which are close to those of the backbone itself."""
    images = torch.stack([data[n][0] for n in range(len(data))])
    with torch.inference_mode():
        form = backbone.inference_form(images.shape[-2:])
        plain, found = (
            torch.cat([network.eval()(batch) for batch in images.split(batch_size)]) for network in (backbone, form)
        )
    assert torch.allclose(plain, found, rtol=1e-4, atol=1e-4 * float(plain.max()))
    return found


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_cache_read_back_equals_live_features_to_float16_rounding(tmp_path, scenes, backbone, num_workers):
    backbone.train()
    done = []
    cache = extract_features(
        backbone,
        scenes,
        tmp_path / "s.h5",
        batch_size=4,
        num_workers=num_workers,
        progress=lambda n, what: done.append(n),
    )
    assert backbone.training and done == [4, 8, 10] and cache.meta["form"] == "inference"
    features, targets = cache.load()
    assert torch.equal(features[:, 0], live(backbone, scenes, 4).half())
    assert torch.equal(targets, scenes.targets) and cache.ids == tuple(scenes.ids)
    assert cache.label_names == scenes.label_names


def test_float32_is_exact(tmp_path, scenes, backbone):
    cache = extract_features(backbone, scenes, tmp_path / "s.h5", batch_size=5, dtype="float32")
    assert torch.equal(cache.load()[0][:, 0], live(backbone, scenes, 5))


def test_provenance_records_the_origin_of_features(tmp_path, scenes, backbone):
    meta = extract_features(backbone, scenes, tmp_path / "s.h5", batch_size=4).meta
    assert meta["backbone"] == "resnet18" and meta["weights_sha256"] == backbone.digest() and meta["pool"] == "max"
    assert meta["image_size"] == [64, 64] and "Resize" in meta["transform"] and meta["split"] == "train"
    assert meta["batch_size"] == 4 and meta["dtype"] == "float16" and meta["versions"]["torch"] in torch.__version__


class Interrupted(Backbone):
    """A real backbone that is interrupted once, at its third batch of three. Its inference form counts too."""

    sizes: list[int] = []  # noqa: RUF012  # of the class, which copies share

    def forward(self, images):
        self.sizes.append(len(images))
        if len(images) == 3 and self.sizes.count(3) == 3:
            raise KeyboardInterrupt
        return super().forward(images)


@pytest.fixture(autouse=True)
def not_interrupted():
    Interrupted.sizes.clear()


def test_an_interrupted_extraction_leaves_no_finished_file_and_is_resumed(tmp_path, scenes):
    torch.manual_seed(0)
    backbone = Interrupted("squeezenet1_1")
    with pytest.raises(KeyboardInterrupt):
        extract_features(backbone, scenes, tmp_path / "s.h5", batch_size=3)
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5.partial"]
    notes, done = [], []
    options = {"batch_size": 3, "notify": notes.append, "progress": lambda n, what: done.append((n, what))}
    cache = extract_features(backbone, scenes, tmp_path / "s.h5", **options)
    assert notes[0] == f"resuming from {tmp_path / 's.h5.partial'}: 2 of 4 batches are verified"
    assert notes[1].startswith("4 images in ") and len(notes) == 2
    assert [n for n, what in done if what == "extracting"] == [9, 10] and backbone.sizes.count(3) == 2 + 1 + 1
    assert torch.equal(cache.load()[0][:, 0], live(backbone, scenes, 3).half())
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]


def test_an_interrupted_replacement_keeps_the_earlier_file(tmp_path, scenes, backbone):
    before = extract_features(backbone, scenes, tmp_path / "s.h5", batch_size=4).path.read_bytes()
    other = Interrupted("squeezenet1_1")
    with pytest.raises(KeyboardInterrupt):
        extract_features(other, scenes, tmp_path / "s.h5", batch_size=3, overwrite=True)
    assert (tmp_path / "s.h5").read_bytes() == before
    assert extract_features(other, scenes, tmp_path / "s.h5", batch_size=3, overwrite=True).meta["batch_size"] == 3


class TooLarge(Backbone):
    def forward(self, images):
        return super().forward(images) + 1e5 * (len(images) == 2)  # the last batch only


def test_values_beyond_float16_are_refused_with_the_image_named(tmp_path, scenes):
    with pytest.raises(InputError, match=r"at most 65504\), found 1000.* in row 0 \(image train_000008\)"):
        extract_features(TooLarge("squeezenet1_1"), scenes, tmp_path / "s.h5", batch_size=4)
    assert not (tmp_path / "s.h5").exists()


def test_no_image(tmp_path, backbone):
    data = Scenes(tmp_path / "none", 0, transform=eval_transform(64))
    cache = extract_features(backbone, data, tmp_path / "s.h5", batch_size=4)
    assert len(cache) == 0 and cache.num_features == 512


@pytest.fixture
def broken(tmp_path):
    data = Scenes(tmp_path / "broken", 6, transform=eval_transform(64))
    data.image_paths[1].write_bytes(b"no picture")
    data.image_paths[4].unlink()
    return data


@pytest.mark.parametrize("num_workers", [0, 2])
def test_broken_images_stop_the_run_named_and_counted(tmp_path, broken, backbone, num_workers):
    with pytest.raises(
        InputError, match="images that can be decoded, found 2 of 6 that cannot be decoded: train_000001, train_000004"
    ):
        extract_features(backbone, broken, tmp_path / "s.h5", batch_size=2, num_workers=num_workers)
    assert not (tmp_path / "s.h5").exists()


def test_broken_images_can_be_skipped(tmp_path, broken, backbone):
    cache = extract_features(backbone, broken, tmp_path / "s.h5", batch_size=2, on_error="skip")
    assert cache.meta["skipped"] == ["train_000001", "train_000004"]
    assert cache.ids == ("train_000000", "train_000002", "train_000003", "train_000005")
    assert torch.equal(cache.targets, broken.targets[[0, 2, 3, 5]])
    whole = extract_features(backbone, Scenes(tmp_path / "whole", 6, transform=eval_transform(64)), tmp_path / "w.h5")
    kept = whole.features[[0, 2, 3, 5]]
    assert np.allclose(kept, cache.features, rtol=2e-3, atol=2e-3)  # other batches, the same images


def test_refused_arguments(tmp_path, scenes, backbone):
    for options, message in [
        ({"dtype": "float64"}, "dtype: expected one of float16, float32"),
        ({"on_error": "ignore"}, "on_error: expected one of stop, skip"),
        ({"batch_size": 0}, "batch_size: expected an integer ≥ 1"),
    ]:
        with pytest.raises(InputError, match=message):
            extract_features(backbone, scenes, tmp_path / "s.h5", **options)


def test_real_photographs(tmp_path, shared):
    backbone = Backbone("mobilenet_v2", shared / "weights" / "mobilenet_v2-b0353104.pth")
    data = VOC2007(shared / "voc2007", "sample_test", eval_transform(96))
    cache = FeatureCache(extract_features(backbone, data, tmp_path / "v.h5", batch_size=40).path)
    assert torch.equal(cache.load()[0][:, 0], live(backbone, data, 40).half())


def test_nothing_left_after_skipping_is_an_error(tmp_path, backbone):
    data = Scenes(tmp_path / "gone", 3, transform=eval_transform(64))
    for path in data.image_paths:
        path.unlink()
    with pytest.raises(InputError, match="found 3 of 3 that cannot be decoded"):
        extract_features(backbone, data, tmp_path / "s.h5", on_error="skip")
    assert not (tmp_path / "s.h5").exists()


def test_float32_is_float32_in_convolutions_too(tmp_path):
    """On a GPU, torch's convolutions use TF32 by default."""
    backbone, seen = SmallBackbone(), []
    backbone.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    extract_features(backbone, small_scenes(tmp_path / "scenes", 3), tmp_path / "s.h5")
    assert before and seen == [False] and torch.backends.cudnn.allow_tf32 == before


class TooMuch(SmallBackbone):
    def forward(self, images):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_batch_too_large_for_the_device_says_so(tmp_path):
    with pytest.raises(
        InputError, match="batch_size: expected images that fit in the device's memory, found 3; pass a"
    ):
        extract_features(TooMuch(), small_scenes(tmp_path / "scenes", 3), tmp_path / "s.h5")


def test_more_processes_than_gpus_are_refused(tmp_path):
    """Without a GPU, one process is too many."""
    count = torch.cuda.device_count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", str(count))
        with pytest.raises(InputError, match=f"device: expected a GPU for every process, found {count} GPUs for"):
            extract_features(SmallBackbone(), small_scenes(tmp_path / "scenes", 3), tmp_path / "s.h5", device="cuda")


def test_missing_variables_of_a_launcher_are_reported(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        InputError, match="WORLD_SIZE: expected the other variables of a launcher too, .*; start with torchrun"
    ):
        extract_features(SmallBackbone(), small_scenes(tmp_path / "scenes", 3), tmp_path / "s.h5")


def test_a_transform_that_gives_no_tensor_is_not_taken_for_a_broken_image(tmp_path):
    scenes = small_scenes(tmp_path / "scenes", 3)
    scenes.transform = lambda image: image
    with pytest.raises(InputError) as refused:
        extract_features(SmallBackbone(), scenes, tmp_path / "s.h5")
    assert refused.value.argument == "dataset" and refused.value.expected == "images as tensors"


def test_batches_that_another_process_lost_are_reported(tmp_path, monkeypatch):
    monkeypatch.setattr("mlgcn_pyg.features.plan.Plan.collect", lambda plan, writer, missing: [0])
    with pytest.raises(InputError, match="the batches of every process, found 1 missing or damaged"):
        extract_features(SmallBackbone(), small_scenes(tmp_path / "scenes", 3), tmp_path / "s.h5")
    assert not (tmp_path / "s.h5").exists()
