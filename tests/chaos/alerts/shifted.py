"""``dagbook`` with a clock that is wrong by CHAOS_CLOCK seconds: ``python -m tests.chaos.alerts.shifted serve``."""

from __future__ import annotations

import os
from datetime import timedelta

from dagbook import clock

_right = clock.now
_shift = timedelta(seconds=float(os.environ["CHAOS_CLOCK"]))
clock.now = lambda: _right() + _shift  # before other modules import it

from dagbook.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
