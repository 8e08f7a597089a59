"""Runs of plain Ultralytics evaluated after their training: the same numbers, and not one of their files touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from tiny import save_checkpoint, write_dataset
from typer.testing import CliRunner

import frostline as fl
from frostline.analysis import RunFolder, RunScorer, read_predictions
from frostline.analysis.overfitting import TRAIN_PREDICTIONS, GapScorer
from frostline.cli import app
from frostline.errors import InputError
from frostline.training import evaluation
from frostline.training.evaluating import evaluate
from frostline.training.evaluation import RecordingValidator, evaluate_checkpoint

pytestmark = pytest.mark.integration
ANY = {"device": "cpu"}


@pytest.fixture(scope="module")
def trained(tiny_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run folder of plain Ultralytics, and its data; weights that find something in place of one epoch's."""
    from ultralytics import YOLO
    from ultralytics.nn.tasks import DetectionModel

    folder = tmp_path_factory.mktemp("plain")
    data = write_dataset(folder / "squares", train=8, val=9)
    YOLO(str(tiny_yaml)).train(
        data=str(data), epochs=1, imgsz=64, batch=2, device="cpu", plots=False, seed=3, freeze=2, verbose=False,
        project=str(folder), name="train", max_det=50,
    )  # fmt: skip
    torch.manual_seed(2)
    model = DetectionModel(str(tiny_yaml), nc=3, verbose=False)
    model.args, model.names = {}, {0: "red", 1: "green", 2: "blue"}
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.fill_(0.15)
    for branch in model.model[-1].cv3:
        branch[-1].weight.data.normal_(0, 0.7)
        branch[-1].bias.data.fill_(-1)
    for branch in model.model[-1].cv2:  # boxes of about two strides, well within the image
        branch[-1].bias.data.view(4, 16)[:, 1] += 8
    best = save_checkpoint(model, folder / "train" / "weights" / "best.pt")
    label_some_of_its_own(best, data)
    return folder / "train", data


def label_some_of_its_own(weights: Path, data: Path) -> None:
    """Make every third of a detector's surest boxes a validation object, so that its AP is neither 0 nor 1."""
    found = evaluate_checkpoint(weights, data, imgsz=64, batch=2, device="cpu", folder=weights.parent, quiet=True).frame
    inside = found.filter(pl.col("kind") == "prediction", pl.col("free_x1").is_null())
    for image in range(9):
        lines = []
        for row in inside.filter(pl.col("image") == f"val{image}.png").head(12)[::3].iter_rows(named=True):
            x1, y1, x2, y2 = (row[key] / 64 for key in ("x1", "y1", "x2", "y2"))
            lines.append(f"{row['class_id']} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n")
        (data.parent / "labels" / "val" / f"val{image}.txt").write_text("".join(lines))


@pytest.mark.parametrize(("arguments", "last"), [(None, True), ({"iou": 0.7}, True), ({"channels_last": False}, False)])
def test_images_are_laid_out_channels_last_unless_the_run_was_trained_otherwise(
    trained: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object] | None, last: bool
) -> None:
    seen: list[bool] = []

    class Watching(RecordingValidator):
        def preprocess(self, batch: dict[str, Any]) -> dict[str, Any]:
            moved = super().preprocess(batch)
            seen.append(moved["img"].is_contiguous(memory_format=torch.channels_last))
            return moved

    monkeypatch.setattr(evaluation, "RecordingValidator", Watching)
    run, data = trained
    found = evaluate_checkpoint(
        run / "weights" / "best.pt", data, imgsz=64, batch=2, device="cpu", folder=run, quiet=True, arguments=arguments
    )
    assert seen and set(seen) == {last}
    assert 0 < found.map50 < 1


@pytest.fixture
def plain(trained: tuple[Path, Path], tmp_path: Path) -> Path:
    shutil.copytree(trained[0], tmp_path / "train")
    return tmp_path / "train"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_plain_run_gets_what_the_statistics_need_and_keeps_its_own_files(
    plain: Path, trained: tuple[Path, Path]
) -> None:
    from ultralytics import YOLO

    before = digests(plain)
    seen: list[tuple[int, int]] = []
    [done] = evaluate([plain], progress=lambda count, total: seen.append((count, total)), **ANY)
    after = digests(plain)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"predictions.parquet", "evaluation.json"}
    assert seen[-1] == (9, 9) and done.folder == plain and done.skipped is None
    record = json.loads((plain / "evaluation.json").read_text())
    assert (record["imgsz"], record["batch"], record["max_det"], record["images"]) == (64, 2, 50, 9)
    box = YOLO(str(plain / "weights" / "best.pt")).val(
        data=str(trained[1]), imgsz=64, batch=4, rect=True, device="cpu", max_det=50, plots=False, verbose=False,
        project=str(plain.parent), name="val",
    ).box  # fmt: skip
    assert record["metrics"]["ultralytics/mAP50"] == pytest.approx(box.map50, abs=1e-9) and 0.05 < box.map50 < 0.95
    assert record["metrics"]["ultralytics/mAP50-95"] == pytest.approx(box.map, abs=1e-9)
    scorer = RunScorer.open(plain / "predictions.parquet")
    again = dict(zip(scorer.metrics, scorer(np.ones((1, 9), np.int32))[0], strict=True))
    for name in ("mAP50", "mAP50-95"):
        assert again[f"coco/{name}"] == pytest.approx(record["metrics"][f"coco/{name}"], abs=1e-9)
        # a right and a wrong detection have the same score here, which Ultralytics sorts in no stated order
        assert again[f"ultralytics/{name}"] == pytest.approx(record["metrics"][f"ultralytics/{name}"], abs=2e-3)


def test_compare_takes_it_as_the_source_and_the_inference_time_with_it(plain: Path) -> None:
    curves = fl.compare([plain]).row(0, named=True)
    assert curves["metrics_from"] == "results.csv" and curves["inference_ms"] is None
    [done] = evaluate([plain], **ANY)
    row = fl.compare([plain]).row(0, named=True)
    assert row["metrics_from"] == "evaluation.json" and row["status"] is None
    assert row["mAP50"] == done.record["metrics"]["ultralytics/mAP50"] != curves["mAP50"]
    assert row["AP_small"] == done.record["metrics"]["coco/AP_small"]
    assert row["AP50/red"] == done.record["per_class"]["red"]["ultralytics/AP50"]
    assert (row["arm"], row["seed"], row["freeze_depth"], row["best_epoch"]) == ("train", 3, 2, 1)
    spent = done.record["inference"]
    assert row["inference_ms"] == spent["ms"] > 0 and 3 <= spent["passes"] <= 100 and spent["imgsz"] == 64
    assert spent["ms_low"] <= spent["ms"] <= spent["ms_high"] and spent["threads"] >= 1


def test_what_is_evaluated_already_is_skipped_until_something_is_another(plain: Path, tiny_data: Path) -> None:
    def again(**changed: object) -> bool:
        [one] = evaluate([plain], data=tiny_data, **ANY, **changed)  # type: ignore[arg-type]
        return one.skipped is None

    assert again() and not again()
    assert again(imgsz=96) and not again(imgsz=96) and again()
    assert again(force=True) and not again()
    label = tiny_data.parent / "labels" / "val" / "val0.txt"
    label.write_text(label.read_text().splitlines()[0] + "\n")
    assert again() and not again()
    checkpoint = torch.load(plain / "weights" / "best.pt", weights_only=False)
    torch.save(checkpoint | {"date": "later"}, plain / "weights" / "best.pt")
    assert again()


def test_other_checkpoints_and_splits_go_to_folders_of_their_own(plain: Path, tiny_data: Path) -> None:
    content = yaml.safe_load(tiny_data.read_text())
    tiny_data.write_text(yaml.safe_dump(content | {"test": "images/train"}))
    [test] = evaluate([plain], data=tiny_data, split="test", **ANY)
    assert test.folder == plain / "evaluations" / "test_best_squares" and test.record["images"] == 8
    [last] = evaluate([plain], weights="last", **ANY)
    assert last.folder == plain / "evaluations" / "val_last"
    assert not (plain / "evaluation.json").exists()
    row = fl.compare([test.folder]).row(0, named=True)
    assert (row["arm"], row["seed"], row["freeze_depth"], row["mAP50"]) == (
        "train", 3, 2, test.record["metrics"]["ultralytics/mAP50"],
    )  # fmt: skip
    assert fl.compare([plain]).height == 1  # they are no runs of their own within it


def test_a_checkpoint_alone_needs_a_place(plain: Path, trained: tuple[Path, Path], tmp_path: Path) -> None:
    alone = tmp_path / "mine.pt"
    shutil.copyfile(plain / "weights" / "best.pt", alone)
    with pytest.raises(InputError, match="give it with --data"):
        evaluate([alone], **ANY)
    with pytest.raises(InputError, match="lies in no run folder; say where to write with --out"):
        evaluate([alone], data=trained[1], **ANY)
    [done] = evaluate([alone], data=trained[1], out=tmp_path / "found", imgsz=64, **ANY)
    assert fl.compare([tmp_path / "found"])["mAP50"].to_list() == [done.record["metrics"]["ultralytics/mAP50"]]
    [inside] = evaluate([plain / "weights" / "best.pt"], **ANY)
    assert inside.folder == plain


def test_predictions_of_unknown_origin_are_not_overwritten(plain: Path) -> None:
    (plain / "predictions.parquet").write_bytes(b"mine")
    with pytest.raises(InputError, match="nothing says what it is of; --force replaces it"):
        evaluate([plain], **ANY)
    assert (plain / "predictions.parquet").read_bytes() == b"mine"
    evaluate([plain], force=True, **ANY)
    read_predictions(plain / "predictions.parquet")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{plain}", "--weights", "other.pt"], "--weights other.pt: no such file"),
        (["{plain}", "--data", "missing.yaml"], "missing.yaml"),
        (["{plain}", "--split", "test"], "has no 'test:' split; it has train, val"),
        (["{plain}", "--data", "{other}"], "detects other classes, 3 (red, green, blue), than"),
        (["{plain}", "--device", "7"], "device 7"),
        (["{plain}/weights"], "no results"),
        (["{plain}", "{plain}", "--out", "x"], "2 runs: --out"),
    ],
)
def test_a_bad_input_is_one_line(plain: Path, tiny_data: Path, words: list[str], message: str) -> None:
    other = tiny_data.with_name("other.yaml")
    content = yaml.safe_load(tiny_data.read_text())
    other.write_text(yaml.safe_dump(content | {"names": {0: "red", 1: "lime", 2: "blue"}}))
    before = digests(plain)
    done = CliRunner().invoke(app, ["evaluate", *(word.format(plain=plain, other=other) for word in words)])
    assert isinstance(done.exception, InputError) and message in str(done.exception)
    assert "\n" not in str(done.exception) and digests(plain) == before


def test_a_run_that_lost_its_checkpoint_or_its_data_says_so(plain: Path) -> None:
    arguments = yaml.safe_load((plain / "args.yaml").read_text())
    (plain / "args.yaml").write_text(yaml.safe_dump(arguments | {"data": "/gone/data.yaml"}))
    with pytest.raises(InputError, match=f"{plain}: the data it was trained on cannot be used, give --data: /gone"):
        evaluate([plain], **ANY)
    (plain / "weights" / "best.pt").unlink()
    with pytest.raises(InputError, match=r"there is no weights/best\.pt"):
        evaluate([plain], **ANY)


def test_the_command_prints_both_definitions_and_pure_json(plain: Path) -> None:
    done = CliRunner().invoke(app, ["evaluate", str(plain), "--device", "cpu"])
    assert done.exit_code == 0, done.exception
    record = json.loads((plain / "evaluation.json").read_text())
    for name in ("ultralytics/mAP50", "ultralytics/recall", "coco/mAP50-95"):
        assert f"{record['metrics'][name]:.4f}" in done.output
    assert "green" in done.output and f"wrote {plain}" in done.output
    told = CliRunner().invoke(app, ["evaluate", str(plain), "--device", "cpu", "--json"])
    [one] = json.loads(told.stdout)
    assert one["skipped"] == "evaluated already" and one["metrics"] == record["metrics"]


def test_a_run_of_ours_keeps_boxes_on_training_images_and_is_evaluated_elsewhere(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    settings = {"epochs": 1, "imgsz": 64, "batch": 4, "plots": False, "nbs": 4}
    run = fl.train(tiny_checkpoint, tiny_data, project=tmp_path / "ours", device="cpu", **settings)
    assert run.record["inference"]["passes"] >= 3 and run.record["inference"]["imgsz"] == 64
    assert fl.compare([run.folder])["inference_ms"].to_list() == [run.record["inference"]["ms"]]
    fitted = read_predictions(run.folder / TRAIN_PREDICTIONS)
    assert fitted.frame.filter(pl.col("kind") == "image").height == 8
    score = GapScorer(fitted)(np.ones((1, 8), np.int32))[0, 1]
    assert score == pytest.approx(run.record["train_split"]["ultralytics/mAP50-95"], abs=1e-4)
    before = digests(run.folder)
    [same] = evaluate([run.folder], **ANY)
    assert same.skipped is not None and same.record == dict(RunFolder.open(run.folder).record)
    [larger] = evaluate([run.folder], imgsz=96, **ANY)
    assert larger.skipped is None and larger.record["imgsz"] == 96
    [forced] = evaluate([run.folder], force=True, **ANY)
    assert forced.folder == run.folder / "evaluations" / "val_best"
    assert forced.record["metrics"] == pytest.approx(run.record["metrics"])
    after = digests(run.folder)
    assert {name: after[name] for name in before} == before
