"""No checkpoint runs code: live payloads that would leave a file, in every place and by every trick."""

from __future__ import annotations

import os
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from payloads import PAYLOADS, TRICKS, Calls, assembled, hide, system, text

from frostline.errors import InputError
from frostline.training.allowed import check
from frostline.training.checkpoints import open_checkpoint, read_checkpoint
from frostline.training.pickled import BrokenPickleError, RefusedPickleError, follow
from frostline.training.vetting import UnsafeCheckpointError, vet_checkpoint

pytestmark = pytest.mark.integration


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return content


@pytest.mark.parametrize("where", ["top", "attribute", "weight", "hook"])
@pytest.mark.parametrize("kind", list(PAYLOADS))
def test_a_payload_is_refused_by_its_name_and_leaves_no_trace(
    kind: str, where: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    mark, path = tmp_path / "mark", tmp_path / "bad.pt"
    make, name = PAYLOADS[kind]
    torch.save(hide(loaded(tiny_checkpoint), make(mark), where), path)
    for read in (vet_checkpoint, open_checkpoint, read_checkpoint):
        with pytest.raises(UnsafeCheckpointError) as caught:
            read(path)
        assert name in str(caught.value) and "\n" not in str(caught.value)
        assert "--trust-checkpoint" in str(caught.value)
    assert not mark.exists()


def test_the_payload_is_live(tmp_path: Path) -> None:
    torch.save({"model": system(tmp_path / "mark")}, tmp_path / "bad.pt")
    loaded(tmp_path / "bad.pt")
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("trick", list(TRICKS))
def test_a_file_that_can_be_read_in_two_ways_is_refused(trick: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = TRICKS[trick](tiny_checkpoint, tmp_path / "bad.pt", mark)
    with pytest.raises(InputError) as caught:
        open_checkpoint(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert not mark.exists()


def test_the_old_form_opens_when_it_is_harmless(tiny_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.pt"
    torch.save(loaded(tiny_checkpoint), path, _use_new_zipfile_serialization=False)
    assert vet_checkpoint(path) is False and vet_checkpoint(tiny_checkpoint) is True
    a, b = open_checkpoint(path).state_dict(), open_checkpoint(tiny_checkpoint).state_dict()
    assert all(torch.equal(a[key], b[key]) for key in b)


PROGRAMS = {
    # what other scanners were led past by
    "names from the memo": assembled(
        text("os"), b"q\x00", text("system"), b"q\x01", text("torch._utils"), b"\x94", text("_rebuild_parameter"),
        b"\x94", b"0000", b"h\x00", b"h\x01", b"\x93", text("true"), b"\x85R",
    ),
    "memoize after put": assembled(text("posix"), b"q\x05", b"0", text("system"), b"\x94", b"0h\x05h\x01\x93)R"),
    "an attribute of a class": assembled(text("torch.nn"), text("Module.forward"), b"\x93."),
    "state for a class": assembled(
        text("ultralytics.nn.modules.conv"), text("Conv"), b"\x93}", text("default_act"), b"Nsb",
    ),
    "a call of what was made": assembled(
        text("collections"), text("OrderedDict"), b"\x93)R)R",
    ),
    "a model built with a path": assembled(
        text("ultralytics.nn.tasks"), text("DetectionModel"), b"\x93", text("http://x/y.yaml"), b"\x85R",
    ),
    "append of an object": assembled(
        text("ultralytics.utils"), text("IterableSimpleNamespace"), b"\x93)\x81}", text("append"),
        text("ultralytics.nn.tasks"), text("DetectionModel"), b"\x93sb", text("x.yaml"), b"a",
    ),
    "a dtype that is no number": assembled(text("numpy"), text("dtype"), b"\x93", text("O8"), b"\x85R"),
    "a codec": assembled(text("_codecs"), text("encode"), b"\x93", text("x"), text("zip"), b"\x86R"),
    "an old instance": assembled(b"(ios\nsystem\n"),
    "an extension": assembled(b"\x82\x01"),
    "a name that is no text": assembled(b"K\x01", text("x"), b"\x93"),
    "a private function of a module": assembled(text("ultralytics.nn.tasks"), text("torch_safe_load"), b"\x93"),
    "a module of torch": assembled(text("torch.nn.modules.module"), text("torch"), b"\x93"),
    "persistent": assembled(text("module"), text("x"), b"\x86Q"),
}  # fmt: skip


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_what_hides_in_the_machine_is_refused(program: str) -> None:
    with pytest.raises(RefusedPickleError):
        follow(PROGRAMS[program], check)


@pytest.mark.parametrize(
    "data", [b"", b".", b"\x80\x02", b"\x80\x02X\xff\xff\xff\x7fab.", b"\x80\x02t.", b"\x80\x02R."]
)
def test_what_is_no_pickle_is_broken(data: bytes) -> None:
    with pytest.raises(BrokenPickleError):
        follow(data, check)


def test_a_trusted_checkpoint_opens_but_installs_nothing(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ultralytics would install the module that a checkpoint names."""
    from ultralytics.nn import tasks
    from ultralytics.utils import checks

    content = loaded(tiny_checkpoint)
    torch.save({**content, "date": Calls(os.getcwd)}, tmp_path / "trusted.pt")
    assert len(open_checkpoint(tmp_path / "trusted.pt", trust=True).names) == 10
    module = types.ModuleType("frostline_gone")
    exec("def now(): pass", module.__dict__)
    module.now.__module__ = module.__name__
    sys.modules[module.__name__] = module
    torch.save({**content, "date": Calls(module.now)}, tmp_path / "missing.pt")
    del sys.modules[module.__name__]
    asked: list[Any] = []
    monkeypatch.setattr(checks, "check_requirements", lambda *a, **k: asked.append(a))
    monkeypatch.setattr(tasks, "check_requirements", lambda *a, **k: asked.append(a))
    with pytest.raises(InputError, match="needs the module frostline_gone, which is not installed"):
        open_checkpoint(tmp_path / "missing.pt", trust=True)
    with pytest.raises(UnsafeCheckpointError, match=r"frostline_gone\.now"):
        open_checkpoint(tmp_path / "missing.pt")
    assert asked == []


def test_a_model_is_not_built_from_a_configuration_that_is_code(tiny_checkpoint: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    for key, value in (
        ("activation", f"__import__('os').system('touch {mark}')"),
        ("activation", f"nn.SiLU(open({str(mark)!r}, 'w'))"),
        ("backbone", [[-1, 1, "torch_safe_load", [str(tiny_checkpoint)]]]),
        ("backbone", [[-1, 1, "nn.modules", []]]),
        ("head", [[-1, 1, "DetectionModel", ["http://x/y.yaml"]]]),
    ):
        content = loaded(tiny_checkpoint)
        content["model"].yaml[key] = value
        torch.save(content, tmp_path / "bad.pt")
        with pytest.raises(InputError, match=r"activation|no layer"):
            open_checkpoint(tmp_path / "bad.pt")
    assert not mark.exists()


def test_looking_costs_little_beside_opening(tiny_checkpoint: Path) -> None:
    open_checkpoint(tiny_checkpoint)

    def best(function: Any) -> float:
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            function(tiny_checkpoint)
            taken.append(time.perf_counter() - began)
        return min(taken)

    assert best(vet_checkpoint) < 0.6 * best(open_checkpoint)
