from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frostline.analysis import DetectionTable, PredictionSettings, read_predictions, write_predictions
from frostline.analysis.predictions import SCHEMA
from frostline.errors import InputError

SETTINGS = PredictionSettings(max_det=300, conf=0.001, iou=0.7, names={0: "Car", 1: 'Per"son', 7: "자전거"})


def small_table() -> DetectionTable:
    table = DetectionTable()
    table.add(
        "a.png",
        (640, 480),
        truth_classes=np.array([0, 1]),
        truth_boxes=np.array([[1, 2, 30, 40], [5, 5, 9.5, 9]]),
        classes=np.array([1.0, 0.0, 7.0], dtype=np.float32),
        boxes=np.arange(12, dtype=np.float32).reshape(3, 4),
        scores=np.array([0.5, 0.25, 0.001]),
    )
    table.add("b.png", (32, 16), truth_classes=[], truth_boxes=[], classes=[], boxes=[], scores=[])
    return table


def test_what_was_collected_is_read_back_as_it_was_with_its_settings(tmp_path: Path) -> None:
    path = tmp_path / "run" / "predictions.parquet"
    frame = small_table().frame
    write_predictions(path, frame, SETTINGS)
    read = read_predictions(path)
    assert read.settings == SETTINGS
    assert read.frame.schema == SCHEMA
    assert read.frame.equals(frame, null_equal=True)
    images = read.frame.filter(pl.col("kind") == "image")
    assert images.select("image", "x1", "y1", "x2", "y2").rows() == [("a.png", 0, 0, 640, 480), ("b.png", 0, 0, 32, 16)]
    assert images.get_column("class_id").null_count() == 2
    truths = read.frame.filter(pl.col("kind") == "truth")
    assert truths.get_column("score").null_count() == truths.height == 2
    predictions = read.frame.filter(pl.col("kind") == "prediction")
    assert predictions.select("class_id", "x1", "y1", "x2", "y2").rows()[1] == (0, 4, 5, 6, 7)


def test_an_empty_validation_set_is_a_table_too(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", DetectionTable().frame, SETTINGS)
    assert read_predictions(tmp_path / "p.parquet").frame.is_empty()


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0, 0.999))
def test_a_truncated_file_is_one_clear_error(share: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cut")
    write_predictions(folder / "p.parquet", small_table().frame, SETTINGS)
    whole = (folder / "p.parquet").read_bytes()
    (folder / "p.parquet").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"p\.parquet.*not a whole Parquet file") as caught:
        read_predictions(folder / "p.parquet")
    assert "\n" not in str(caught.value)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_predictions(tmp_path / "p.parquet")
    pl.DataFrame({"kind": ["image"], "image": ["a"]}).write_parquet(tmp_path / "p.parquet", metadata={"conf": "1"})
    with pytest.raises(InputError, match="no column class_id, x1"):
        read_predictions(tmp_path / "p.parquet")
    small_table().frame.write_parquet(tmp_path / "p.parquet")
    with pytest.raises(InputError, match="metadata lacks"):
        read_predictions(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (pl.lit("box").alias("kind"), "kind"),
        (pl.lit(float("nan")).alias("x2"), "four finite numbers"),
        (pl.lit(None, dtype=pl.Float32).alias("score"), "without a score"),
        (pl.lit(None, dtype=pl.Int16).alias("class_id"), "without a class"),
        (pl.lit(70_000).alias("class_id"), "wrong type"),
        (pl.lit(None, dtype=pl.String).alias("image"), "without an image name"),
    ],
)
def test_a_table_that_no_metric_could_use_is_not_written(change: pl.Expr, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    path.write_text("old")
    with pytest.raises(InputError, match=fault):
        write_predictions(path, small_table().frame.with_columns(change), SETTINGS)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["p.parquet"]


def test_two_images_of_one_name_cannot_be_told_apart_and_are_refused() -> None:
    table = small_table()
    with pytest.raises(InputError, match=r"two validation images are called 'a\.png'"):
        table.add("a.png", (1, 1), truth_classes=[], truth_boxes=[], classes=[], boxes=[], scores=[])


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="2 classes, 1 boxes"):
        DetectionTable().add(
            "a", (1, 1), truth_classes=[0, 0], truth_boxes=[[0, 0, 1, 1]], classes=[], boxes=[], scores=[]
        )
