#!/usr/bin/env python3
"""Carry out the examples of the documentation, and compare what they print.

    examples.py [PAGE…]         default: README.md and the pages of docs/
    examples.py --list [PAGE…]  what would happen with each block, and the reasons of those that are not run

example_blocks.py has the convention: definitions are validated and run, settings read, commands executed and their
output compared. Each page has a fresh home and working directory, and Linux namespaces of its own: so every page
has its own port 8080 and no other network, and the kernel ends all that it has started together with its first process.
In expected output … stands for any text, and a line of it for any lines; ids, times, durations and the width of columns
may differ. An id in a later command is the one that was printed in its place. Pages call the home of the reader
/home/ann, the working directory /home/ann/work and the machine vm.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "app")]  # also without an installation of this checkout

from scripts.documentation.example_blocks import Action, Example, PageError, read_page  # noqa: E402 # after the path
from scripts.documentation.example_runner import Failure, run_page  # noqa: E402

# FinishedRun together with this script, even when that is killed. User, network, host name, processes.
NAMESPACE = ["setpriv", "--pdeathsig", "KILL", "unshare", "-Urnup", "--fork", "--kill-child", "--mount-proc"]
# A shell as the first process: it waits for the others that have lost their parent.
_FIRST = ["sh", "-c", '"$@"; exit $?', "sh"]
MOST_COMMANDS = 15  # of a page that take all the time they may
_ORDER = (Action.RUN, Action.VALIDATE, Action.READ, Action.EXECUTE, Action.WRITE, Action.NONE, Action.SHOW)
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 1, 64


class Result(NamedTuple):
    """What became of a page."""

    page: str
    failures: list[Failure]
    seconds: float


def list_pages() -> list[str]:
    """List the pages of the documentation, relative to the checkout."""
    return ["README.md", *(str(page.relative_to(CHECKOUT)) for page in sorted(CHECKOUT.glob("docs/**/*.md")))]


def count_actions(examples: Iterable[Example]) -> str:
    """Say how many blocks are run, validated and so on."""
    counts = Counter(example.action for example in examples)
    return ", ".join(f"{counts[action]} {action}" for action in _ORDER if counts[action]) or "no blocks"


def read_pages(pages: Iterable[str]) -> tuple[dict[str, list[Example]], list[Result]]:
    """Return the blocks of the pages, and the pages that do not keep to the convention."""
    blocks: dict[str, list[Example]] = {}
    broken: list[Result] = []
    for page in pages:
        try:
            blocks[page] = read_page((CHECKOUT / page).read_text(encoding="utf-8"))
        except PageError as error:
            broken.append(Result(page, [Failure(error.line, str(error))], 0))
    return blocks, broken


def print_list(blocks: dict[str, list[Example]]) -> None:
    """Print what happens with each block."""
    for page, examples in blocks.items():
        for example in examples:
            reason = f": {example.reason}" if example.reason else ""
            print(f"{page}:{example.line}  {example.language}  {example.action}{reason}")
    all_examples = [example for examples in blocks.values() for example in examples]
    print(f"\n{len(all_examples)} blocks: {count_actions(all_examples)}")
    reasons = Counter(example.reason for example in all_examples if example.reason)
    for reason, count in reasons.most_common():
        print(f"{count:4}  {reason}")


def run_apart(page: str, seconds: float) -> Result:
    """Carry out the blocks of a page in namespaces of its own."""
    began, failures = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="dagbook-examples-", ignore_cleanup_errors=True) as root:
        command = [*NAMESPACE, *_FIRST, sys.executable, __file__, "--inside", root, "--seconds", str(seconds), page]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds * MOST_COMMANDS, check=False)
            failures = [Failure(*json.loads(line)) for line in done.stdout.splitlines()]
            if done.returncode or done.stderr:
                failures.append(Failure(1, f"the examples ended with {done.returncode}:\n{done.stderr}"))
        except subprocess.TimeoutExpired:
            failures.append(Failure(1, f"the page takes more than {seconds * MOST_COMMANDS:.0f} s"))
    return Result(page, failures, time.monotonic() - began)


def run_inside(page: str, root: str, seconds: float) -> int:
    """Carry out the blocks of a page here, and print the failures as lines of JSON."""
    socket.sethostname("vm")
    with socket.socket() as any_socket:  # the loopback interface of a new namespace is down
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP | _IFF_RUNNING))
    for failure in run_page(read_page((CHECKOUT / page).read_text(encoding="utf-8")), Path(root), seconds):
        print(json.dumps(failure), flush=True)
    return 0


def run_pages(pages: Sequence[str], jobs: int, seconds: float) -> Iterator[Result]:
    """Carry out the pages, and yield each as it ends."""
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(run_apart, page, seconds) for page in pages]):
            yield future.result()


def report(result: Result) -> None:
    """Print the failures of a page."""
    for failure in result.failures:
        first, *more = failure.text.splitlines()
        print("\n".join([f"{result.page}:{failure.line}: {first}", *(f"    {line}" for line in more)]), flush=True)


def run(blocks: dict[str, list[Example]], broken: Sequence[Result], jobs: int, seconds: float) -> int:
    """Carry out the pages; returns the exit status."""
    failed = sum(len(result.failures) for result in broken)
    for result in broken:
        report(result)
    idle = {Action.SHOW, Action.NONE, Action.WRITE}
    pages = [page for page, examples in blocks.items() if {example.action for example in examples} - idle]
    # Pages with many commands first, so that none is left alone at the end.
    pages.sort(key=lambda page: sum(example.text.count("$ dagbook") for example in blocks[page]), reverse=True)
    for result in run_pages(pages, jobs, seconds):
        report(result)
        failed += len(result.failures)
        print(f"{result.page}: {count_actions(blocks[result.page])}; {result.seconds:.1f} s", flush=True)
    print(f"all examples: {count_actions(example for examples in blocks.values() for example in examples)}")
    if failed:
        print(f"{failed} failures", file=sys.stderr)
    return 1 if failed else 0


def main() -> int:
    """Carry out or list the blocks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="relative to the checkout")
    parser.add_argument("--list", action="store_true", help="say what happens with each block; carry out nothing")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="pages at a time [default: processors]")
    parser.add_argument("--seconds", type=float, default=60.0, help="that a command or a run may take [default: 60]")
    parser.add_argument("--inside", metavar="DIR", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return run_inside(given.pages[0], given.inside, given.seconds)
    blocks, broken = read_pages(given.pages or list_pages())
    if given.list:
        print_list(blocks)
        for result in broken:
            report(result)
        return 1 if broken else 0
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        print("examples need Linux namespaces: run as root, or allow users to make them", file=sys.stderr)
        return 1
    return run(blocks, broken, given.jobs, given.seconds)


if __name__ == "__main__":
    sys.exit(main())
