"""Promises of the whole: quick help, lazy imports."""

from __future__ import annotations

import subprocess
import sys

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


@pytest.mark.parametrize("room", ["frostline", "frostline.training"])
def test_every_public_name_can_be_had(room: str) -> None:
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
    assert f"module '{room}' has no attribute 'nothing'" in told
    assert ("MODULES []" in told) == (room == "frostline.training"), "a function is not hidden by a module of its name"


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
