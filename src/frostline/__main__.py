"""`python -m frostline`."""

from __future__ import annotations

from frostline.cli import main

if __name__ == "__main__":
    main()
