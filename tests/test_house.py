"""Promises of the whole: quick help, lazy imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import frostline


@pytest.mark.parametrize(
    "words",
    [["--help"], ["train", "--help"], ["compare", "--help"], ["data", "scenes", "--help"], ["data", "check", "--help"]],
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
