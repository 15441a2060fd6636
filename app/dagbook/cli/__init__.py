"""The command line: ``dagbook``."""

from __future__ import annotations

import gc
import io
import logging
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

import click

from dagbook import __version__
from dagbook.cli.commands import Entry, LazyGroup
from dagbook.cli.output import echo
from dagbook.settings import SettingsError
from dagbook.telemetry.logging import PrintableFormatter
from dagbook.unix.privacy import forbid_inspection
from dagbook.unix.signals import give_children_default_signals

_RUN, _LOOK, _DAGS, _SERVER = "Run", "Look", "DAGs", "Server"
_PEOPLE, _DATABASE, _HELP = "People", "Database", "Help"
# A new command is one line here, with its section of the help. Its module, below this package, is imported when the
# command is used, so that no command pays for the imports of another one.
COMMANDS = {
    "run": Entry("runs.start:run", "Run a definition file or a stored DAG in this terminal.", _RUN),
    "exec": Entry("runs.exec:run_command", "Run one command as a recorded run.", _RUN),
    "enqueue": Entry("runs.start:enqueue", "Add a run to its queue.", _RUN),
    "retry": Entry("runs.stop:retry", "Retry the failed steps of a run, or one step.", _RUN),
    "stop": Entry("runs.stop:stop", "Stop a run, or all runs of a DAG.", _RUN),
    "restart": Entry("runs.stop:restart", "Stop a run and start a new one in its place.", _RUN),
    "dequeue": Entry("runs.queue:dequeue", "Remove a run from its queue.", _RUN),
    "queue": Entry("runs.queue:queue", "Show, pause, resume, reorder or clear queues.", _RUN),
    "pause": Entry("server.pause:pause", "Start no run for a while, with a reason and an end.", _RUN),
    "unpause": Entry("server.pause:unpause", "End the pause of everything.", _RUN),
    "backfill": Entry("dags.batches:backfill", "Start the scheduled times of a range that have no run.", _RUN),
    "recall": Entry("dags.recalls:recall", "Do the runs again that a revision, secret or worker has affected.", _RUN),
    "bulk": Entry("dags.recalls:bulk", "Retry, stop, dequeue or delete all runs that match.", _RUN),
    "batch": Entry("dags.batches:batch", "Show, pause, resume, cancel and retry batches.", _RUN),
    "approvals": Entry("runs.approvals:approvals", "List, approve and reject what runs wait for.", _RUN),
    "triggers": Entry("runs.triggers:triggers", "Start runs by webhooks; show what was received.", _RUN),
    "dry": Entry("dags.validate:dry", "Show what a run would do, without running anything.", _RUN),
    "ps": Entry("runs.overview:ps", "Show what is running and what waits.", _LOOK),
    "runs": Entry("runs.show:runs", "List and search runs.", _LOOK),
    "status": Entry("runs.show:status", "Show the status of a run and its steps.", _LOOK),
    "history": Entry("runs.overview:history", "Show how the newest runs of a DAG ended.", _LOOK),
    "why": Entry("runs.why:why", "Explain why a run waits, failed or does not start.", _LOOK),
    "alerts": Entry("runs.alerts:alerts", "Show alerts and who was told; say what is told to whom.", _LOOK),
    "logs": Entry("runs.logs:logs", "Print the output of a run, and follow it.", _LOOK),
    "events": Entry("runs.events:events", "Print the events of a run, or all changes as they happen.", _LOOK),
    "search": Entry("runs.logs:search", "Search in definitions, or in the log of a run.", _LOOK),
    "open": Entry("runs.open:open_page", "Open a page of the web UI in a browser.", _LOOK),
    "dag": Entry("dags.stored:dag", "List, save, edit and restore stored DAGs, and change their settings.", _DAGS),
    "source": Entry("dags.source:source", "Add, sync and remove directories and Git repositories with DAGs.", _DAGS),
    "validate": Entry("dags.validate:validate", "Check definitions and print every problem.", _DAGS),
    "check": Entry("dags.check:check", "Check a folder of definition files, for CI.", _DAGS),
    "convert": Entry("dags.convert:convert", "Rewrite a definition of the 2.x dialect.", _DAGS),
    "schema": Entry("usage:schema", "Print the JSON Schema of definitions, for editors.", _DAGS),
    "serve": Entry("server.serve:serve", "Start the server: API, web UI, schedules and queues.", _SERVER),
    "worker": Entry("server.worker:worker", "Execute queued runs that require this machine's labels.", _SERVER),
    "config": Entry("usage:config", "Print every setting, its value and its origin.", _SERVER),
    "systemd": Entry("server.systemd:systemd", "Print a systemd unit for this machine.", _SERVER),
    "mail-sink": Entry("server.mail_sink:mail_sink", "Print the mails that are sent to it, for trying them.", _SERVER),
    "login": Entry("people.login:login", "Log in at a far server, in the browser, and save its profile.", _PEOPLE),
    "logout": Entry("people.login:logout", "Remove the profile of a far server, and revoke its token.", _PEOPLE),
    "users": Entry("people.users:users", "Create, change and delete users.", _PEOPLE),
    "tokens": Entry("people.users:tokens", "Create and revoke personal API tokens.", _PEOPLE),
    "sessions": Entry("people.users:sessions", "List and end the logins of users.", _PEOPLE),
    "groups": Entry("people.access:groups", "Create and change groups of users.", _PEOPLE),
    "grants": Entry("people.access:grants", "Grant users and groups roles for single DAGs.", _PEOPLE),
    "access": Entry("people.access:access", "Show what a user sees, and who may use a DAG.", _PEOPLE),
    "audit": Entry("server.audit:audit", "List, verify or prune the audit log.", _PEOPLE),
    "import": Entry("server.transfer:import_home", "Import a home of Dagu 1.x, or translate a crontab.", _DATABASE),
    "export": Entry("server.transfer:export_home", "Export to a home of Dagu 1.x.", _DATABASE),
    "backup": Entry("server.backup:backup", "Write the database to a file while servers work.", _DATABASE),
    "restore": Entry("server.backup:restore", "Restore a backup into an empty place, which is held then.", _DATABASE),
    "resume": Entry("server.backup:resume", "End the hold of a restored database.", _DATABASE),
    "snapshot": Entry("server.backup:snapshot", "Write a copy without secrets, for a post-mortem.", _DATABASE),
    "cleanup": Entry("server.cleanup:cleanup", "Delete runs beyond their retention limits, or list them.", _DATABASE),
    "secret": Entry("server.secret:secret", "Encrypt stored secrets with another key.", _DATABASE),
    "doctor": Entry("server.db:doctor", "Check the consistency of the database.", _DATABASE),
    "query": Entry("server.query:query", "Run a query of the report views, also as a check.", _DATABASE),
    "db": Entry("server.db:db", "Upgrade or check the database schema.", _DATABASE),
    "help": Entry("usage:show_help", "Show the help of a command.", _HELP),
    "completion": Entry("usage:completion", "Print the completion script of a shell.", _HELP),
    "version": Entry("usage:version", "Print the version.", _HELP),
    "server": Entry("server.serve:serve", "The same as serve."),
    "start-all": Entry("server.serve:serve", "The same as serve."),
    "start": Entry("runs.start:run", "The same as run."),
    "scheduler": Entry("usage:scheduler", "Every server has one; use serve."),
    "coordinator": Entry("usage:coordinator", "Every server is one; use serve."),
}
# The package httpx also imports its own command line, with a library for colours, where there is one: a fifth of the
# time of a short command. With this it takes the way of a machine without that library.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None is how Python spells a blocked module
_SETTINGS = {"help_option_names": ["-h", "--help"]}


@click.group(cls=LazyGroup, entries=COMMANDS, invoke_without_command=True, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="dagbook", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Dagbook, a workflow server that stores everything in a SQL database.

    `dagbook COMMAND --help` has the options of a command, and an example.
    """
    if context.invoked_subcommand is None:
        echo(context.get_help())


def main() -> None:
    """Run the command line of this process, and exit."""
    # Modules stay: with Python's own limits, looking for garbage among them takes a tenth of a start.
    gc.set_threshold(20_000, 20, 50)
    forbid_inspection()  # of any command: most of them can become the process that executes runs
    give_children_default_signals()
    status = execute(sys.argv[1:], owns_process=True)
    gc.freeze()  # an exit looks for garbage in all that was imported, for half a second
    sys.exit(status)


def execute(arguments: Sequence[str], *, owns_process: bool = False) -> int:
    """Run a command and return its exit status; an error is printed on stderr and gives 1.

    One that owns the process removes the variables with credentials from its environment.
    """
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(PrintableFormatter())
    # --quiet replaces both streams; leaving these blocks restores them.
    with redirect_stdout(sys.stdout), redirect_stderr(sys.stderr):
        try:
            status = cli.main(list(arguments), prog_name="dagbook", standalone_mode=False, obj=owns_process)
        except click.ClickException as error:
            said = io.StringIO()
            error.show(said)
            echo(said.getvalue(), nl=False, err=True)
        except SettingsError as error:
            echo(f"Error: {error}", err=True)
        except click.Abort as error:
            no_input = isinstance(error.__context__, EOFError)
            reason = "no input to read the answer from; --help lists the option for it" if no_input else "interrupted"
            echo(f"\nError: {reason}", err=True)
        else:
            return status if isinstance(status, int) else 0
        return 1
