"""The examples of the documentation. Those that are run are run by scripts/docs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.documentation.example_blocks import Action, Example
from scripts.documentation.example_runner import check_settings, validate
from scripts.documentation.examples import CHECKOUT, NAMESPACE, list_pages, read_pages, run

EXAMPLES = CHECKOUT / "scripts" / "documentation" / "examples.py"
PAGES, BROKEN = read_pages(list_pages())
BLOCKS = [(f"{page}:{example.line}", example) for page, examples in PAGES.items() for example in examples]
ID, OTHER = "01a22529-a46c-70fc-b39d-edf711fc10a1", "01a22529-cdfb-718b-a7b4-f61d50bcca2f"


def select(*actions: Action) -> list[object]:
    return [pytest.param(example, id=place) for place, example in BLOCKS if example.action in actions]


@pytest.mark.always
def test_all_pages_keep_to_the_convention() -> None:
    assert BROKEN == []
    assert len(BLOCKS) > 200


@pytest.mark.parametrize("example", select(Action.RUN, Action.VALIDATE))
def test_each_definition_of_a_page_is_valid_and_without_warnings(example: Example) -> None:
    assert validate(example) == ""


@pytest.mark.parametrize("example", select(Action.READ))
def test_each_settings_file_of_a_page_can_be_read(example: Example, tmp_path: Path) -> None:
    assert check_settings(example, tmp_path) == ""


def run_page(page: Path) -> tuple[int, list[str]]:
    """Return the exit status and the lines that are printed."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no namespaces")
    done = subprocess.run(
        [sys.executable, EXAMPLES, page], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    return done.returncode, [line.replace(f"{page}:", "page:") for line in done.stdout.splitlines()]


def find_processes(*words: str) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_text().split("\0")[:-1]
        except OSError:
            continue
        if line == list(words):
            found.append(file.parent.name)
    return found


def test_commands_of_a_page_share_a_shell_and_a_port_and_end_with_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"""
<!-- file: data/numbers.txt -->
```text
one
two
```

<!-- prepare: WHO=ann -->
```console
$ cd data; echo $WHO in $PWD with $HOME, on $(hostname)
ann in /home/ann/work/data with /home/ann, on vm
$ cat numbers.txt; echo three >&2
one
…
three
$ cat /proc/sys/kernel/random/uuid | tee id
{ID}
$ grep -c {ID} id
1
$ (setsid sleep 98765.4321 &)
$ sleep 98765.4321
^C
$ echo $?
130
```

<!-- terminal: server -->
```console
$ python3 -u -m http.server 8080
Serving HTTP on 0.0.0.0 port 8080 …
```

```sh
curl -s localhost:8080/data/id | grep {ID}
```
""")
    status, lines = run_page(page)
    assert status == 0, lines
    assert lines[-1] == "all examples: 3 executed, 1 written to a file"
    assert find_processes("sleep", "98765.4321") == []


def test_each_failure_is_named_with_its_line_and_a_diff(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"""
```console
$ echo one; echo two
one
three
$ echo {ID} {OTHER}
{OTHER} {ID}
```

```sh
test -e missing
echo goes on
```

<!-- settings -->
```yaml
prot: 1
```

```yaml
steps: 1
```

```console
$ exit 1
```

```sh
true
```
""")
    status, lines = run_page(page)
    assert status == 1
    assert [line for line in lines if re.match(r"page:\d", line)] == [
        "page:3: `echo one; echo two` prints something else:",
        "page:11: the commands exit with 1:",
        "page:17: the settings are not valid:",
        "page:21: the definition is not valid:",
        "page:25: the shell has ended",
        "page:29: not executed: an earlier command of this shell has not ended",
    ]
    assert lines[1:4] == ["      one", "    - three", "    + two"]


def test_definitions_of_a_page_are_run(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("""
<!-- run: fails CODE=3 -->
```yaml
params: CODE=0
steps:
  - exit "${CODE}"
```

```yaml
steps:
  - "false"
```
""")
    status, lines = run_page(page)
    assert status == 1
    assert lines[0] == "page:10: the run is to end succeeded (status 1):"
    assert not [line for line in lines if line.startswith("page:4")]


def test_a_page_that_does_not_keep_to_the_convention_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("A command:\n\n    $ dagbook serve\n")
    found, broken = read_pages([str(page)])
    assert found == {}
    assert [(result.page, result.failures[0].line) for result in broken] == [(str(page), 3)]
    assert run(found, broken, jobs=1, seconds=1) == 1
