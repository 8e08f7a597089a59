from __future__ import annotations

import json
from pathlib import Path

import pytest

from frostline.errors import InputError
from frostline.files import (
    TooLargeError,
    holds_files,
    leftovers,
    read_json,
    read_yaml,
    write_json,
    write_text,
    written_beside,
)
from frostline.training import Run


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), written_beside(path) as beside:
        beside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in path.parent.iterdir()] == ["x.txt"]


def test_what_a_killed_process_left_is_told_from_files_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), written_beside(tmp_path / "last.pt") as beside:
        (tmp_path / f"copy-of{beside.name}").write_text("")
        kept = beside.rename(tmp_path / f"{beside.name}")
        beside_copy = tmp_path / beside.name.replace("last", "best")
        beside_copy.write_text("as after SIGKILL")
        raise RuntimeError
    assert not kept.exists() and leftovers(tmp_path) == [beside_copy]
    assert holds_files(tmp_path)
    next(p for p in tmp_path.iterdir() if p.name.startswith("copy")).unlink()
    assert not holds_files(tmp_path)
    (tmp_path / ".bashrc").write_text("")
    assert holds_files(tmp_path) and leftovers(tmp_path) == [beside_copy]
    assert leftovers(tmp_path / "absent") == [] and not holds_files(tmp_path / "absent")


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": float("nan"), "b": [float("inf"), 1.5], 3: ("é",)})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": None, "b": [None, 1.5], "3": ["é"]}


def test_json_is_read_up_to_a_size_and_a_depth(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ä": [1, None]})
    size = (tmp_path / "a.json").stat().st_size
    assert read_json(tmp_path / "a.json", size) == {"ä": [1, None]}
    with pytest.raises(TooLargeError, match="larger than"):
        read_json(tmp_path / "a.json", size - 1)
    (tmp_path / "run.json").write_text("[" * 200_000)
    with pytest.raises(ValueError, match="too deep"):
        read_json(tmp_path / "run.json")
    assert Run.open(tmp_path) is None
    with pytest.raises(TooLargeError, match="a device"):
        read_json(Path("/dev/zero"))


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_yaml_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("arms:\n  base: {}\n  base: {freeze: 0-5}\n")
    with pytest.raises(InputError, match=r"study.yaml: not YAML: .*the key 'base' stands twice.*line 3"):
        read_yaml(path, "the study file")
    path.write_text("a: &x {p: 1}\nb: {<<: *x, q: 2}\n")
    assert read_yaml(path, "it") == {"a": {"p": 1}, "b": {"p": 1, "q": 2}}
