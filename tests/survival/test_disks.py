"""Disks that are full, that may not be written, and files that are gone or damaged when a run needs them."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from inspecting import call, epochs_of
from tiny import SETTINGS

import frostline as fl
from frostline.errors import InputError, StoppedError
from frostline.studies.claims import Claims
from frostline.training.resuming import Left, read_saved, what_is_left

pytestmark = [pytest.mark.integration, pytest.mark.slow]
FOUR = {**SETTINGS, "epochs": 4}
TMPFS_BYTES = 64 << 20
READ_ONLY, REMOUNT = 1, 32


class At:
    """An observer that does something once an epoch is saved."""

    def __init__(self, epoch: int, action: Any) -> None:
        self.epoch_at, self.action = epoch, action
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        if done == self.epoch_at:
            self.action()


class Stop(At):
    """One that interrupts the run then."""

    def __init__(self, epoch: int) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        super().__init__(epoch, stop)


def mount(place: Path, flags: int = 0, options: str = f"size={TMPFS_BYTES}") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    gc.collect()  # mapped images keep a disk busy
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 MiB, in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    if not sys.platform.startswith("linux"):
        pytest.skip("a small disk is mounted on Linux only")
    try:
        mount(place)
    except OSError as error:
        pytest.skip(f"no small disk can be mounted here: {error.strerror}; it needs root")
    yield place
    ctypes.CDLL(None).umount2(os.fsencode(place), 2)


def fill(disk: Path, leave: int) -> Path:
    """Fill a disk but for so many bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as stream:
        os.posix_fallocate(stream.fileno(), 0, shutil.disk_usage(disk).free - leave)
    return ballast


@pytest.mark.parametrize("written", ["last.pt", "best.pt"])
def test_a_disk_that_fills_up_within_a_checkpoint_fails_the_run_and_leaves_the_one_before(
    tiny_checkpoint: Path, tiny_data: Path, small_disk: Path, written: str
) -> None:
    """In epoch 2 nothing is given back for what is written; from then on, the checkpoint before the one before."""
    folder = small_disk / "runs" / "baseline"
    path, epoch = folder / "weights" / written, 1 if written == "last.pt" else 2
    seen: dict[str, Any] = {}

    def full() -> None:
        seen["bytes"] = path.read_bytes()
        fill(small_disk, len(seen["bytes"]) // 2 // 4096 * 4096)

    with pytest.raises(StoppedError) as caught:
        fl.train(
            tiny_checkpoint, tiny_data, project=small_disk / "runs", device="cpu", observer=At(epoch, full), **FOUR
        )
    told = str(caught.value)
    assert "no space left on the disk" in told and "make room" in told and "\n" not in told
    assert str(folder) in told and ".part-" not in told
    assert path.read_bytes() == seen["bytes"], "the checkpoint before is as it was"
    saved = read_saved(folder / "weights" / "last.pt")
    assert saved is not None and saved.epoch == (0 if written == "last.pt" else 2)
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "failed" and record["reason"] == told
    assert not list(folder.rglob(".*part-*"))
    with pytest.raises(InputError, match=r"MiB are needed .* make room"):  # nothing is begun that cannot end
        fl.train(tiny_checkpoint, tiny_data, project=small_disk / "runs", device="cpu", **FOUR)
    (small_disk / "ballast").unlink()
    run = fl.train(tiny_checkpoint, tiny_data, project=small_disk / "runs", device="cpu", **FOUR)
    assert run.audit_passed and run.record["stages"][0]["resumed_at"] == [saved.epoch + 2]
    assert epochs_of(folder / "results.csv") == epochs_of(folder / "gradients.csv") == [1, 2, 3, 4]


def test_a_disk_without_a_single_byte_ends_a_study_in_one_line(
    tiny_checkpoint: Path, tiny_data: Path, small_disk: Path, tmp_path: Path
) -> None:
    """Not even the record can be written then, nor the log: that is no reason to hide why."""
    file = study_file(tmp_path, tiny_checkpoint, tiny_data)
    project = small_disk / "study"
    watching = At(1, lambda: fill(small_disk, 0))
    outcome = fl.Study.from_yaml(file, project).run(device="cpu", observer=watching)
    ((label, reason),) = outcome.failed
    assert label == "baseline/seed0" and "no space left on the disk" in reason and "\n" not in reason
    assert f"{label} failed: {reason}" in watching.lines
    (small_disk / "ballast").unlink()
    outcome = fl.Study.from_yaml(file, project).run(device="cpu")
    assert outcome.complete and outcome.finished[0].record["stages"][0]["resumed_at"] == [2]


def study_file(folder: Path, checkpoint: Path, data: Path, **train: Any) -> Path:
    path = folder / "one.yaml"
    value = {"model": str(checkpoint), "data": str(data), "train": {**FOUR, **train}, "arms": {"baseline": {}}}
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return path


def test_a_disk_that_may_not_be_written_is_told_before_anything_and_can_be_looked_at(
    tiny_checkpoint: Path, tiny_data: Path, small_disk: Path, tmp_path: Path
) -> None:
    project = small_disk / "study"
    file = study_file(tmp_path, tiny_checkpoint, tiny_data)
    with pytest.raises(KeyboardInterrupt):
        fl.Study.from_yaml(file, project).run(device="cpu", observer=Stop(1))
    Claims(project, beat=1).take("baseline/seed0")  # somebody is at it, by the look of it
    mount(small_disk, REMOUNT | READ_ONLY)
    words = [sys.executable, "-m", "frostline", "study", "run", str(file), "--project", str(project), "--device", "cpu"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 2 and "may not be written; make it writable or choose another" in done.stderr
    assert done.stderr.strip().startswith("error: ") and len(done.stderr.strip().splitlines()) == 1
    looked = call("study", "status", project)
    assert looked.exit_code == 0 and "1/4" in looked.output and "carried out by process" in looked.output
    assert call("compare", project, "--out", tmp_path / "comparison.png").exit_code == 0


def test_a_disk_that_becomes_read_only_in_mid_run_fails_it_in_one_line(
    tiny_checkpoint: Path, tiny_data: Path, small_disk: Path
) -> None:
    def lock() -> None:
        mount(small_disk, REMOUNT | READ_ONLY)

    project = small_disk / "runs"
    with pytest.raises(StoppedError, match=r"Read-only file system; what was saved is kept"):
        fl.train(tiny_checkpoint, tiny_data, project=project, device="cpu", observer=At(2, lock), **FOUR)
    mount(small_disk, REMOUNT)
    run = fl.train(tiny_checkpoint, tiny_data, project=project, device="cpu", **FOUR)
    assert run.audit_passed and run.record["stages"][0]["resumed_at"] == [3]


def test_a_dataset_or_weights_that_are_gone_before_a_resume_are_named_and_the_run_goes_on_with_them(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    weights = Path(shutil.copy(tiny_checkpoint, tmp_path / "mine.pt"))
    file, project = study_file(tmp_path, weights, tiny_data), tmp_path / "study"
    with pytest.raises(KeyboardInterrupt):
        fl.Study.from_yaml(file, project).run(device="cpu", observer=Stop(2))
    record = (project / "baseline" / "seed0" / "run.json").read_bytes()
    for path in (tiny_data, tiny_data.parent / "images" / "train", weights):
        away = path.rename(path.with_name("away"))
        with pytest.raises(InputError) as caught:
            fl.Study.from_yaml(file, project).run(device="cpu")
        told = str(caught.value)
        assert str(path) in told and "\n" not in told, told
        away.rename(path)
        assert (project / "baseline" / "seed0" / "run.json").read_bytes() == record, "nothing was begun"
    outcome = fl.Study.from_yaml(file, project).run(device="cpu")
    assert outcome.complete and outcome.finished[0].record["stages"][0]["resumed_at"] == [3]


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_vanish_in_mid_run_fail_it_in_one_line_and_it_goes_on_with_them(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, workers: int
) -> None:
    images = tiny_data.parent / "images"
    away = images.with_name("away")
    settings = {**FOUR, "workers": workers, "image_cache": False, "mosaic": 0.0}
    with pytest.raises(StoppedError) as caught:
        fl.train(
            tiny_checkpoint, tiny_data, project=tmp_path, device="cpu",
            observer=At(2, lambda: images.rename(away)), **settings,
        )  # fmt: skip
    told = str(caught.value)
    assert str(images) in told and "gone while the run was going on" in told and "\n" not in told
    folder = tmp_path / "baseline"
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "failed" and record["reason"] == told
    away.rename(images)
    run = fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", **settings)
    assert run.audit_passed and run.record["stages"][0]["resumed_at"] == [3]
    assert epochs_of(folder / "results.csv") == [1, 2, 3, 4]


def damage(path: Path) -> None:
    """Change some bytes in the middle, as a bad disk does: the file keeps its length and its end."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(255 - byte for byte in content[middle : middle + 64])
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_checkpoint_that_cannot_be_read_is_told_and_the_one_before_is_taken(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, how: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=Stop(3), **FOUR)
    last = tmp_path / "baseline" / "weights" / "last.pt"
    if how == "damaged":
        damage(last)
    else:
        last.unlink()
    again = Stop(9)
    run = fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=again, **FOUR)
    told = f"{last} is {how}: going back to the checkpoint before it, of epoch 2"
    assert f"warning: {told}" in again.lines
    assert run.record["notes"] == [told] and run.record["stages"][0]["resumed_at"] == [3]
    assert run.audit_passed and epochs_of(run.folder / "results.csv") == [1, 2, 3, 4]
    assert len(run.record["epoch_seconds"]) == 4


def test_a_run_without_any_readable_checkpoint_begins_anew_and_says_so(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=Stop(3), **FOUR)
    weights = tmp_path / "baseline" / "weights"
    for name in ("last.pt", "previous.pt"):
        damage(weights / name)
    again = Stop(9)
    run = fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=again, **FOUR)
    (note,) = run.record["notes"]
    assert "there is no checkpoint before it: training starts from its beginning" in note
    assert f"warning: {note}" in again.lines
    assert run.audit_passed and run.record["stages"][0]["resumed_at"] == []
    assert epochs_of(run.folder / "results.csv") == epochs_of(run.folder / "gradients.csv") == [1, 2, 3, 4]


def test_a_kill_between_the_files_of_an_epoch_leaves_nothing_behind_the_last_checkpoint(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    """Written in this order: last.pt, best.pt, progress.json. A kill after the first leaves the others behind."""
    with pytest.raises(KeyboardInterrupt):
        fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=Stop(3), **FOUR)
    folder = tmp_path / "baseline"
    saved = read_saved(folder / "weights" / "last.pt")
    assert saved is not None and saved.epoch == 2 and saved.best, "later epochs of so small a model are as good"
    shutil.copy(folder / "weights" / "previous.pt", folder / "weights" / "best.pt")
    progress = json.loads((folder / "progress.json").read_text())
    del progress["epoch_seconds"]["3"]
    (folder / "progress.json").write_text(json.dumps({**progress, "best_epoch": 2}))
    told: list[str] = []
    assert what_is_left(folder, 4, told.append) == Left("resume") and told == []
    best = read_saved(folder / "weights" / "best.pt")
    assert best is not None and best.epoch == 2
    progress = json.loads((folder / "progress.json").read_text())
    assert progress["best_epoch"] == 3 and progress["epoch_seconds"]["3"] > 0
    run = fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", **FOUR)
    assert len(run.record["epoch_seconds"]) == 4 and run.audit_passed and run.record["notes"] == []


def test_a_damaged_record_is_named_and_stops_nothing_else(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path
) -> None:
    file, project = tmp_path / "two.yaml", tmp_path / "study"
    arms: dict[str, Any] = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}
    value = {"model": str(tiny_checkpoint), "data": str(tiny_data), "train": {**SETTINGS, "epochs": 1}, "arms": arms}
    file.write_text(yaml.safe_dump(value))
    assert fl.Study.from_yaml(file, project).run(device="cpu").complete
    record = project / "baseline" / "seed0" / "run.json"
    record.write_text('{"arm": "base')
    looked = call("study", "status", project)
    assert looked.exit_code == 0 and "1 of 2 runs finished" in looked.output
    assert f"{record} cannot be read: it is damaged" in " ".join(looked.output.split())
    assert fl.compare([project])["arm"].to_list() == ["freeze_1_to_3"]
    outcome = fl.Study.from_yaml(file, project).run(device="cpu")
    ((label, reason),) = outcome.failed
    assert label == "baseline/seed0" and "it is damaged; put it back from a copy, or remove" in reason
    assert len(outcome.finished) == 1
