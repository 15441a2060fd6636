"""``python -m dagbook`` is ``dagbook``."""

from __future__ import annotations

from dagbook.cli import main

if __name__ == "__main__":
    main()
