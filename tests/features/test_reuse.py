"""A repeated extraction does nothing, resumes, or raises an error that names what differs."""

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from mlgcn_pyg.datasets import eval_transform
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.features import FeatureCache, describe_cache, extract_features, repair
from mlgcn_pyg.features.forms import form_of
from mlgcn_pyg.features.header import checked_header
from mlgcn_pyg.nn import Backbone, LinearHead
from mlgcn_pyg.training import HeadConfig, fit_head
from tests.features.small import SmallBackbone, small_scenes


@pytest.fixture
def scenes(tmp_path):
    return small_scenes(tmp_path / "scenes", 6)


def test_the_same_content_key_is_nothing_to_do(tmp_path, scenes):
    first = extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=4)
    before, notes = first.path.read_bytes(), []
    backbone = SmallBackbone()
    backbone.register_forward_hook(lambda *_: pytest.fail("an image was computed"))
    extract_features(backbone, scenes, tmp_path / "s.h5", batch_size=4, notify=notes.append, num_workers=1)
    assert notes == [f"{tmp_path / 's.h5'} already exists with the same content key: nothing to do"]
    assert first.path.read_bytes() == before and not (tmp_path / "s.h5.partial").exists()


def changed(scenes, what):
    """Extraction options after one change; returns (backbone, scenes, options)."""
    backbone, options = SmallBackbone(), {"batch_size": 4}
    if what == "weights_sha256":
        backbone = SmallBackbone(seed=1)  # the same name
    elif what == "transform":
        scenes.transform = eval_transform(48)
    elif what == "dataset_sha256":
        scenes.targets = 1 - scenes.targets
    elif what == "picture":
        with open(scenes.image_paths[0], "ab") as file:
            file.write(b"one byte more")
        what = "dataset_sha256"
    elif what == "views":
        options |= {"views": 2, "view_transform": scenes.transform}
    else:
        options |= {"batch_size": {"batch_size": 3}, "dtype": {"dtype": "float32"}, "precision": {"precision": "bf16"}}[
            what
        ]
    return backbone, options, what


FIELDS = ("weights_sha256", "transform", "dataset_sha256", "picture", "views", "batch_size", "dtype", "precision")


@pytest.mark.parametrize("what", FIELDS)
def test_another_content_key_is_refused_and_named(tmp_path, scenes, what):
    path = extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=4).path
    before = path.read_bytes()
    backbone, options, field = changed(scenes, what)
    with pytest.raises(InputError, match=rf"found {path} with .*{field}: .* in the file, .* requested.*overwrite=True"):
        extract_features(backbone, scenes, path, **options)
    assert path.read_bytes() == before
    cache = extract_features(backbone, scenes, path, **options, overwrite=True)
    assert len(cache) == 6 and extract_features(backbone, scenes, path, **options).meta == cache.meta


def test_every_field_that_differs_is_named(tmp_path, scenes):
    path = extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=4).path
    with pytest.raises(InputError) as refused:
        extract_features(SmallBackbone(1), scenes, path, batch_size=2, dtype="float32")
    for field in ("weights_sha256", "batch_size: 4 in the file, 2 requested", "dtype: float16 in the file, float32"):
        assert field in str(refused.value)


def test_an_unfinished_file_of_another_key_or_machine_is_refused(tmp_path, scenes, monkeypatch):
    class Stops(SmallBackbone):
        def forward(self, images):
            if len(images) == 2:  # the last batch
                raise KeyboardInterrupt
            return super().forward(images)

    with pytest.raises(KeyboardInterrupt):
        extract_features(Stops(), scenes, tmp_path / "s.h5", batch_size=4)
    with pytest.raises(InputError, match=r"s.h5.partial with batch_size: 4 in the file, 3 requested"):
        extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=3)
    with monkeypatch.context() as patch:
        patch.setattr("mlgcn_pyg.features.provenance.version", lambda name: "0.1")
        with pytest.raises(InputError, match="versions"):
            extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=4)
        # a finished file needs no other version's bits
    assert len(extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=4)) == 6
    monkeypatch.setattr("mlgcn_pyg.features.provenance.version", lambda name: "0.1")
    notes = []
    extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=4, notify=notes.append)
    assert "nothing to do" in notes[0]


def test_a_foreign_file_under_the_name_is_kept(tmp_path, scenes):
    (tmp_path / "s.h5").write_text("a letter")
    with pytest.raises(InputError, match="an HDF5 feature file"):
        extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=4)
    assert (tmp_path / "s.h5").read_text() == "a letter"


def test_skipped_images_are_part_of_the_request(tmp_path, scenes):
    scenes.image_paths[2].write_bytes(b"no picture")
    cache = extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=2, on_error="skip")
    assert len(cache) == 5
    with pytest.raises(InputError, match="skipped: 1 images in the file, none requested"):
        extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=2)
    notes = []
    extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=2, on_error="skip", notify=notes.append)
    assert "nothing to do" in notes[0]


@pytest.mark.parametrize("where", ["folder", "under a file", "/proc/nothing/s.h5"])
def test_places_that_cannot_be_written(tmp_path, scenes, where):
    (tmp_path / "file").write_text("")
    path = {"folder": tmp_path, "under a file": tmp_path / "file" / "s.h5"}.get(where, where)
    backbone = SmallBackbone()
    backbone.register_forward_hook(lambda *_: pytest.fail("an image was computed"))
    with pytest.raises(InputError, match="path: expected"):
        extract_features(backbone, scenes, path, batch_size=4)


def test_precision_is_recorded_and_differs(tmp_path, scenes):
    plain = extract_features(SmallBackbone(), scenes, tmp_path / "a.h5", batch_size=4, dtype="float32")
    half = extract_features(SmallBackbone(), scenes, tmp_path / "b.h5", batch_size=4, dtype="float32", precision="bf16")
    assert half.meta["precision"] == "bf16" and plain.meta["precision"] == "float32"
    a, b = plain.load()[0], half.load()[0]
    assert not torch.equal(a, b) and torch.allclose(a, b, rtol=0.02, atol=0.02)
    assert torch.equal(b, b.bfloat16().float())  # these are numbers that bfloat16 has
    with pytest.raises(InputError, match="files that were computed in the same way.*precision"):
        FeatureCache([tmp_path / "a.h5", tmp_path / "b.h5"])


def test_broken_images_found_halfway_can_then_be_skipped(tmp_path, scenes):
    """Batches before the first broken image hold the same images as before and are not computed again."""
    scenes.image_paths[5].write_bytes(b"no picture")
    with pytest.raises(InputError, match="found 1 of 6 that cannot be decoded"):
        extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=2)
    calls, notes, backbone = [], [], SmallBackbone()
    backbone.register_forward_hook(lambda *_: calls.append(1))
    options = {"batch_size": 2, "on_error": "skip", "notify": notes.append}
    cache = extract_features(backbone, scenes, tmp_path / "s.h5", **options)
    assert len(cache) == 5 and len(calls) == 1 and "2 of 3 batches are verified" in notes[0]
    fresh = extract_features(SmallBackbone(), scenes, tmp_path / "t.h5", batch_size=2, on_error="skip")
    assert torch.equal(cache.load()[0], fresh.load()[0])
    assert sorted(path.name for path in tmp_path.glob("*.h5*")) == ["s.h5", "t.h5"]


def interrupted(scenes, path, batches, **options):
    """An extraction that is stopped after some batches."""

    def progress(count, what):
        if what == "extracting" and count >= 2 * batches:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_features(SmallBackbone(), scenes, path, batch_size=2, progress=progress, **options)


def test_a_name_with_glob_characters_loses_no_batches(tmp_path, scenes):
    interrupted(scenes, tmp_path / "s[1].h5", 2)
    notes = []
    extract_features(SmallBackbone(), scenes, tmp_path / "s[1].h5", batch_size=2, on_error="skip", notify=notes.append)
    assert "2 of 3 batches are verified" in notes[0]
    assert [path.name for path in tmp_path.glob("s*.h5*")] == ["s[1].h5"]


def test_overwriting_does_not_resume_a_file_that_skips_images(tmp_path, scenes):
    scenes.image_paths[5].write_bytes(b"broken")
    interrupted(scenes, tmp_path / "s.h5", 1, on_error="skip")
    with pytest.raises(InputError, match="1 of 6 that cannot be decoded: train_000005"):
        extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=2, overwrite=True)
    assert not (tmp_path / "s.h5").exists()


def test_a_finished_file_is_found_before_the_backbone_is_prepared(tmp_path, scenes, monkeypatch):
    backbone = Backbone("squeezenet1_1")
    path = extract_features(backbone, scenes, tmp_path / "s.h5").path
    monkeypatch.setattr(Backbone, "inference_form", lambda *_: pytest.fail("the backbone was prepared"))
    said = []
    extract_features(backbone, scenes, path, notify=said.append)
    assert len(said) == 1 and said[0].endswith("nothing to do")


def test_a_finished_file_needs_no_place_to_write(tmp_path, scenes):
    path = extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=2).path
    (tmp_path / "s.h5.partial").mkdir()  # as on a disk mounted read-only, no file can be made there
    notes = []
    assert len(extract_features(SmallBackbone(), scenes, path, batch_size=2, notify=notes.append)) == 6
    assert notes == [f"{path} already exists with the same content key: nothing to do"]


def test_different_weights_are_noticed_without_a_method_digest(tmp_path, scenes):
    class Plain(SmallBackbone):
        digest = None

    extract_features(Plain(0), scenes, tmp_path / "s.h5")
    extract_features(Plain(0), scenes, tmp_path / "s.h5")
    with pytest.raises(InputError, match="weights_sha256: .* in the file, .* requested"):
        extract_features(Plain(1), scenes, tmp_path / "s.h5")


def test_an_unfinished_file_of_another_processor_is_refused(tmp_path, scenes, monkeypatch):
    interrupted(scenes, tmp_path / "s.h5", 1)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "another")
    with pytest.raises(InputError, match=r"device: cpu \(.*\) in the file, cpu \(another\) requested"):
        extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=2)


def test_a_run_resumes_with_its_first_number_of_threads(tmp_path):
    """This network's convolutions round differently with one thread and with two."""
    torch.manual_seed(0)
    backbone, data = Backbone("mobilenet_v2"), small_scenes(tmp_path / "scenes", 8)
    data.transform, options = eval_transform(64), {"batch_size": 4, "dtype": "float32"}

    def stop(count, what):
        if what == "extracting":
            raise KeyboardInterrupt

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        whole = extract_features(backbone, data, tmp_path / "w.h5", **options)
        with pytest.raises(KeyboardInterrupt):
            extract_features(backbone, data, tmp_path / "s.h5", progress=stop, **options)
        torch.set_num_threads(1)
        cache = extract_features(backbone, data, tmp_path / "s.h5", **options)
        assert torch.get_num_threads() == 1 and cache.meta["threads"] == 2
    finally:
        torch.set_num_threads(before)
    assert torch.equal(cache.load()[0], whole.load()[0])


def test_numbers_of_numpy_are_numbers(tmp_path, scenes):
    options = {"batch_size": np.int64(4), "views": np.int64(2), "seed": np.int64(3), "view_transform": scenes.transform}
    cache = extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", **options)
    assert [cache.meta[name] for name in ("batch_size", "views", "seed")] == [4, 2, 3]
    with pytest.raises(InputError, match="seed: expected an integer"):
        extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", seed=1.5)


def test_a_transform_that_requires_images_larger_than_the_blank_one(tmp_path, scenes):
    for path in scenes.image_paths:
        Image.open(path).resize((100, 90)).save(path)
    scenes.transform = transforms.Compose([transforms.RandomCrop(80), transforms.ToTensor()])
    cache = extract_features(SmallBackbone(), scenes, tmp_path / "s.h5")
    assert cache.meta["image_size"] is None and len(cache) == 6


def test_a_damaged_unfinished_file_is_reported_and_begun_again(tmp_path, scenes):
    interrupted(scenes, tmp_path / "s.h5", 2)
    with h5py.File(tmp_path / "s.h5.partial", "r+") as file:
        file["targets"][0, 0] ^= 1
    notes = []
    cache = extract_features(SmallBackbone(), scenes, tmp_path / "s.h5", batch_size=2, notify=notes.append)
    assert len(cache) == 6 and len(notes) == 2
    assert "cannot be resumed" in notes[0] and "as they were written" in notes[0] and "starting again" in notes[0]


class Forms(SmallBackbone):
    """A backbone whose inference form is recognised by its features."""

    def inference_form(self, image_size):
        assert tuple(image_size) == (32, 32)
        form = SmallBackbone()
        form.register_forward_hook(lambda module, images, features: features + 100)
        return form


class OnlyPlain(SmallBackbone):
    """The same backbone, as an earlier version or a form that does not agree has it."""


def extracted(backbone, scenes, path, after=None, **options):
    """Runs an extraction, which is interrupted after some batches of two images if ``after`` is given."""

    def progress(count, what):
        if after is not None and what == "extracting" and count >= 2 * after:
            raise KeyboardInterrupt

    try:
        return extract_features(backbone, scenes, path, batch_size=2, progress=progress, **options)
    except KeyboardInterrupt:
        return None


@pytest.fixture(params=[False, True], ids=["recorded", "not recorded"])
def plain_form(request, monkeypatch):
    """Whether files record the plain form, as this version does, or nothing, as earlier versions did."""

    def earlier(*values):
        header = checked_header(*values)
        if header.meta["form"] == "plain":
            del header.meta["form"]
        return header

    if request.param:
        monkeypatch.setattr("mlgcn_pyg.features.plan.checked_header", earlier)


def test_new_files_are_computed_in_the_inference_form_which_is_recorded(tmp_path, scenes):
    cache = extracted(Forms(), scenes, tmp_path / "s.h5")
    assert cache.meta["form"] == "inference" and (cache.features > 90).all()
    assert describe_cache(tmp_path / "s.h5")["key"]["form"] == "inference"
    plain = extracted(OnlyPlain(), scenes, tmp_path / "p.h5")
    assert plain.meta["form"] == "plain" and (plain.features < 90).all()


@pytest.mark.usefixtures("plain_form")
@pytest.mark.parametrize("first, then", [(OnlyPlain, Forms), (Forms, OnlyPlain)])
def test_a_finished_file_of_another_form_is_nothing_to_do(tmp_path, scenes, first, then):
    path = extracted(first(), scenes, tmp_path / "s.h5").path
    before, notes = path.read_bytes(), []
    extracted(then(), scenes, path, notify=notes.append)
    assert notes == [f"{path} already exists with the same content key: nothing to do"]
    assert path.read_bytes() == before


@pytest.mark.usefixtures("plain_form")
def test_an_unfinished_file_is_completed_in_its_own_form(tmp_path, scenes):
    extracted(OnlyPlain(), scenes, tmp_path / "s.h5", after=1)
    cache = extracted(Forms(), scenes, tmp_path / "s.h5")
    assert form_of(cache.meta) == "plain"
    whole = extracted(OnlyPlain(), scenes, tmp_path / "whole.h5")
    assert torch.equal(cache.load()[0], whole.load()[0])


def test_an_unfinished_file_of_a_form_that_is_not_available_is_refused(tmp_path, scenes):
    extracted(Forms(), scenes, tmp_path / "s.h5", after=1)
    with pytest.raises(InputError, match="s.h5.partial with form: inference in the file, plain requested"):
        extracted(OnlyPlain(), scenes, tmp_path / "s.h5")
    assert (extracted(Forms(), scenes, tmp_path / "s.h5").features > 90).all()


@pytest.mark.usefixtures("plain_form")
def test_an_unfinished_file_keeps_its_form_when_images_are_skipped_from_now_on(tmp_path, scenes):
    """Its verified batches are merged into a new file."""
    scenes.image_paths[5].write_bytes(b"no picture")
    with pytest.raises(InputError, match="1 of 6 that cannot be decoded"):
        extracted(OnlyPlain(), scenes, tmp_path / "s.h5")
    notes = []
    cache = extracted(Forms(), scenes, tmp_path / "s.h5", on_error="skip", notify=notes.append)
    assert "2 of 3 batches are verified" in notes[0]
    assert len(cache) == 5 and form_of(cache.meta) == "plain" and (cache.features < 90).all()


@pytest.mark.usefixtures("plain_form")
def test_shards_of_different_forms_are_not_one_cache(tmp_path, scenes):
    paths = [tmp_path / "0.h5", tmp_path / "1.h5"]
    extracted(OnlyPlain(), scenes, paths[0], shard=(0, 2))
    extracted(Forms(), scenes, paths[1], shard=(1, 2))
    with pytest.raises(InputError, match="files that were computed in the same way, found .*form: inference in the"):
        FeatureCache(paths)
    extracted(Forms(), scenes, paths[0], shard=(0, 2), overwrite=True)
    assert len(FeatureCache(paths)) == 6


def test_training_and_validation_files_may_have_different_forms(tmp_path, scenes):
    train = extracted(OnlyPlain(), scenes, tmp_path / "t.h5")
    val = extracted(Forms(), scenes, tmp_path / "v.h5")
    config = HeadConfig(recipe="paper", epochs=1)
    history = fit_head(LinearHead(16, 8, train.label_names), train, val, config)
    assert 0 <= history.last["mAP"] <= 1


@pytest.mark.usefixtures("plain_form")
def test_a_damaged_file_is_repaired_in_its_own_form(tmp_path, scenes):
    path = extracted(OnlyPlain(), scenes, tmp_path / "s.h5").path
    before = FeatureCache(path).load()[0].clone()
    with h5py.File(path, "r+") as file:
        file["features"][3] = 50
    assert repair(path).damaged == [1]
    cache = extracted(Forms(), scenes, path)
    assert form_of(cache.meta) == "plain" and torch.equal(cache.load()[0], before)
