"""A crash made by hand: what a killed server left of one step, changed until it looks as a case wants it."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

from sqlalchemy import text

from dagbook.db.database import WriteConnection
from dagbook.executors.contract import ExecutionFiles
from dagbook.executors.process import process
from dagbook.unix.proc import ProcessId, write_stat
from tests.process import processes, store
from tests.process.waiting import wait_for

# The step waits for a file of its run's; what it finds there is its exit code.
SPEC = """
type: chain
maxActiveRuns: 100
steps:
  - name: first
    command: |
      echo "$DAG_RUN_ID" >>{directory}/witness
      echo begun
      while [ ! -e {directory}/go-$DAG_RUN_ID ]; do sleep 0.05; done
      echo ended
      exit $(cat {directory}/go-$DAG_RUN_ID)
  - name: second
    command: echo after
"""
SHIM = Path(process.__file__).with_name("shim.sh")
_START_TIME = 19  # of the fields of /proc/PID/stat behind the command


class Scene:
    """The first step of one run, begun by a server that is dead."""

    def __init__(self, directory: Path, url: str, run_id: str) -> None:
        self.run_id = run_id
        self._directory = directory
        self._url = url
        self._shim: subprocess.Popen[bytes] | None = None
        self._let_thread_end = threading.Event()
        (row,) = store.query(
            url,
            "SELECT n.run_id, n.spool FROM nodes n JOIN runs r ON r.id = n.run_id "
            "WHERE r.run_id = :run_id AND n.position = 0",
            run_id=run_id,
        )
        self._run: int = row.run_id
        base: str = row.spool
        shared = base.rpartition(".")[0]
        self.files = ExecutionFiles(base, Path(f"{shared}.out"), Path(f"{shared}.err"))

    def release(self, code: int = 0) -> None:
        """Let the step go on to its end."""
        go = self._directory / f"go-{self.run_id}"
        go.with_suffix(".new").write_text(str(code))
        go.with_suffix(".new").rename(go)

    def let_end(self, code: int) -> None:
        """Let the step end by itself, seen by nobody."""
        self.release(code)
        self._wait_for_end()

    def kill(self) -> None:
        """End the step's processes, so that none can write an exit code."""
        processes.kill_sessions(self.files.started)
        self._wait_for_end()

    def _wait_for_end(self) -> None:
        wait_for("the end of the step", lambda: not processes.with_argument(self.files.started))

    def begun(self) -> int:
        """Count how often the step began."""
        return (self._directory / "witness").read_text().splitlines().count(self.run_id)

    def never_begin(self) -> None:
        """Make it look as if the server had died between the commit that lets the step begin and its start."""
        self.kill()
        witness = self._directory / "witness"
        witness.write_text(witness.read_text().replace(f"{self.run_id}\n", ""))
        for path in (self.files.stdout, self.files.stderr, Path(self.files.started)):
            path.unlink()
        self._change("DELETE FROM log_chunks WHERE run_id = :run")
        self._change("UPDATE nodes SET executed_at = NULL WHERE run_id = :run")

    def claim(self) -> None:
        """Make it look as if a second server had claimed the execution and died before it began it anew."""
        self.never_begin()
        assert process.claim_execution(self.files)

    def never_let_go(self) -> None:
        """Make it look as if the server had died between owning the execution and letting its shim go."""
        self.hold_shim()
        self.close_pipe()

    def hold_shim(self) -> None:
        """As ``never_let_go``, but that the shim has not noticed yet: it will when the pipe is closed."""
        self.never_begin()
        argv = [
            "/bin/sh",
            str(SHIM),
            self.files.started,
            "/bin/sh",
            "-c",
            f"echo {self.run_id} >>{self._directory}/witness",
        ]
        self._shim = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)
        stat = Path(f"/proc/{self._shim.pid}/stat").read_text()
        Path(self.files.started).write_text(f"   \n{stat}")

    def close_pipe(self) -> None:
        """Let a shim that is held notice that its server is dead."""
        if self._shim is not None:
            self._shim.communicate()

    def end_thread(self) -> None:
        """Let the thread that has the step's number end."""
        self._let_thread_end.set()

    def break_start(self) -> None:
        """Make it look as if the file that says who runs the step had been cut off by a crash of the machine."""
        self.kill()
        Path(self.files.started).write_text("")

    def write_exit(self, written: bytes) -> None:
        """End the step with these bytes where its exit code belongs."""
        self.kill()
        with Path(self.files.started).open("r+b") as file:
            file.write(written)

    def give_number_away(self) -> None:
        """Let the number of the dead process belong to a live one: the one of this test."""
        self.kill()
        head, _, rest = Path("/proc/self/stat").read_text().rpartition(") ")
        fields = rest.split()
        fields[_START_TIME] = str(int(fields[_START_TIME]) + 1)
        assert head.startswith(f"{os.getpid()} ")
        Path(self.files.started).write_text(f"   \n{head}) {' '.join(fields)}\n")

    def give_number_to_thread(self) -> None:
        """Let the number of the dead process belong to a thread of this one."""
        self.kill()
        thread = threading.Thread(target=self._let_thread_end.wait, daemon=True)
        thread.start()
        Path(self.files.started).write_bytes(b"   \n" + write_stat(ProcessId(thread.native_id or 0, 1)))

    def request_stop(self) -> None:
        """Ask the run to stop, as a server that lives no more has noted it."""
        self._change(
            "INSERT INTO run_requests (run_id, kind, asked_at) SELECT id, 'stop', created_at FROM runs WHERE id = :run"
        )

    def restart_machine(self) -> None:
        """Make it look as if the server had run before the machine was started."""
        columns = "kind, host, pid_namespace, pid, pid_started, address, version, started_at, heartbeat_at, lease_until"
        self._change(
            f"INSERT INTO services (id, boot_id, {columns}) SELECT 'before-' || :run_id, 'before', {columns} "  # noqa: S608  # columns above
            "FROM services WHERE id = (SELECT owner FROM run_attempts WHERE run_id = :run)"
        )
        self._change("UPDATE run_attempts SET owner = 'before-' || :run_id, token = token + 1 WHERE run_id = :run")

    def _change(self, statement: str) -> None:
        clause = text(statement)
        known = {"run": self._run, "run_id": self.run_id}
        values = {name: known[name] for name in clause.compile().params}

        def work(connection: WriteConnection) -> None:
            connection.execute(clause, values)

        store.write(self._url, work)
