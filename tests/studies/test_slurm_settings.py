"""`slurm:` in a study file: what it takes, what it refuses in one line, and the script that comes of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from frostline.errors import InputError
from frostline.files import read_yaml
from frostline.studies import Study, StudyFile
from frostline.studies.executors.slurmfile import SlurmSettings, minutes_of
from frostline.studies.executors.slurmscript import make_submitit, sbatch_script

WHOLE: dict[str, Any] = {
    "time": "12:00:00", "partition": "gpu", "account": 4711, "qos": "long", "gres": "gpu:1", "cpus_per_task": 8,
    "mem": "32G", "setup": ["module load cuda", "source ~/env/bin/activate"], "at_a_time": 4,
    "options": {"constraint": "a100", "exclusive": True, "mail-type": "END"}, "stage_data": True,
}  # fmt: skip


def study_of(slurm: Any, **more: Any) -> dict[str, Any]:
    arms = {"baseline": {}, "freeze_1_to_3": {"freeze": "0-2"}}
    return {"name": "depth", "model": "yolo11n.yaml", "data": "data.yaml", "arms": arms, "slurm": slurm, **more}


@pytest.mark.parametrize(
    ("time", "minutes"),
    [
        ("90", 90), ("90:00", 90), ("0:30", 1), ("1:30:00", 90), ("1:30:01", 91),
        ("1-0", 1440), ("1-2:03", 1563), ("2-00:00:30", 2881),
    ],
)  # fmt: skip
def test_times_are_read_as_sbatch_reads_them(time: str, minutes: int) -> None:
    assert minutes_of(time) == minutes


def test_a_time_in_yaml_is_not_a_number_to_the_base_of_sixty(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("time: 12:00:00\nminutes: 90\nseeds: [0, 0x10]\n")
    assert read_yaml(path, "the file") == {"time": "12:00:00", "minutes": 90, "seeds": [0, 16]}


def test_a_study_file_keeps_what_it_says_of_slurm() -> None:
    file = StudyFile.parse(study_of(WHOLE))
    assert file.slurm is not None and file.slurm.minutes == 720 and file.slurm.account == "4711"
    again = file.to_dict()["slurm"]
    assert again == {**WHOLE, "account": "4711"} and "warn_seconds" not in again
    assert StudyFile.parse(yaml.safe_load(file.to_yaml())) == file
    assert "slurm" not in StudyFile.parse(study_of(None)).to_dict()


@pytest.mark.parametrize(
    ("slurm", "message"),
    [
        ({}, "slurm.time: is missing"),
        ("gpu", "slurm: expected key: value pairs"),
        ({"time": "soon"}, "slurm.time: expected a time such as minutes, 12:00:00 or 1-12:00:00, got 'soon'"),
        ({"time": 0}, "slurm.time: expected a time"),
        ({"time": 5, "partitoin": "gpu"}, "slurm: no such key 'partitoin', did you mean 'partition'?"),
        ({"time": 5, "partition": "gpu\ntouch /tmp/x"}, "slurm.partition: expected one line of text"),
        ({"time": 5, "gres": ["gpu"]}, "slurm.gres: expected text, got ['gpu']"),
        ({"time": 5, "cpus_per_task": 0}, "slurm.cpus_per_task: expected at least 1, got 0"),
        ({"time": 5, "setup": {"a": 1}}, "slurm.setup: expected lines such as [module load cuda"),
        ({"time": 5, "options": {"constraint": "a\nb"}}, "slurm.options: constraint: expected one line of text"),
        ({"time": 5, "options": {"array": "0-3"}}, "slurm.options: array: is not yours to set"),
        ({"time": 5, "options": {"partition": "x"}}, "slurm.options: partition: stands directly under slurm"),
        ({"time": 5, "options": {"cpus-per-task": 2}}, "slurm.options: cpus-per-task: stands directly under slurm"),
        ({"time": 5, "options": {"x y": 1}}, "slurm.options: 'x y': expected the long name of an option"),
        ({"time": 5, "options": {"exclusive": False}}, "an option without a value is exclusive: true"),
        ({"time": 5, "stage_data": "scratch"}, "slurm.stage_data: expected true, or a folder of the node"),
        (
            {"time": 2, "warn_seconds": 60},
            "time: 2 is too short: a job is told 60 seconds (warn_seconds) before its end",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_one_line(slurm: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        StudyFile.parse(study_of(slurm), "depth.yaml")
    assert message in str(caught.value) and str(caught.value).startswith("depth.yaml: ")
    assert "\n" not in str(caught.value)


def test_where_a_study_is_carried_out_is_no_part_of_it(tmp_path: Path) -> None:
    Path(tmp_path / "study.yaml").write_text(StudyFile.parse(study_of(WHOLE)).to_yaml())
    Study(StudyFile.parse(study_of({"time": 5}, on="slurm")), tmp_path).check_folder()
    with pytest.raises(InputError, match="other settings"):
        Study(StudyFile.parse(study_of({"time": 5}, seeds=[1])), tmp_path).check_folder()


def test_a_study_without_settings_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give at least `slurm: \{time: 12:00:00\}`"):
        sbatch_script(Study(StudyFile.parse(study_of(None)), tmp_path / "study"), None)


@pytest.mark.extra
class TestScript:
    """The script, which needs submitit and no SLURM."""

    @pytest.fixture(autouse=True)
    def submitit(self) -> None:
        pytest.importorskip("submitit", reason="submitit is not installed (extra slurm)")

    def test_it_asks_for_everything_and_runs_the_users_lines_alone(self, tmp_path: Path) -> None:
        study = Study(StudyFile.parse(study_of({**WHOLE, "gres": "gpu:1; touch x $(id)"})), tmp_path / "a study")
        lines = sbatch_script(study, None).splitlines()
        asked = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH ")}
        assert {
            "array=0-1%2", "partition=gpu", "account=4711", "qos=long", "gres='gpu:1; touch x $(id)'", "time=720",
            "cpus-per-task=8", "mem=32G", "constraint=a100", "exclusive", "mail-type=END", "requeue", "signal=USR2@90",
            "job-name=frostline-depth", "open-mode=append",
        } <= asked  # fmt: skip
        assert not any(one.startswith("wckey") for one in asked)
        run = [line for line in lines if line and not line.startswith("#")]
        assert run[:3] == [*WHOLE["setup"], "export SUBMITIT_EXECUTOR=slurm"] and len(run) == 4
        words = shlex.split(run[3])
        assert words[0] == "srun" and "--cpus-per-task=8" in words and "--export=ALL,OMP_NUM_THREADS=8" in words
        assert words[-1] == str(tmp_path / "a study" / "submitted")
        assert not (tmp_path / "a study").exists()

    def test_runs_that_are_finished_are_not_in_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "study"
        study = Study(StudyFile.parse(study_of({"time": 5, "at_a_time": 1}, seeds=[0, 1])), folder)
        assert "#SBATCH --array=0-3%1\n" in sbatch_script(study, None)
        for planned in study.runs()[:3]:
            planned.folder.mkdir(parents=True)
            (planned.folder / "run.json").write_text('{"status": "finished"}')
        assert "--array" not in sbatch_script(study, None)
        last = study.runs()[3].folder
        last.mkdir(parents=True)
        (last / "run.json").write_text('{"status": "finished"}')
        with pytest.raises(InputError, match="nothing to submit"):
            sbatch_script(study, None)

    @pytest.mark.parametrize("name", ["50%", "a\\b", "a\nb"])
    def test_a_folder_that_slurm_would_misread_is_refused(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InputError, match="choose another --project"):
            make_submitit(tmp_path / name, "frostline-x", SlurmSettings(time="5"))
