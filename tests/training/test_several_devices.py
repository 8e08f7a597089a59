"""Several GPUs for one run, as far as no GPU is needed: what is asked for, refused, divided and put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from frostline.errors import InputError
from frostline.freezing import Audit, AuditCheck, FreezePlan
from frostline.training.machine import MemoryPeak, choose_device, choose_devices, first_device, loader_workers
from frostline.training.several import Post
from frostline.training.spec import RunSpec
from frostline.training.start import check_several


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)


@pytest.mark.usefixtures("four_gpus")
def test_several_gpus_are_named_by_their_numbers() -> None:
    assert choose_devices("0, 2") == "0,2" and choose_devices("cuda:1,3") == "1,3" and choose_devices("3") == "3"
    assert choose_devices(None) == "0" and first_device("2,3") == "2"
    for device, message in (("0,0", "each once"), ("0,cpu", "each once"), ("1,7", "GPUs 0 to 3")):
        with pytest.raises(InputError, match=message):
            choose_devices(device)
    with pytest.raises(InputError, match="takes one device"):
        choose_device("0,1")


def spec(**settings: Any) -> RunSpec:
    more = {key: settings.pop(key) for key in ("exact_resume", "plan") if key in settings}
    plan = more.pop("plan", FreezePlan.first(3)).with_epochs(2)
    return RunSpec(
        arm="x", model="m.pt", data="d.yaml", plan=plan, settings={"epochs": 2, "batch": 8} | settings, **more
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 9}, r"batch=9 .* multiple of 2, such as batch=8"),
        ({"batch": 1}, "such as batch=2"),
        ({"batch": -1}, "expected a multiple of 2"),
        ({"batch": 0.7}, "expected a multiple of 2"),
        ({"rect": True}, "rect=true"),
        ({"cache_features": True}, "cache_features=true"),
        ({"exact_resume": True}, "exact_resume"),
    ],
)
def test_what_several_gpus_cannot_do_is_one_line(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_several("0,1", spec(**given))
    check_several("0,1", spec())
    with pytest.raises(InputError, match="--track"):
        check_several("0,1", spec(), tracked=True)


def test_loaders_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frostline.training.threads.usable_cpus", lambda: 6)
    assert loader_workers(None, "0") == 6 and loader_workers(None, "0,1") == 3 and loader_workers(2, "0,1,2") == 2
    assert loader_workers(8, "0,1,2,3") == 1 and loader_workers(None, "cpu") == 0


def test_memory_and_audit_of_other_processes_count() -> None:
    peak = MemoryPeak("cpu")
    peak.include({"rss_bytes": 1 << 50, "cuda_bytes": 7})
    peak.include({"rss_bytes": 1, "cuda_bytes": None})
    assert peak.read() == {"rss_bytes": 1 << 50, "cuda_bytes": 7}
    audit = Audit([AuditCheck("a", True, "b"), AuditCheck("c", False, "d")], ["note"])
    assert Audit.from_dict(audit.to_dict()) == audit


def test_only_the_first_process_is_heard_but_for_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    post = Post(tmp_path / "messages", 1, 0.0)
    monkeypatch.setattr("frostline.training.several.RANK", 1)
    post.say("no")
    post.send("error", "yes")
    monkeypatch.setattr("frostline.training.several.RANK", 0)
    post.on_epoch(1, 2, {"x": 0.5})
    assert (tmp_path / "messages").read_text() == '["error", "yes"]\n["epoch", [1, 2, {"x": 0.5}]]\n'
