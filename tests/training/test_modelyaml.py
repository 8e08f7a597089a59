from __future__ import annotations

from pathlib import Path

import pytest
import torch

from frostline import InputError
from frostline.training import RunSpec, locate_model, open_model
from frostline.training.checkpoints import rounded_imgsz
from frostline.training.preparing import build_model


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("yolo11z.yaml", "; yolo11 has the scales n, s, m, l, x, not z"),
        ("yolov8t-p2.yaml", "; yolov8-p2 has the scales n, s, m, l, x, not t"),
        ("yolov11s.yaml", ", did you mean 'yolo11s.yaml'"),
        ("yolo11n.yml", ", did you mean 'yolo11n.yaml'"),
        ("yolov11s.pt", "no such checkpoint, did you mean 'yolo11s.pt'"),
        ("my-own.yaml", "among those of Ultralytics$"),
    ],
)
def test_a_misspelt_model_is_told_the_nearest_name_or_the_scales(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        locate_model(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "expected keys such as nc, backbone and head"),
        (b"nc: [\n", "not YAML"),
        (b"nc: 80\n", "'backbone:' must list layers"),
        (b"nc: 80\nbackbone: [[1, 2]]\nhead: []\n", "'backbone:' must list layers"),
        ("names: [Fußgänger]\n".encode("latin-1"), "not UTF-8 text"),
        (b"nc: 8\nbackbone: [[-1, 1, Convv, [8, 3, 2]]]\nhead: [[[0], 1, Detect, [nc]]]\n", "'Convv', which is no"),
        (b"nc: 8\nbackbone: [[-1, 1, Conv, [8, 3, 2]]]\nhead: [[[7], 1, Detect, [nc]]]\n", "cannot build a model"),
    ],
)
def test_a_bad_model_yaml_is_one_line_to_look_at_and_to_train(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    spec = RunSpec(arm="a", model=str(path), data="d.yaml", plan={}, settings={})
    for attempt in (lambda: open_model(path), lambda: build_model(spec, {0: "a"})):
        with pytest.raises(InputError, match=f"mine.yaml: .*{message}") as error:
            attempt()
        assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_an_image_size_is_rounded_up_to_the_models_stride_and_that_is_told() -> None:
    model = torch.nn.Module()
    model.stride = torch.tensor([8.0, 16.0, 64.0])
    assert rounded_imgsz(128, model) == (128, None)
    size, note = rounded_imgsz(130, model)
    assert size == 192 and note == "imgsz=130 is no multiple of the model's stride 64: 192 is used"
