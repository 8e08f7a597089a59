"""Promises of the whole: quick help, lazy imports."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["train", "--help"],
        ["predict", "--help"],
        ["evaluate", "--help"],
        ["probe", "--help"],
        ["compare", "--help"],
        ["data", "scenes", "--help"],
        ["data", "check", "--help"],
    ],
)
def test_help_does_not_import_torch(words: list[str]) -> None:
    program = (
        "import sys; from frostline.cli import app\n"
        f"try: app({words!r})\nexcept SystemExit: pass\n"
        "print('HEAVY', [m for m in ('torch', 'ultralytics', 'polars', 'matplotlib', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_where_a_study_stands_is_told_without_torch(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from frostline.studies import Study, ablation\n"
        f"study = Study(ablation('m.pt', 'd.yaml', (3,), {{}}), {str(tmp_path / 's')!r})\n"
        "study.folder.mkdir()\n"
        "(study.folder / 'study.yaml').write_text(study.file.to_yaml())\n"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    look = (
        "import sys; from frostline.cli import app\n"
        f"try: app(['study', 'status', {str(tmp_path / 's')!r}])\nexcept SystemExit: pass\n"
        "print('HEAVY', [m for m in ('torch', 'ultralytics', 'numba', 'scipy', 'polars', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert "waiting" in done.stdout and "HEAVY []" in done.stdout


def test_every_command_shows_an_example() -> None:
    import typer

    from frostline.cli import app

    def walk(command: object, path: str = "") -> list[tuple[str, str]]:
        found = []
        for name, sub in getattr(command, "commands", {}).items():
            found += walk(sub, f"{path} {name}")
        if not getattr(command, "commands", {}):
            text = f"{getattr(command, 'help', '')}{getattr(command, 'epilog', '')}"
            found.append((path.strip(), text))
        return found

    commands = walk(typer.main.get_command(app))
    assert len(commands) >= 10
    assert [path for path, text in commands if f"frostline {path}" not in text] == []


@pytest.mark.parametrize("name", ["", ".analysis", ".freezing", ".studies", ".training", ".training.pretraining"])
def test_every_public_name_can_be_had(name: str) -> None:
    room = f"frostline{name}"
    # In a process of its own, where nothing else has imported what a name stands for.
    program = (
        f"import {room} as room, types\n"
        "values = {name: getattr(room, name) for name in room.__all__}\n"
        "assert set(room.__all__) <= set(dir(room))\n"
        "modules = [name for name, value in values.items() if isinstance(value, types.ModuleType)]\n"
        "print('MODULES', modules)\n"
        "try:\n    room.nothing\nexcept AttributeError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert any(room in line and "attribute nothing" in line for line in told)
    assert ("MODULES []" in told) == (room != "frostline"), "a function is not hidden by a module of its name"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "Missing argument 'MODEL'"),
        (["train", "m", "d", "--epochs", "x"], "Invalid value for '--epochs'"),
        (["nothing"], "No such command 'nothing'"),
        (["layers", "yolo11n.yaml", "--bad"], "No such option: --bad"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_2(words: list[str], message: str) -> None:
    done = subprocess.run([sys.executable, "-m", "frostline", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ") and message in done.stderr and "--help" in done.stderr


def test_no_command_is_built_for_a_shell_and_nothing_is_unpickled_outside_the_one_place() -> None:
    source = Path(__file__).parents[1] / "src" / "frostline"
    shells = re.compile(
        r"shell\s*=\s*True|os\.(system|popen|exec[lv]\w*|spawn\w+)\(|\bgetoutput\(|(?<![\w.])(eval|exec)\("
    )
    pickles = re.compile(
        r"weights_only\s*=\s*False|allow_pickle\s*=\s*True|pickle\.loads?\(|\byaml\.(unsafe_|full_)?load\("
    )
    known = {"training/checkpoints.py": 1, "files.py": 1}  # what is trusted; the safe loader
    found = {}
    for file in sorted(source.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        assert shells.search(text) is None, f"{file}: {shells.search(text)}"
        if count := len(pickles.findall(text)):
            found[file.relative_to(source).as_posix()] = count
    assert found == known
