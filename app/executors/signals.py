"""Which signals the processes that this one starts ignore or block: none, whatever it inherited itself.

A module of its own, for every command imports it.
"""

from __future__ import annotations

import signal

# Python ignores the last two by itself, and has Popen put them back.
_NOT_INHERITED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}


def give_children_default_signals() -> None:
    """Let no process that this one starts inherit that signals are ignored or blocked here; for the main thread.

    A script's ``dagbook serve &`` ignores SIGINT and SIGQUIT, nohup SIGHUP. A step's shell could not even trap them
    then. What is caught here is back at its default in a child, so what is ignored is caught and does nothing.
    """
    for number in signal.valid_signals() - _NOT_INHERITED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
