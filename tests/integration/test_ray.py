"""A study on a real two-node Ray cluster on this machine, of which a node is killed in mid-run."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import SETTINGS

import frostline as fl
from frostline import InputError
from frostline.studies.claims import Claims
from frostline.studies.driving import Standing

pytestmark = [
    pytest.mark.integration,
    pytest.mark.extra,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed (extra ray)"),
]
ARMS: dict[str, Any] = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}


class Lines:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        pass


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Two nodes: the head, which holds no runs, and one that does."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    made.add_node(num_cpus=2)
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


def study(folder: Path, checkpoint: Path, data: Path, epochs: int) -> fl.Study:
    path = folder / "depth.yaml"
    train = {**SETTINGS, "epochs": epochs}
    value = {"model": str(checkpoint), "data": str(data), "train": train, "arms": ARMS, "on": "ray",
             "ray": {"cpus_per_run": 1}}  # fmt: skip
    path.write_text(yaml.safe_dump(value, sort_keys=False))
    return fl.Study.from_yaml(path, folder / "study")


def test_a_run_whose_node_dies_goes_on_from_its_last_checkpoint(
    tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path, cluster: Any
) -> None:
    one = study(tmp_path, tiny_checkpoint, tiny_data, epochs=40)
    victim = next(iter(cluster.worker_nodes))
    lines, killed, at_end = Lines(), [], set()

    def kill_once(standing: Sequence[Standing]) -> None:
        at_end.update(one.state for one in standing if one.planned.finished)
        if not killed and all((one.planned.folder / "progress.json").is_file() for one in standing):
            cluster.add_node(num_cpus=2)
            cluster.remove_node(victim, allow_graceful=False)
            killed.append(victim)

    outcome = one.run(observer=lines, on_look=kill_once)
    assert killed and outcome.complete, outcome.failed
    assert any("Ray, 2 nodes (2 CPU cores, 0 GPUs); 1 cores, 0 GPUs a run" in line for line in lines.said), lines.said
    for arm in ARMS:
        record = json.loads((one.folder / arm / "seed0" / "run.json").read_text())
        assert record["audit"] == "PASS" and record["stages"][0]["resumed_at"], arm
        assert record["threads"] == 1
    assert at_end <= {"running", "finished"}  # never "waiting" once its record says that it has finished
    assert not any(Claims(one.folder).holder(f"{arm}/seed0") for arm in ARMS)


def test_what_a_cluster_never_has_is_refused(tmp_path: Path, tiny_checkpoint: Path, tiny_data: Path) -> None:
    import ray

    one = study(tmp_path, tiny_checkpoint, tiny_data, epochs=1)
    with pytest.raises(InputError, match="no node has the 1000 CPU cores"):
        one.run(ray={"cpus_per_run": 1000.0})
    assert not ray.is_initialized() and not one.folder.exists()
    with pytest.raises(InputError, match="use --gpus-per-run"):
        one.run(device="1")
    with pytest.raises(InputError, match="for runs on a Ray cluster"):
        one.run(on="processes:2", ray={"cpus_per_run": 2.0})
