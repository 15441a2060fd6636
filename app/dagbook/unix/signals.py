"""Default signal handling for the processes that this one starts.

A separate module because every command of the command line imports it.
"""

from __future__ import annotations

import signal

# Python ignores the last two, and Popen resets them.
_NOT_INHERITED = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}


def give_children_default_signals() -> None:
    """Keep child processes from inheriting ignored or blocked signals. Call it in the main thread.

    ``dagbook serve &`` in a script ignores SIGINT and SIGQUIT, nohup ignores SIGHUP; the shell of a step could then not
    even trap them. A caught signal has its default action again in a child, so ignored signals get a handler that
    does nothing.
    """
    for number in signal.valid_signals() - _NOT_INHERITED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
