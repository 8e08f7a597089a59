"""No dataset runs code: `labels.cache`, `download:`, and archives in a data.yaml's clothes, from end to end."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from payloads import Calls

from frostline.datasets import load_dataset
from frostline.datasets.described import described, harmless_copy
from frostline.datasets.scanned import SUFFIX, ScannedDataset, load_labels
from frostline.errors import InputError

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def frostline(*words: object, at: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "frostline", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=at, timeout=280,
    )  # fmt: skip


def live_cache(mark: Path) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array(Calls(os.system, f"touch '{mark}'"), dtype=object), allow_pickle=True)
    return stream.getvalue()


def test_the_cache_is_live(tmp_path: Path) -> None:
    (tmp_path / "x.cache").write_bytes(live_cache(tmp_path / "mark"))
    np.load(tmp_path / "x.cache", allow_pickle=True)
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("form", ["npy", "pickle"])
def test_nothing_in_a_dataset_is_run_by_train_evaluate_or_predict(
    form: str, tiny_data: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    content = yaml.safe_load(tiny_data.read_text())
    tiny_data.write_text(yaml.safe_dump({**content, "download": f"open({str(mark)!r}, 'w').close()"}))
    data = live_cache(mark) if form == "npy" else pickle.dumps(Calls(os.system, f"touch '{mark}'"))

    def plant() -> None:
        for name in ("train", "val"):
            (tiny_data.parent / "labels" / f"{name}.cache").write_bytes(data)

    plant()
    run = tmp_path / "runs" / "r"
    settings = ("epochs=1", "imgsz=64", "batch=4", "plots=False", "warmup_epochs=0", "nbs=4")
    done = frostline(
        "train", tiny_checkpoint, tiny_data, *settings, "--project", run.parent, "--name", "r", "--device", "cpu", "-q",
        at=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not mark.exists()
    plant()
    done = frostline("evaluate", run, "--device", "cpu", "--weights", "last", at=tmp_path)
    assert done.returncode == 0, done.stderr
    plant()
    done = frostline("predict", run, tiny_data, "--device", "cpu", "--out", tmp_path / "found", at=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not mark.exists()


def test_a_dataset_that_vanishes_is_not_downloaded(tiny_data: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    content = yaml.safe_load(tiny_data.read_text())
    tiny_data.write_text(yaml.safe_dump({**content, "download": f"open({str(mark)!r}, 'w').close()"}))
    assert described(tiny_data)["nc"] == 3
    with harmless_copy(tiny_data) as copy:
        told = yaml.safe_load(Path(copy).read_text())
        assert "download" not in told and Path(told["val"]).is_absolute()
        again = described(copy)
        ours = described(tiny_data)
        assert {key: again[key] for key in ("train", "val", "names")} == {
            key: ours[key] for key in ("train", "val", "names")
        }
    shutil.rmtree(tiny_data.parent / "images" / "val")
    with pytest.raises(InputError, match="does not exist"):
        described(tiny_data)
    assert not mark.exists()


def test_a_data_yaml_that_is_an_archive_too_is_refused(tiny_data: Path) -> None:
    """Ultralytics would unpack it, and read the data.yaml inside."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("data.yaml", "download: evil")
    tiny_data.write_bytes(tiny_data.read_bytes() + b"\n# " + stream.getvalue())
    assert zipfile.is_zipfile(tiny_data)
    with pytest.raises(InputError, match="archive"):
        load_dataset(tiny_data)


def dataset(data: Path) -> ScannedDataset:
    from ultralytics.cfg import get_cfg

    info = described(data)
    return ScannedDataset(img_path=info["train"], imgsz=64, data=info, hyp=get_cfg(), augment=False, batch_size=2)


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            if key in ("cls", "bboxes"):
                assert a[key].dtype == b[key].dtype and np.array_equal(a[key], b[key])
            elif key == "segments":
                assert all(np.array_equal(x, y) for x, y in zip(a[key], b[key], strict=True))
            else:
                assert a[key] == b[key], key


def test_kept_labels_are_those_of_the_files_until_a_file_changes(tiny_data: Path) -> None:
    label = tiny_data.parent / "labels" / "train" / "train0.txt"
    for file in label.parent.glob("*.txt"):  # of polygons alone: Ultralytics drops those of a mixture
        file.write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0.2 0.2 0.4 0.2 0.4 0.4 0.3 0.3\n")
    from ultralytics.data.dataset import YOLODataset

    first, kept = dataset(tiny_data), tiny_data.parent / "labels" / f"train{SUFFIX}"
    assert kept.is_file()
    second = dataset(tiny_data)
    same(first.get_labels(), second.get_labels())
    info = described(tiny_data)
    plain = YOLODataset(img_path=info["train"], imgsz=64, data=info, augment=False, batch_size=2)
    same(plain.get_labels(), second.get_labels())
    assert any(len(one["segments"]) == 2 for one in second.get_labels())
    before = second.get_labels()
    state = label.stat()
    label.write_text("0 0.3 0.1 0.5 0.1 0.5 0.5\n1 0.2 0.2 0.4 0.2 0.4 0.4 0.3 0.3\n")  # of the same size
    os.utime(label, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    changed = dataset(tiny_data).get_labels()
    assert not np.array_equal(changed[0]["bboxes"], before[0]["bboxes"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-3],
        lambda data: b"",
        lambda data: b"[" * 100_000,
        lambda data: data.replace(b'"boxes": [', b'"boxes": [99999999999, '),
        lambda data: data.replace(b"train0.png", b"../x/0.png"),
        lambda data: b"\x80\x04cos\nsystem\n.",
    ],
)
def test_kept_labels_that_make_no_sense_are_read_again(damage: Any, tiny_data: Path) -> None:
    first, kept = dataset(tiny_data), tiny_data.parent / "labels" / f"train{SUFFIX}"
    good = kept.read_bytes()
    key = json.loads(good.split(b"\n")[0])["key"]
    assert load_labels(kept, key, first.im_files) is not None
    kept.write_bytes(damage(good))
    assert load_labels(kept, key, first.im_files) is None
    same(first.get_labels(), dataset(tiny_data).get_labels())
    assert kept.read_bytes() == good


OUTSIDE = ["../../etc", "/etc", "images/../../../etc", ["images/train", "../.."]]


@pytest.mark.parametrize("entry", OUTSIDE)
@pytest.mark.parametrize("root", [None, "absolute"])
def test_a_split_that_leads_out_is_shown_and_followed_only_if_asked(
    entry: Any, root: str | None, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {**yaml.safe_load(tiny_data.read_text()), "train": entry}
    tiny_data.write_text(yaml.safe_dump({**content, **({"path": str(tiny_data.parent)} if root else {})}))
    with pytest.raises(InputError, match=r"leads out of the dataset, to /.*--allow-outside"):
        load_dataset(tiny_data)
    monkeypatch.setenv("FROSTLINE_ALLOW_OUTSIDE", "1")
    try:
        load_dataset(tiny_data)
    except InputError as error:
        assert "leads out" not in str(error)


def test_a_list_that_leads_out_is_shown_too(tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "secret.png"
    shutil.copy(tiny_data.parent / "images" / "val" / "val0.png", outside)
    for line in (str(outside), "./../secret.png"):
        (tiny_data.parent / "list.txt").write_text(f"./images/train/train0.png\n{line}\n")
        tiny_data.write_text(yaml.safe_dump({**yaml.safe_load(tiny_data.read_text()), "train": "list.txt"}))
        with pytest.raises(InputError, match=r"list\.txt, line 2: leads out of the dataset"):
            load_dataset(tiny_data)
    monkeypatch.setenv("FROSTLINE_ALLOW_OUTSIDE", "1")
    assert len(load_dataset(tiny_data).train) == 2


@pytest.mark.parametrize("form", ["path", "path beside", "absolute within", "export", "link"])
def test_ordinary_datasets_need_no_leave(form: str, tiny_data: Path, tmp_path: Path) -> None:
    content, root = yaml.safe_load(tiny_data.read_text()), tiny_data.parent
    file = tiny_data
    if form == "path":  # wherever its user says that it is
        file = tmp_path / "elsewhere" / "mine.yaml"
        file.parent.mkdir()
        content["path"] = str(root)
    elif form == "path beside":  # as COCO: the YAML beside the folder
        file = tmp_path / "coco.yaml"
        content["path"] = str(root)
    elif form == "absolute within":
        content |= {"train": str(root / "images" / "train"), "val": str(root / "images" / "val")}
    elif form == "export":
        content |= {"train": "../images/train"}
    elif form == "link":
        (root / "images").rename(tmp_path / "big")
        (root / "images").symlink_to(tmp_path / "big")
    file.write_text(yaml.safe_dump(content))
    assert len(load_dataset(file).train) == 8


def test_the_option_reaches_a_run(tiny_data: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tiny_data.parent / "images" / "train").rename(tmp_path / "images")
    (tiny_data.parent / "labels" / "train").rename(tmp_path / "labels")
    tiny_data.write_text(yaml.safe_dump({**yaml.safe_load(tiny_data.read_text()), "train": "../images"}))
    words = ["data", "check", tiny_data]
    done = frostline(*words, at=tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--allow-outside" in done.stderr
    done = frostline(*words, "--allow-outside", at=tmp_path)
    assert "leads out" not in done.stderr and "train" in done.stdout
