"""How a run may start: other weights, a head that is frozen, and everything that is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import yaml
from tiny import SETTINGS, save_checkpoint

import frostline as fl
from frostline.training.checkpoints import saved_tensors

pytestmark = pytest.mark.integration


def refused(message: str, model: Path | str, data: Path, plan: fl.FreezePlan | None = None, **more: object) -> None:
    project = data.parent / "runs"
    with pytest.raises(fl.InputError, match=message) as error:
        fl.train(model, data, plan, project=project, device="cpu", **{**SETTINGS, **more})
    assert "\n" not in str(error.value)
    assert not project.exists(), "nothing is written for a run that cannot start"


class Listener:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def epoch(self, *_: object) -> None: ...


def test_the_head_frozen_keeps_its_fresh_classes_trainable(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    listener = Listener()
    run = fl.train(
        tiny_checkpoint, tiny_data, fl.FreezePlan.train_first(6), project=tmp_path, device="cpu", observer=listener,
        **SETTINGS,
    )  # fmt: skip
    assert run.folder.name == "first_6_only" and run.audit_passed
    assert len(run.record["kept_fresh"]) == 6 and all(name.startswith("23.cv3.") for name in run.record["kept_fresh"])
    assert any("6 tensors in frozen layers did not come from the checkpoint" in line for line in listener.lines)
    before, after = saved_tensors(tiny_checkpoint), saved_tensors(run.weights)
    assert torch.equal(before["23.cv2.0.0.conv.weight"].half(), after["23.cv2.0.0.conv.weight"])
    assert torch.equal(before["23.cv2.0.0.bn.running_mean"].half(), after["23.cv2.0.0.bn.running_mean"])
    trained = [name for name in before if name.split(".")[0] in set("012345")]
    assert any(not torch.equal(before[name].half(), after[name]) for name in trained)


def test_freeze_fresh_freezes_them_when_told(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    plan = fl.FreezePlan.train_first(6).model_copy(update={"freeze_fresh": True})
    run = fl.train(tiny_checkpoint, tiny_data, plan, project=tmp_path, device="cpu", **SETTINGS)
    assert run.record["kept_fresh"] == [] and run.audit_passed
    assert run.record["stages"][0]["frozen_layers"] == list(range(6, 24))


def test_a_yaml_starts_from_a_classification_checkpoint_and_what_was_loaded_is_counted(
    tiny_yaml: Path, tiny_data: Path, tmp_path: Path
) -> None:
    from ultralytics.nn.tasks import ClassificationModel

    config = yaml.safe_load(tiny_yaml.read_text())
    config["head"] = [[-1, 1, "Classify", ["nc"]]]
    config["backbone"] = config["backbone"][:9] + config["backbone"][10:]
    path = tmp_path / "yolo11n-tiny-cls.yaml"
    path.write_text(yaml.safe_dump(config))
    weights = save_checkpoint(ClassificationModel(str(path), nc=7, verbose=False), tmp_path / "cls.pt")
    run = fl.train(
        tiny_yaml,
        tiny_data,
        fl.FreezePlan.first(3),
        weights=weights,
        project=tmp_path / "runs",
        device="cpu",
        **SETTINGS,
    )
    expected = {n for n, t in saved_tensors(weights).items() if n.split(".")[0] in map(str, range(9))}
    assert run.record["transfer"]["loaded"] >= len(expected) > 100
    assert run.record["transfer"]["total"] > run.record["transfer"]["loaded"]
    start, after = saved_tensors(weights), saved_tensors(run.weights)
    assert torch.equal(start["1.conv.weight"].half(), after["1.conv.weight"]) and run.audit_passed


def test_a_model_without_weights_is_trained_but_never_frozen(tiny_yaml: Path, tiny_data: Path, tmp_path: Path) -> None:
    refused("would freeze random weights", tiny_yaml, tiny_data, fl.FreezePlan.first(3))
    run = fl.train(tiny_yaml, tiny_data, project=tmp_path / "runs", device="cpu", **{**SETTINGS, "epochs": 1})
    assert run.audit_passed and run.record["transfer"]["source"] is None and run.folder.name == "baseline"


def test_bad_checkpoints_are_refused(tiny_data: Path, tmp_path: Path, tiny_checkpoint: Path) -> None:
    refused("no such checkpoint", tmp_path / "missing.pt", tiny_data)
    (tmp_path / "empty.pt").write_bytes(b"")
    refused("empty, truncated or something else", tmp_path / "empty.pt", tiny_data)
    (tmp_path / "torn.pt").write_bytes(tiny_checkpoint.read_bytes()[:-3000])
    refused("empty, truncated or something else|not a loadable checkpoint", tmp_path / "torn.pt", tiny_data)
    torch.save({"a": 1}, tmp_path / "other.pt")
    refused("holds no model", tmp_path / "other.pt", tiny_data)


def test_a_name_that_ultralytics_rewrites_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from frostline.training import locate_model

    monkeypatch.chdir(tmp_path)  # a relative name: Ultralytics rewrites only those without any letter u in the path
    for name in ("yolov5n.pt", "yolov5n-mine.pt"):
        Path(name).write_bytes(b"")
    with pytest.raises(fl.InputError, match=r"takes this name for yolov5nu.pt; rename the file, say yolov5n-mine.pt"):
        locate_model("yolov5n.pt")
    assert locate_model("yolov5n-mine.pt") == "yolov5n-mine.pt"


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


def test_a_checkpoint_that_would_run_code_is_refused_before_it_runs(tiny_data: Path, tmp_path: Path) -> None:
    torch.save({"model": Payload(tmp_path / "ran")}, tmp_path / "payload.pt")
    refused(
        r"names (posix|nt)\.system, which .* could run code; .*--trust-checkpoint", tmp_path / "payload.pt", tiny_data
    )
    assert not (tmp_path / "ran").exists()


def test_plans_that_do_not_fit_the_model_are_refused(tiny_checkpoint: Path, tiny_data: Path) -> None:
    refused("freezes everything", tiny_checkpoint, tiny_data, fl.FreezePlan.select("all"))
    refused("no layer 29; the model has layers 0 to 23", tiny_checkpoint, tiny_data, fl.FreezePlan.first(30))


def test_data_that_training_would_silently_drop_is_refused(tiny_checkpoint: Path, tiny_data: Path) -> None:
    label = tiny_data.parent / "labels" / "train" / "train0.txt"
    label.write_text("3 0.5 0.5 0.1 0.1\n")
    refused("train0.txt", tiny_checkpoint, tiny_data)
    label.write_text("0 1.5 0.5 0.1 0.1\n")
    refused("train0.txt", tiny_checkpoint, tiny_data)
    tiny_data.write_bytes("train: images/train\nval: images/val\nnames: [rot, grün, blau]\n".encode("latin-1"))
    refused("data.yaml: not UTF-8 text", tiny_checkpoint, tiny_data)
    tiny_data.write_text("train: images/train\nval: images/nowhere\nnames: {0: red, 1: green, 2: blue}\n")
    refused("nowhere", tiny_checkpoint, tiny_data)


def test_an_image_size_off_the_stride_is_rounded_up_once_and_recorded(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    listener = Listener()
    run = fl.train(
        tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=listener,
        **{**SETTINGS, "imgsz": 50, "epochs": 1},
    )  # fmt: skip
    told = [line for line in listener.lines if "imgsz" in line]
    assert told == ["warning: imgsz=50 is no multiple of the model's stride 32: 64 is used"]
    assert run.record["imgsz"] == 64 and run.record["settings"]["imgsz"] == 50
    assert yaml.safe_load((run.folder / "args.yaml").read_text())["imgsz"] == 64
    assert "must be multiple of max stride" not in capfd.readouterr().out


def test_a_dataset_of_two_types_is_refused(tiny_checkpoint: Path, tiny_data: Path) -> None:
    import cv2
    import numpy as np

    image = tiny_data.parent / "images" / "train" / "train0.png"
    cv2.imwrite(str(image), cv2.imread(str(image)).astype(np.uint16) * 257)
    refused(r"train0.png: holds uint16 values, but \S+train1.png uint8 ones", tiny_checkpoint, tiny_data)


def test_images_that_are_not_whole_are_refused(tiny_checkpoint: Path, tiny_data: Path) -> None:
    image = tiny_data.parent / "images" / "val" / "val0.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:2000])
    refused("val0.png: the image is cut off", tiny_checkpoint, tiny_data)
    image.write_bytes(b"")
    refused("val0.png: the image is empty", tiny_checkpoint, tiny_data)


def test_an_image_that_ultralytics_leaves_out_stops_the_run(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    image = tiny_data.parent / "images" / "train" / "train0.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:8] + b"\0" * 17 + whole[25:])  # both ends in place, the header between them gone
    with pytest.raises(fl.InputError, match=r"train0.png: Ultralytics left 1 of 8 train images out"):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path / "runs", device="cpu", **SETTINGS)


def test_images_in_both_splits_and_arrays_beside_images_are_warned_about(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    from frostline.training import RunSpec, check_data, prepare, resolve_settings

    tiny_data.write_text("train: images/train\nval: [images/val, images/train]\nnames: {0: red, 1: green, 2: blue}\n")
    (tiny_data.parent / "images" / "val" / "val0.npy").write_bytes(b"")
    spec = RunSpec(
        arm="a", model=str(tiny_checkpoint), data=str(tiny_data), plan=fl.FreezePlan.none().with_epochs(2),
        settings=resolve_settings(SETTINGS),
    )  # fmt: skip
    label = tiny_data.parent / "labels" / "train" / "train1.txt"
    label.write_text("0 0.5 0.5 0.1 0\n" + 3 * "1 0.5 0.5 0.1 0.2\n")
    told = " ".join(prepare(spec, check_data(tiny_data), tmp_path).warnings)
    # The folder is in both splits here, so that its labels count twice.
    assert f"2 boxes in 2 label files have no area, such as in {label}" in told
    assert f"4 label rows in 2 files repeat another row, such as in {label}" in told
    assert "8 images are in both train and val" in told and "1 images have a .npy file beside them" in told


def test_a_folder_that_is_not_a_run_is_never_written_into(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    (tmp_path / "baseline").mkdir()
    (tmp_path / "baseline" / "thesis.txt").write_text("precious")
    with pytest.raises(fl.InputError, match="is not a run of Frostline"):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", **SETTINGS)


def test_a_disk_without_room_is_found_before_the_start(
    tiny_checkpoint: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frostline.training import room

    class Full:
        free = 10 * 2**20

    monkeypatch.setattr(room.shutil, "disk_usage", lambda _path: Full)
    refused("are needed and 10 MiB are free", tiny_checkpoint, tiny_data)


def test_devices_that_are_not_there_are_refused(tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path) -> None:
    for device, message in (
        ("0,98", "this machine has"),
        ("99", "this machine has"),
        ("tpu", "expected cpu"),
        ("cpu,cpu", "each once"),
    ):
        with pytest.raises(fl.InputError, match=message):
            fl.train(tiny_checkpoint, tiny_data, project=tmp_path / "runs", device=device, **SETTINGS)
