"""Promises of the whole: quick help, lazy imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import frostline


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


def test_every_public_name_can_be_had() -> None:
    assert [name for name in frostline.__all__ if getattr(frostline, name, None) is None] == []
    with pytest.raises(AttributeError):
        frostline.nothing  # noqa: B018


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
