"""What an archive step asks for: read from its command and its config (DAG format 4.9)."""

from __future__ import annotations

import msgspec

from app.executors.archives.patterns import Filter
from app.executors.config import Config
from app.executors.contract import Job, SetupError

CREATE, EXTRACT, LIST = "create", "extract", "list"
_OPERATIONS = (EXTRACT, CREATE, LIST)
_BEST_LEVEL = 9


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """An operation on an archive; an empty ``format`` is to be found out, a negative ``level`` is the format's own."""

    operation: str
    source: str
    destination: str
    format: str
    level: int
    password: str
    overwrite: bool
    preserve_paths: bool
    strip: int
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    dry_run: bool
    verbose: bool
    follow_links: bool
    verify: bool
    keep_going: bool

    def filter(self) -> Filter:
        """Make the filter of the entries."""
        return Filter(self.include, self.exclude)


def read(job: Job) -> Options:
    """Read the options of a job; raises SetupError."""
    config = Config(job.config, "archive")
    operation = _operation(job)
    options = Options(
        operation=operation,
        source=config.required("source", "name the archive, or for create what goes into it"),
        destination=_destination(config, operation),
        format=config.text("format").strip().lower().removeprefix("."),
        level=config.whole("compressionLevel", -1, least=-1, most=_BEST_LEVEL),
        password=config.text("password"),
        overwrite=config.flag("overwrite"),
        preserve_paths=config.flag("preservePaths", default=True),
        strip=config.whole("stripComponents", least=0),
        include=config.texts("include"),
        exclude=config.texts("exclude"),
        dry_run=config.flag("dryRun"),
        verbose=config.flag("verbose"),
        follow_links=config.flag("followSymlinks"),
        verify=config.flag("verifyIntegrity"),
        keep_going=config.flag("continueOnError"),
    )
    _check(options, config)
    return options


def _operation(job: Job) -> str:
    word = job.program.lower()
    if word in _OPERATIONS:
        return word
    raise SetupError(f"archive: the command has to be one of {', '.join(_OPERATIONS)}; it is {job.program!r}")


def _destination(config: Config, operation: str) -> str:
    if operation == CREATE and not config.flag("dryRun"):
        return config.required("destination", "name the archive to create")
    found = config.text("destination").strip()
    return found or ("." if operation == EXTRACT else "")


def _check(options: Options, config: Config) -> None:
    if options.password and options.operation == CREATE:
        raise config.error("password", "archives cannot be created with a password; leave it out")
    for key, patterns in (("include", options.include), ("exclude", options.exclude)):
        try:
            Filter(patterns, ())
        except ValueError as error:
            raise config.error(key, str(error)) from None
