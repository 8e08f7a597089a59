"""The probe on a tiny detector: what it measures, what it says, and that it changes nothing."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from tiny import write_dataset

import frostline as fl
from frostline.errors import InputError
from frostline.freezing import FreezePlan, apply_freeze, find_layers, resolve_freeze
from frostline.probing.adapt import adapt_head, fresh_in_head
from frostline.probing.depths import measure_depths, sensible_depths, storage_of
from frostline.probing.images import target_batches
from frostline.probing.result import Probe
from frostline.studies import Study, StudyFile
from frostline.studies.probed import probe_study
from frostline.training import check_data, resolve_settings
from frostline.training.images import to_device
from frostline.training.preparing import build_model
from frostline.training.spec import RunSpec

pytestmark = pytest.mark.integration
SMALL = {"batches": 3, "batch": 2, "imgsz": 64, "adapt_steps": 6, "device": "cpu"}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("many"), train=12)


@pytest.fixture(scope="module")
def found(tiny_checkpoint: Path, many: Path) -> Probe:
    return fl.probe(tiny_checkpoint, many, source=many.parent / "images", **SMALL)


def parts(model: Path, data: Path, seed: int = 0):  # type: ignore[no-untyped-def]
    """A built model, what it got, and loaded batches ready for it."""
    spec = RunSpec(
        arm="p", model=str(model), data=str(data), plan=FreezePlan.none(), seed=seed,
        settings=resolve_settings({"imgsz": 64, "batch": 2}),
    )  # fmt: skip
    checked = check_data(data)
    network, transfer = build_model(spec, checked.dataset.names)
    loaded = target_batches(spec, checked, network, 3)
    return network, transfer, loaded, lambda batch: to_device(batch, torch.device("cpu"), checked.pixels)


def test_a_probe_measures_every_layer_with_weights(found: Probe, tiny_checkpoint: Path) -> None:
    assert len(found.layers) == 24 and found.settings["batches"] == 3
    for layer in found.layers:
        assert (layer.gradient is not None) == (layer.parameters > 0)
        if layer.gradient is not None:
            assert layer.gradient.norm > 0 and layer.gradient.relative > 0
            assert layer.drift is not None and layer.drift.kl > 0
    assert found.layers[-1].role == "head" and found.layers[-1].similarity is None
    assert sorted(found.ranking.order) == ["backbone", "first", "head"]
    assert len(found.recommendation.sentences) == 3 and "baseline" in found.recommendation.arms


def test_a_fresh_head_was_adapted_first_and_its_loss_fell(found: Probe) -> None:
    assert found.adapted and all(name.startswith("23.cv3.") for name in found.adapted)
    assert found.losses is not None and found.losses[1] < found.losses[0]
    assert any("fresh tensors of the head took 6 AdamW steps" in note for note in found.notes)


def test_the_same_images_on_both_sides_have_a_likeness_of_1(found: Probe) -> None:
    assert found.pairs == 6, "as many as images were measured"
    values = [layer.similarity for layer in found.layers if layer.similarity is not None]
    assert len(values) == 23 and min(values) == pytest.approx(1, abs=1e-9)


def test_another_version_of_the_images_is_less_alike(tiny_checkpoint: Path, many: Path, tmp_path: Path) -> None:
    source = tmp_path / "negatives" / "train"
    source.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for file in (many.parent / "images" / "train").iterdir():
        noise = rng.integers(0, 120, (64, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(source / file.name), 255 - cv2.imread(str(file)) // 2 - noise)
    other = fl.probe(tiny_checkpoint, many, source=source.parent, **{**SMALL, "batches": 6})
    values = [layer.similarity for layer in other.layers if layer.similarity is not None]
    assert max(values) <= 1 and min(values) < 0.9


def test_a_seed_repeats_a_probe_and_nothing_is_changed(found: Probe, tiny_checkpoint: Path, many: Path) -> None:
    files = [tiny_checkpoint, *sorted((many.parent / "images").rglob("*.png"))]
    before = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    state = torch.get_rng_state()
    again = fl.probe(tiny_checkpoint, many, source=many.parent / "images", **SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    assert [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] == before
    assert again.layers == found.layers and again.ranking == found.ranking and again.losses == found.losses
    assert [c.activation_bytes for c in again.depths] == [c.activation_bytes for c in found.depths]
    other = fl.probe(tiny_checkpoint, many, **SMALL, seed=1)
    assert other.layers[0].gradient != found.layers[0].gradient


def test_frozen_depths_keep_less_for_backward(found: Probe) -> None:
    assert [cost.depth for cost in found.depths] == [0, 3, 4, 5, 6, 11, 23]
    for shallow, deep in zip(found.depths, found.depths[1:], strict=False):
        assert deep.activation_bytes < shallow.activation_bytes and deep.trainable < shallow.trainable
        assert deep.step_seconds > 0


def test_activation_bytes_are_what_autograd_holds_on_to(tiny_checkpoint: Path, many: Path) -> None:
    """An independent count: walk the graph of the loss and add up the tensors saved in its nodes."""
    network, transfer, loaded, ready = parts(tiny_checkpoint, many)
    batch = ready(loaded[0])
    for depth in (0, 5):
        model = copy.deepcopy(network)
        (cost,) = measure_depths(copy.deepcopy(network), batch, [depth], sorted(transfer.fresh))
        freeze = resolve_freeze(model, FreezePlan.first(depth).stages[0], transfer.fresh)
        model.train()
        apply_freeze(model, freeze)
        held = {storage_of(t) for t in (*model.parameters(), *model.buffers())}
        loss, _ = model(batch)
        seen, storages, waiting = set(), {}, [loss.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            for name in dir(node):
                if name.startswith("_saved_") and not name.startswith("_raw_saved"):
                    value = getattr(node, name)
                    for tensor in value if isinstance(value, tuple | list) else (value,):
                        if isinstance(tensor, torch.Tensor) and storage_of(tensor) not in held:
                            storages[storage_of(tensor)] = tensor.untyped_storage().nbytes()
            waiting += [following for following, _ in node.next_functions]
        assert cost.activation_bytes == pytest.approx(sum(storages.values()), rel=0.01)


def test_adapting_moves_fresh_tensors_of_the_head_alone(tiny_checkpoint: Path, many: Path) -> None:
    network, transfer, loaded, ready = parts(tiny_checkpoint, many)
    fresh = fresh_in_head(network, transfer.fresh)
    before = copy.deepcopy(find_layers(network).state_dict())
    assert adapt_head(network, fresh, loaded, 0, 0.01, ready) is None
    losses = adapt_head(network, fresh, loaded, 5, 0.01, ready)
    after = find_layers(network).state_dict()
    assert losses is not None and losses[1] < losses[0]
    assert sorted(name for name in before if not torch.equal(before[name], after[name])) == fresh


def test_cached_inputs_of_the_head_give_the_loss_of_the_whole_model(tiny_checkpoint: Path, many: Path) -> None:
    network, transfer, loaded, ready = parts(tiny_checkpoint, many)
    fresh = fresh_in_head(network, transfer.fresh)
    losses = adapt_head(network, fresh, loaded, 3, 1e-12, ready)
    whole = [float(network(ready(batch))[0].detach().sum()) / 2 for batch in loaded]
    assert losses is not None and losses[0] == pytest.approx(sum(whole) / 3, rel=1e-5)


def test_batches_are_those_images_not_augmented(tiny_checkpoint: Path, many: Path) -> None:
    _, _, loaded, ready = parts(tiny_checkpoint, many)
    files = [file for batch in loaded for file in batch["im_file"]]
    assert len(set(files)) == 6
    assert files != [file for batch in parts(tiny_checkpoint, many, seed=1)[2] for file in batch["im_file"]]
    image = ready(loaded[0])["img"][0]
    stored = cv2.imread(loaded[0]["im_file"][0])[..., ::-1].transpose(2, 0, 1) / 255
    top, left = (image.shape[1] - 64) // 2, (image.shape[2] - 64) // 2
    assert np.allclose(image[:, top : top + 64, left : left + 64].numpy(), stored, atol=1e-6)


def test_the_recommended_study_parses_and_runs(found: Probe, tmp_path: Path) -> None:
    study = probe_study(found, seeds=(0,), epochs=1)
    path = tmp_path / "study.yaml"
    path.write_text(study.to_yaml())
    assert StudyFile.from_yaml(path) == study
    train = {**study.train, "imgsz": 64, "plots": False, "nbs": 2}
    outcome = Study(study.model_copy(update={"train": train}), tmp_path / "study").run(device="cpu")
    assert outcome.complete and len(outcome.finished) == len(found.recommendation.arms)


def test_sixteen_bit_images_are_probed(tiny_checkpoint: Path, many: Path, tmp_path: Path) -> None:
    import tifffile

    for file in sorted((many.parent / "images").rglob("*.png")):
        place = tmp_path / "images" / file.parent.name / f"{file.stem}.tiff"
        place.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(place, cv2.imread(str(file))[..., ::-1].astype(np.uint16) * 257)
    for file in sorted((many.parent / "labels").rglob("*.txt")):
        place = tmp_path / "labels" / file.parent.name / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(file.read_text())
    (tmp_path / "data.yaml").write_text(many.read_text())
    deep = fl.probe(tiny_checkpoint, tmp_path / "data.yaml", source=many.parent / "images", **SMALL)
    eight = fl.probe(tiny_checkpoint, many, **SMALL)
    # The same values in another type: only resizing could differ, and there is none.
    for a, b in zip(deep.layers, eight.layers, strict=True):
        assert (a.drift is None) == (b.drift is None)
        if a.drift is not None and b.drift is not None:
            assert a.drift.mean_shift == pytest.approx(b.drift.mean_shift, rel=1e-3)
    assert min(layer.similarity for layer in deep.layers if layer.similarity is not None) > 0.999


def test_what_cannot_be_probed_is_told_in_one_line(tiny_yaml: Path, tiny_checkpoint: Path, many: Path) -> None:
    with pytest.raises(InputError, match="all weights are random"):
        fl.probe(tiny_yaml, many, **SMALL)
    with pytest.raises(InputError, match="12 training images make no two batches of 8"):
        fl.probe(tiny_checkpoint, many, **{**SMALL, "batch": 8})
    with pytest.raises(InputError, match="--batches 1: expected at least 2"):
        fl.probe(tiny_checkpoint, many, **{**SMALL, "batches": 1})
    with pytest.raises(InputError, match="0 of 12 training images have a source version"):
        fl.probe(tiny_checkpoint, many, source=many.parent / "images" / "val", **SMALL)
    assert fl.probe(tiny_yaml, many, weights=tiny_checkpoint, **SMALL).layers


def test_the_command_writes_figure_json_and_study(tiny_checkpoint: Path, many: Path, tmp_path: Path) -> None:
    words = ["probe", tiny_checkpoint, many, "--batches", 3, "--batch", 2, "--imgsz", 64, "--device", "cpu", "--json",
             "--out", "p.svg", "--write-study", "next.yaml"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "frostline", *map(str, words)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record == json.loads((tmp_path / "p.json").read_text())
    assert "linear CKA" not in (tmp_path / "p.svg").read_text() and "KL, nats" in (tmp_path / "p.svg").read_text()
    arms = yaml.safe_load((tmp_path / "next.yaml").read_text())["arms"]
    assert list(arms) == list(record["recommendation"]["arms"])
    again = subprocess.run(
        [sys.executable, "-m", "frostline", *map(str, words)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert again.returncode == 2 and "next.yaml: exists already" in again.stderr and again.stderr.count("\n") == 1


def test_sensible_depths_are_those_the_model_has(tiny_checkpoint: Path, many: Path) -> None:
    assert sensible_depths(parts(tiny_checkpoint, many)[0]) == (0, 3, 4, 5, 6, 11, 23)
