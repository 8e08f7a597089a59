"""Clocks that are set back, dates in the future, and languages, encodings and names of all kinds."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from inspecting import epochs_of
from tiny import SETTINGS

import frostline as fl
from frostline.studies.claims import Claims, Holder, TakenError

pytestmark = [pytest.mark.integration, pytest.mark.slow]
AWKWARD = "Läufe für Test 1 – señal 光"


class ClockBack:
    """An observer that sets the clock back by an hour after the first epoch, or interrupts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> None:
        self.monkeypatch, self.stop_at = monkeypatch, stop_at

    def say(self, text: str) -> None:
        pass

    def epoch(self, done: int, total: int, metrics: dict[str, float]) -> None:
        if done == self.stop_at:
            raise KeyboardInterrupt
        if done == 1:
            real = time.time
            self.monkeypatch.setattr(time, "time", lambda: real() - 3600)


def test_a_clock_that_is_set_back_in_mid_run_changes_no_measured_time(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "epochs": 4}
    with pytest.raises(KeyboardInterrupt):
        fl.train(
            tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", observer=ClockBack(monkeypatch, 3), **settings
        )
    run = fl.train(tiny_checkpoint, tiny_data, project=tmp_path, device="cpu", **settings)
    with (run.folder / "results.csv").open(newline="") as stream:
        times = [float(row["time"]) for row in csv.DictReader(stream, skipinitialspace=True)]
    assert times == sorted(times) and times[0] > 0 and times[-1] < 600, times
    assert all(0 < seconds < 300 for seconds in run.record["epoch_seconds"])
    assert 0 < run.record["wall_seconds"] < 600


def test_a_holder_is_alive_whatever_the_clock_says_it_was_started_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claims = Claims(tmp_path)
    claims.take("baseline/seed0")
    created = psutil.Process.create_time
    # what psutil tells follows the clock: it adds the time since the machine began to when the clock says that was
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: created(self) - 3600)
    assert not Holder.here().gone
    with pytest.raises(TakenError):
        claims.take("baseline/seed0")


def test_a_claim_of_another_machine_dated_in_the_future_is_stale_once_it_is_far_off(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    file = claims.take("baseline/seed0").file
    other = file.rename(file.with_name("~".join(["elsewhere", *file.name.split("~")[1:3], "x", "", "y"])))
    ahead = time.time() + 30
    os.utime(other, (ahead, ahead))
    assert claims.holder("baseline/seed0") is not None  # clocks differ by some seconds
    ahead = time.time() + 86_400
    os.utime(other, (ahead, ahead))
    assert claims.holder("baseline/seed0") is None


ENVIRONMENTS = {
    "C": {"LC_ALL": "C", "TZ": "Pacific/Kiritimati"},
    "ASCII alone": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "America/St_Johns"},
    "German": {"LC_ALL": "de_DE.UTF-8", "TZ": "Europe/Berlin"},
    "Latin-1": {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
RUN = "import locale, sys; locale.setlocale(locale.LC_NUMERIC, ''); from frostline.cli import main; main()"


@pytest.mark.slow
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_study_runs_and_goes_on_in_any_language_with_any_name(
    tiny_checkpoint: Path, tiny_data: Path, tmp_path: Path, environment: str
) -> None:
    env = {**os.environ, **ENVIRONMENTS[environment]}
    wanted = env["LC_ALL"]
    known = (
        subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.lower().replace("-", "")
    )
    if wanted != "C" and wanted.lower().replace("-", "") not in known.split():
        pytest.skip(f"this machine has no locale {wanted}")
    utf8 = environment in {"C", "German"}
    if not utf8:
        words = [sys.executable, "-c", RUN, "study", "run", str(tmp_path / "größe.yaml")]
        refused = subprocess.run(words, capture_output=True, env=env, check=False)
        assert refused.returncode == 2 and refused.stderr.startswith(b"error: names with other letters")
        assert refused.stderr.strip().endswith(b"set PYTHONUTF8=1") and refused.stderr.count(b"\n") == 1
    place = tmp_path / (AWKWARD if utf8 else "plain names")
    pictures, weight, name = ("bilder ö", "größe s.pt", "study ñ") if utf8 else ("pictures", "a size.pt", "study n")
    data = Path(shutil.copytree(tiny_data.parent, place / pictures)) / "data.yaml"
    weights = Path(shutil.copy(tiny_checkpoint, place / weight))
    file, project = place / "study.yaml", place / name
    value = {
        "model": weights.name, "data": f"{pictures}/data.yaml", "train": {**SETTINGS, "epochs": 3, "plots": True},
        "arms": {"baseline": {}},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    words = [sys.executable, "-c", RUN, "study", "run", str(file), "--project", str(project), "--device", "cpu"]
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    last = project / "baseline" / "seed0" / "weights" / "last.pt"
    while first.poll() is None and not last.exists():
        time.sleep(0.01)
    first.kill()
    said, _ = first.communicate()
    assert last.exists(), said.decode("utf-8", "replace")[-3000:]
    env.pop("TZ", None)  # and in another time zone than it began
    done = subprocess.run(words, capture_output=True, env=env, check=False, timeout=250)
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")[-3000:]
    record = json.loads((project / "baseline" / "seed0" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "finished" and record["audit"] == "PASS"
    assert record["data"] == str(data)
    assert epochs_of(project / "baseline" / "seed0" / "results.csv") == [1, 2, 3]
    looked = subprocess.run([*words[:3], "study", "status", str(project)], capture_output=True, env=env, check=False)
    assert looked.returncode == 0 and b"1 of 1 runs finished" in looked.stdout
    assert fl.compare([project])["status"].to_list() == ["finished"]
