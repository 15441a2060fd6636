"""The command line: ``dagbook``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

import click

from dagbook import __version__
from dagbook.cli.group import Entry, LazyGroup
from dagbook.executors.process.signals import give_children_default_signals
from dagbook.settings import SettingsError

# Adding a command is adding its line. Its module is imported when the command is used, so that no command waits for
# what another one needs.
COMMANDS = {
    "serve": Entry("dagbook.cli.serve:serve", "Serve the API."),
    "server": Entry("dagbook.cli.serve:serve", "The same as serve."),
    "start-all": Entry("dagbook.cli.serve:serve", "The same as serve."),
    "worker": Entry("dagbook.cli.worker:worker", "Drive runs that ask for this machine's labels."),
    "run": Entry("dagbook.cli.run:run", "Run a definition, or a stored DAG, in this terminal."),
    "start": Entry("dagbook.cli.run:run", "The same as run."),
    "runs": Entry("dagbook.cli.runs:runs", "List runs, and look for some."),
    "enqueue": Entry("dagbook.cli.enqueue:enqueue", "Let a definition wait in its queue until there is room."),
    "dequeue": Entry("dagbook.cli.enqueue:dequeue", "Take a run out of its queue."),
    "queue": Entry("dagbook.cli.queue:queue", "Look at queues, pause, resume, reorder or clear them."),
    "status": Entry("dagbook.cli.status:status", "Show how a run stands, step by step."),
    "retry": Entry("dagbook.cli.retry:retry", "Try a run again: what failed, or one step."),
    "stop": Entry("dagbook.cli.stop:stop", "Stop a run, or all runs of a DAG."),
    "restart": Entry("dagbook.cli.restart:restart", "Stop a running run, and start another in its place."),
    "dry": Entry("dagbook.cli.dry:dry", "Show what a run would do, and run nothing."),
    "validate": Entry("dagbook.cli.validate:validate", "Print everything that is wrong with definitions."),
    "users": Entry("dagbook.cli.users:users", "Make, change and remove users."),
    "tokens": Entry("dagbook.cli.tokens:tokens", "Make and revoke personal API tokens."),
    "dag": Entry("dagbook.cli.dag:dag", "Look at the history of a stored DAG, or go back in it."),
    "audit": Entry("dagbook.cli.audit:audit", "See who did what, verify that nobody changed it, remove what is old."),
    "schema": Entry("dagbook.cli.schema:schema", "Print the JSON Schema of definitions, for editors."),
    "cleanup": Entry("dagbook.cli.cleanup:cleanup", "Remove runs that are not to be kept, or show which."),
    "doctor": Entry("dagbook.cli.doctor:doctor", "Check everything that must hold in the database."),
    "db": Entry("dagbook.cli.db:db", "Upgrade the database, or see how it stands."),
    "scheduler": Entry("dagbook.cli.usage:scheduler", "Every server has one; use serve."),
    "coordinator": Entry("dagbook.cli.usage:coordinator", "Every server is one; use serve."),
    "config": Entry("dagbook.cli.config:config", "Print every setting, its value and where that came from."),
    "completion": Entry("dagbook.cli.usage:completion", "Print the completion script of a shell."),
    "help": Entry("dagbook.cli.usage:show_help", "Tell everything about a command."),
    "version": Entry("dagbook.cli.version:version", "Print the version."),
}
_SETTINGS = {"help_option_names": ["-h", "--help"]}


@click.group(cls=LazyGroup, entries=COMMANDS, invoke_without_command=True, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="dagbook", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Dagbook, a workflow server that keeps everything in a SQL database."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command that the process was started with, and end the process."""
    give_children_default_signals()
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: Sequence[str]) -> int:
    """Run a command; returns its exit status, 1 for every error, after saying on stderr what it was."""
    # --quiet replaces both streams; leaving these blocks puts back what was there.
    with redirect_stdout(sys.stdout), redirect_stderr(sys.stderr):
        try:
            status = cli.main(list(arguments), prog_name="dagbook", standalone_mode=False)
        except click.ClickException as error:
            error.show(sys.stderr)
        except SettingsError as error:
            click.echo(f"Error: {error}", err=True)
        except click.Abort as error:
            nobody = isinstance(error.__context__, EOFError)
            told = "nobody answers here; --help tells how to say it beforehand" if nobody else "interrupted"
            click.echo(f"\nError: {told}", err=True)
        else:
            return status if isinstance(status, int) else 0
        return 1
