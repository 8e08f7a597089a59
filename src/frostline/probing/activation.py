"""Class activation maps of a detector: what in an image speaks for its detections, layer by layer.

The maps are those of the library grad-cam (the extra `explain`); what is ours is the target, as a detector has no one
class score to explain.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from ultralytics.data.augment import LetterBox
from ultralytics.utils import nms, ops

from frostline.datasets import PixelFormat
from frostline.datasets.exact import to_unit
from frostline.errors import InputError, did_you_mean
from frostline.freezing import find_layers, layer_table
from frostline.freezing.selecting import select
from frostline.training.evaluation import NO_TIME_LIMIT
from frostline.training.images import float32_convolutions

METHODS = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
    "eigencam": "EigenCAM",
}
"""Names of the methods, and of the classes in grad-cam. EigenCAM looks at activations alone, at no detection."""


@dataclass(frozen=True, eq=False)
class ActivationMaps:
    """What a model looks at in an image.

    Attributes:
        maps: by layer index, (h, w) float32 from 0 to 1, each scaled by itself; h x w is the size that the image has
            inside the network's padded input. All 0 where nothing speaks for the detections.
        boxes: (N, 4) float32, the detections that are explained: left, top, right, bottom in pixels of the image.
        scores: (N,) float32 confidences, falling.
        classes: (N,) class ids.
        confident: False where no detection reached the confidence, so that the surest alone is explained.
    """

    maps: dict[int, NDArray[np.float32]]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    confident: bool


def cam_class(method: str) -> Any:
    """Return grad-cam's class for a method.

    Raises:
        InputError: no such method, or grad-cam is not installed.
    """
    if method not in METHODS:
        raise InputError(f"method '{method}': expected one of {', '.join(METHODS)}{did_you_mean(method, METHODS)}")
    try:
        return getattr(importlib.import_module("pytorch_grad_cam"), METHODS[method])
    except ModuleNotFoundError as error:
        raise InputError(
            f"the library grad-cam is not installed ({error.name} is missing): pip install 'frostline[explain]'"
        ) from error


def default_layers(network: Any, imgsz: int) -> tuple[int, ...]:
    """Return the last layer of each resolution of the backbone, and the layers that the head reads."""
    table = layer_table(network, imgsz)
    last = {row.stride: row.index for row in table.layers if row.role == "backbone" and row.stride}
    return tuple(sorted({*last.values(), *(int(index) for index in _head(network).f)}))


def chosen_layers(selector: str, network: Any, imgsz: int, name: str) -> tuple[int, ...]:
    """Resolve a selector to layers whose output is one feature map.

    Args:
        selector: see `freezing.select`; whole layers only.
        network: the detector.
        imgsz: a side of its input.
        name: of the model, for messages.

    Raises:
        InputError: a layer that is not there or has no feature map.
    """
    try:
        picked = select(selector, network)
    except InputError as error:
        raise InputError(f"--layers: {error} ({name})") from error
    table = layer_table(network, imgsz)
    bad = [*picked.modules, *(str(i) for i in picked.layers if len(table.layers[i].shape or ()) != 3)]
    if bad or not picked:
        raise InputError(
            f"--layers {selector}: {bad[0] if bad else 'that'} has no feature map of its own; choose whole layers from "
            f"0 to {len(table) - 2} ({name})"
        )
    return picked.layers


class Explainer:
    """A detector with hooks at some layers; close it when done.

    What is explained is a sum of class scores before the sigmoid, one for each detection, at the anchor it came from
    and for the class it was given: Grad-CAM's y^c (Selvaraju et al., ICCV 2017), for a detector. The detections are
    those that non-maximum suppression keeps at the confidence asked for, or the surest one where none is so sure.

    Args:
        network: a detector in evaluation mode; what is frozen in it does not matter, its parameters get no gradients.
        layers: whose outputs are explained.
        method: of `METHODS`.
        device: where it runs.
        imgsz: longer side of the network's input, pixels; a multiple of its stride.
        conf: least confidence of a detection, 0 to 1.
        iou: overlap above which the less sure of two boxes goes, 0 to 1.
        only: class id, to explain detections of that class alone; None for all.
    """

    def __init__(
        self,
        network: Any,
        layers: Sequence[int],
        method: str = "gradcam",
        *,
        device: torch.device | None = None,
        imgsz: int = 640,
        conf: float = 0.25,
        iou: float = 0.7,
        only: int | None = None,
    ) -> None:
        self.layers = tuple(
            sorted(layers)
        )  # grad-cam pairs activations and gradients by their order in the forward pass
        self.device = device or torch.device("cpu")
        self.imgsz, self.conf, self.iou, self.only = imgsz, conf, iou, only
        self.network = network.to(self.device).eval().requires_grad_(False)
        found = find_layers(self.network)
        self.stride = max(int(network.stride.max()), 32)
        self._cam = cam_class(method)(_ClassScores(self.network), [found[index] for index in self.layers])
        # one map a layer, where the library would average them into one
        self._cam.aggregate_multi_layers = lambda maps: np.concatenate(maps, axis=1)
        if method == "eigencam":
            self._cam.get_cam_image = lambda _in, _layer, _targets, activations, *_: np.stack(
                [principal_map(one) for one in activations]
            )

    def close(self) -> None:
        """Take the hooks off the network."""
        self._cam.activations_and_grads.release()

    def explain(self, image: NDArray[Any], pixels: PixelFormat) -> ActivationMaps:
        """Explain the detections in one image.

        Args:
            image: (H, W, 3) in the order blue, green, red, of any type.
            pixels: its format.
        """
        before = torch.backends.cudnn.allow_tf32
        if pixels.deep:
            float32_convolutions()
        try:
            given, (top, left, height, width) = network_input(image, pixels, self.imgsz, self.stride)
            given = given.to(self.device)
            rows, anchors = self._detect(given)
            classes = rows[:, 5].long()
            maps = self._cam(
                input_tensor=given.requires_grad_(), targets=[lambda scores: scores[classes, anchors].sum()]
            )
        finally:
            torch.backends.cudnn.allow_tf32 = before
            self._cam.activations_and_grads.clear()
        boxes = ops.scale_boxes(given.shape[2:], rows[:, :4].clone(), image.shape[:2]).cpu().numpy()
        cropped = maps[0, :, top : top + height, left : left + width]
        scores = rows[:, 4].cpu().numpy()
        return ActivationMaps(
            {index: np.asarray(one, dtype=np.float32) for index, one in zip(self.layers, cropped, strict=True)},
            boxes.astype(np.float32),
            scores.astype(np.float32),
            classes.cpu().numpy(),
            bool((scores > self.conf).all()),
        )

    @torch.no_grad()
    def _detect(self, given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return detections (N, 6) as NMS gives them, and the anchor of each; the surest alone where none is sure."""
        decoded, raw = self.network(given)
        self._cam.activations_and_grads.clear()  # this pass met the hooks too
        one_to_one = _head(self.network).end2end
        for conf in (self.conf, 0.0):
            found, kept = nms.non_max_suppression(
                decoded.clone(), conf, self.iou, None if self.only is None else [self.only], max_det=300,
                max_time_img=NO_TIME_LIMIT, end2end=one_to_one, return_idxs=True,
            )  # fmt: skip
            rows = found[0] if conf == self.conf else found[0][:1]
            if len(rows):
                break
        if one_to_one:  # its detections come without their anchors
            scores = _scores(raw, one_to_one)[0].sigmoid()
            return rows, (scores[rows[:, 5].long()] - rows[:, 4:5]).abs().argmin(1)
        return rows, kept[0][: len(rows)].long()


def _head(network: nn.Module) -> Any:
    return find_layers(network)[-1]


class _ClassScores(nn.Module):
    """A detector whose output is its class scores before the sigmoid, (N, classes, anchors)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return _scores(self.network(images)[1], _head(self.network).end2end)


def _scores(raw: dict[str, Any], one_to_one: bool) -> torch.Tensor:
    """Pick the class scores out of what the head returns beside the decoded boxes."""
    branch = raw["one2one" if one_to_one else "one2many"] if "one2many" in raw else raw
    scores: torch.Tensor = branch["scores"]
    return scores


def principal_map(activations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project activations on their first principal component, the sign such that it rises with the mean activation.

    grad-cam's own projection takes a full singular value decomposition, whose square matrix over pixels is 40 GB for a
    320 x 320 map, and leaves the sign to chance. The eigenvectors of the channels' covariance are the same directions.

    Args:
        activations: (C, h, w).

    Source: Muhammad and Yeasin, Eigen-CAM, IJCNN 2020.
    """
    flat = np.nan_to_num(activations.reshape(len(activations), -1).T.astype(np.float64))
    mean = flat.mean(axis=1)
    flat = flat - flat.mean(axis=0)
    projected = flat @ np.linalg.eigh(flat.T @ flat)[1][:, -1]
    projected = projected if projected @ (mean - mean.mean()) >= 0 else -projected
    return np.asarray(projected.reshape(activations.shape[1:]), dtype=np.float32)


def network_input(
    image: NDArray[Any], pixels: PixelFormat, imgsz: int, stride: int
) -> tuple[torch.Tensor, tuple[int, int, int, int]]:
    """Resize and pad an image as prediction does.

    Returns:
        (1, 3, H, W) float32 in [0, 1], red, green, blue; and where the image lies in it: top, left, height, width.
    """
    letterbox = LetterBox((imgsz, imgsz), auto=True, stride=stride, padding_value=pixels.padding)
    where = letterbox.get_params({"img": image})
    stacked = np.ascontiguousarray(letterbox(image=image)[..., ::-1].transpose(2, 0, 1)[None])
    width, height = where["new_unpad"]
    return to_unit(torch.from_numpy(stacked), pixels), (where["top"], where["left"], height, width)
