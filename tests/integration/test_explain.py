"""Activation maps of a real network: against Grad-CAM by hand, and against a network whose head is random."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from frostline.cli import app
from frostline.datasets import EIGHT_BITS, PixelFormat
from frostline.errors import InputError
from frostline.probing.activation import (
    Explainer,
    cam_class,
    chosen_layers,
    default_layers,
    network_input,
    principal_map,
)
from frostline.training.predict_model import open_detector
from frostline.training.predict_sources import ImageLoader, KnownFormats
from frostline.training.predictor import set_up

pytestmark = [pytest.mark.integration, pytest.mark.extra]
LAYERS = (4, 6, 10, 16, 19)


@pytest.fixture
def grad_cam() -> None:
    pytest.importorskip("pytorch_grad_cam", reason="needs grad-cam: pip install 'frostline[explain]'")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 255, (6, 10, 3), dtype=np.uint8)
    return cv2.resize(coarse, (96, 60), interpolation=cv2.INTER_CUBIC)


def shake_head(network: torch.nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for branch in network.model[-1].cv3:
        branch[-1].weight.data.normal_(0, 0.7)


def by_hand(
    network: torch.nn.Module, given: torch.Tensor, layer: int, classes: list[int], anchors: list[int]
) -> np.ndarray:
    """Selvaraju et al. 2017, equations 1 and 2, with autograd alone."""
    kept: list[torch.Tensor] = []
    handle = network.model[layer].register_forward_hook(lambda _m, _i, output: kept.append(output))
    scores = network(given.clone().requires_grad_())[1]["scores"]
    handle.remove()
    gradient = torch.autograd.grad(scores[0, classes, anchors].sum(), kept[0])[0]
    weights = gradient.mean((2, 3), keepdim=True)
    cam = torch.relu((weights * kept[0]).sum(1))[0].detach().numpy()
    cam = (cam - cam.min()) / (1e-7 + (cam - cam.min()).max())
    return cv2.resize(cam, (given.shape[3], given.shape[2]))


def test_maps_are_grad_cam_as_written_in_the_paper(grad_cam: None, tiny_checkpoint: Path, image: np.ndarray) -> None:
    network, _ = open_detector(tiny_checkpoint, False)
    shake_head(network, 2)
    explainer = Explainer(network, LAYERS[::-1], imgsz=96, conf=0.0)
    seen = explainer.explain(image, EIGHT_BITS)
    given, (top, left, height, width) = network_input(image, EIGHT_BITS, 96, 32)
    rows, anchors = explainer._detect(given)
    explainer.close()
    assert len(rows) == len(seen.scores) > 3 and seen.confident
    with torch.no_grad():  # the anchors are those that the detections came from
        scores = network(given)[1]["scores"][0].sigmoid()
    classes = [int(index) for index in rows[:, 5]]
    assert torch.allclose(scores[classes, anchors], rows[:, 4])
    alive = 0
    for layer in LAYERS:
        expected = by_hand(network, given, layer, classes, anchors.tolist())[top : top + height, left : left + width]
        alive += int(expected.max() > 0.1)
        assert seen.maps[layer].shape == (60, 96)
        np.testing.assert_allclose(seen.maps[layer], expected, atol=1e-4)
    assert alive >= 2, "maps that are 0 everywhere compare nothing"


def test_a_random_head_gives_another_map(grad_cam: None, tiny_checkpoint: Path, image: np.ndarray) -> None:
    """Adebayo et al. 2018: a map that does not depend on the weights explains nothing."""
    maps = []
    for seed in (2, 5):
        network, _ = open_detector(tiny_checkpoint, False)
        shake_head(network, seed)
        explainer = Explainer(network, LAYERS, imgsz=96)
        seen = explainer.explain(image, EIGHT_BITS)
        maps.append(np.stack([seen.maps[layer] for layer in LAYERS]))
        explainer.close()
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] < 0.9


def test_where_nothing_is_sure_the_surest_alone_is_explained(
    grad_cam: None, tiny_checkpoint: Path, image: np.ndarray
) -> None:
    network, _ = open_detector(tiny_checkpoint, False)
    explainer = Explainer(network, [16], imgsz=96, conf=0.99, only=2)
    seen = explainer.explain(image, EIGHT_BITS)
    explainer.close()
    assert not seen.confident and seen.classes.tolist() == [2]


@pytest.mark.parametrize("deep", [False, True])
def test_the_network_is_given_what_prediction_gives_it(tiny_checkpoint: Path, image: np.ndarray, deep: bool) -> None:
    network, _ = open_detector(tiny_checkpoint, False)
    pixels = PixelFormat("uint16", 0.0, 65535.0, "linear") if deep else EIGHT_BITS
    given = image.astype(np.uint16) * 257 if deep else image
    predictor = set_up(network, "cpu", ImageLoader([], KnownFormats()), imgsz=96)
    predictor.setup_source(None)
    predictor.batch = (["x"], [given], [pixels])
    expected = predictor.preprocess([given])
    assert torch.equal(network_input(given, pixels, 96, 32)[0], expected.float())


def test_the_principal_map_is_that_of_the_library_up_to_its_sign(grad_cam: None) -> None:
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    activations = np.random.default_rng(0).normal(size=(1, 5, 6, 7)).astype(np.float32) ** 2
    ours, theirs = principal_map(activations[0]), get_2d_projection(activations.copy())[0]
    assert np.allclose(ours, theirs, atol=1e-4) or np.allclose(ours, -theirs, atol=1e-4)
    assert np.corrcoef(ours.ravel(), activations[0].mean(0).ravel())[0, 1] > 0


def test_default_layers_end_each_resolution_and_feed_the_head(tiny_checkpoint: Path) -> None:
    network, _ = open_detector(tiny_checkpoint, False)
    assert default_layers(network, 96) == (0, 2, 4, 6, 10, 16, 19, 22)
    with pytest.raises(InputError, match="no layer 99"):
        chosen_layers("99", network, 96, "tiny")
    with pytest.raises(InputError, match="23 has no feature map"):
        chosen_layers("4,23", network, 96, "tiny")


def test_the_command_draws_what_it_can_and_names_the_rest(
    grad_cam: None, tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    images = tiny_data.parent / "images" / "val"
    (images / "val0.png").write_bytes(b"nothing")
    out = tmp_path / "seen"
    words = ["explain", str(tiny_checkpoint), str(images), "--layers", "4,16", "--imgsz", "64", "--out", str(out)]
    for _ in range(2):  # the second time over the first
        done = CliRunner().invoke(app, [*words, "--device", "cpu"])
        assert done.exit_code == 1 and "val0.png" in done.stderr and "failed: 1" in done.stdout
    record = json.loads((out / "explain.json").read_text())
    assert record["layers"] == [4, 16] and len(record["images"]) == 3 and len(record["failed"]) == 1
    assert all((out / file).stat().st_size > 500 for file in record["files"])
    picture = cv2.imread(str(out / "layers" / "layer-16.png"))
    assert picture.std() > 20


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pytorch_grad_cam", None)
    with pytest.raises(InputError, match=r"pip install 'frostline\[explain\]'"):
        cam_class("gradcam")
    with pytest.raises(InputError, match="did you mean 'gradcam'"):
        cam_class("gradcm")
