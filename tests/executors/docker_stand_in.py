"""A stand-in for the Docker daemon: its HTTP API (1.43) on a unix socket, with local processes for containers.

It exists because most machines that run these tests have no daemon, or may not start one; ``test_docker_daemon.py``
asks a real one where there is one. What can be real is real: commands run, write and are killed by signals; the
protocol, its multiplexed streams and the wording of its refusals are those of Docker 26. What cannot be is only kept
and shown: users, networks, ports, volumes, limits and platforms. As a program it serves until it is killed:
``python -m tests.executors.docker_stand_in SOCKET``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import signal
import struct
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from dagbook.executors.process.process import wait_for_exit

_VERSION = "1.43"
_NUMBERS = frozenset({"memory", "memoryswap", "nanocpus", "cpushares", "pidslimit", "shmsize", "stoptimeout"})
_FLAGS = frozenset({"autoremove", "privileged", "init", "tty", "readonlyrootfs", "publishallports"})
_LISTS = frozenset({"env", "cmd", "entrypoint", "binds", "capadd", "dns"})
CANNOT = 126
_MODES = frozenset({"ro", "rw", "z", "Z"})


class RefusedError(Exception):
    """A request that is answered with a status and a message."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def lowered(value: Any) -> Any:
    """Give the keys of a map in lower case: the daemon matches them without regard to case."""
    return {key.lower(): entry for key, entry in value.items()} if isinstance(value, dict) else {}


class Image:
    """What a registry or the daemon has; ``auth`` is the user and password without which it cannot be pulled."""

    def __init__(
        self, *, auth: tuple[str, str] | None = None, platform: str = "linux/amd64", slow: bool = False, **config: Any
    ) -> None:
        self.auth = auth
        self.broken = False  # no container can be made from it
        self.slow = slow  # pulling it takes for ever
        self.platform = platform
        self.config = {"Env": [], "Entrypoint": None, "Cmd": None, "Healthcheck": None, **config}


class Output:
    """The log of a container or what an exec instance has written; followers are woken."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bytes]] = []
        self.closed = False
        self._grown = asyncio.Event()

    def add(self, stream: int, data: bytes) -> None:
        self.pieces.append((stream, data))
        self._wake()

    def close(self) -> None:
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    async def follow(self, begin: int = 0) -> AsyncIterator[tuple[int, bytes]]:
        for index in itertools.count(begin):
            while index >= len(self.pieces):
                if self.closed:
                    return
                await self._grown.wait()
            yield self.pieces[index]


class Command:
    """A process of this machine that counts as one of a container."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path) -> None:
        self.argv, self.env, self.cwd = argv, env, cwd
        self.output = Output()
        self.pid = 0
        self.exit_code: int | None = None
        self.ended = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.pid > 0 and self.exit_code is None

    async def start(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv,
                env=self.env,
                cwd=self.cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self.exit_code = 127
            self.ended.set()
            reason = f'exec: "{self.argv[0]}": executable file not found in $PATH: unknown'
            raise RefusedError(
                400, f"failed to create task for container: OCI runtime create failed: {reason}"
            ) from error
        self.pid = process.pid
        self._task = asyncio.create_task(self._follow(process))

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        copies = [
            asyncio.create_task(self._copy(1, process.stdout)),
            asyncio.create_task(self._copy(2, process.stderr)),
        ]
        await wait_for_exit(process.pid)  # asyncio's own wait lasts until the last child has closed the pipes
        self.kill_all()
        code = await process.wait()
        await asyncio.wait(copies)
        self.exit_code = code if code >= 0 else 128 - code
        self.output.close()
        self.ended.set()

    async def _copy(self, stream: int, source: asyncio.StreamReader | None) -> None:
        assert source is not None
        while piece := await source.read(4096):
            self.output.add(stream, piece)

    def signal(self, number: int) -> None:
        """Signal the first process only, as the daemon does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill_all(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)


class Container:
    def __init__(self, ident: str, name: str, body: dict[str, Any], image: Image, directory: Path) -> None:
        self.id, self.name, self.body, self.image = ident, name, body, image
        self.config = lowered(body)
        self.host = lowered(self.config.get("hostconfig"))
        self.directory = directory
        self.health = "starting" if image.config["Healthcheck"] else ""
        self.execs: list[Exec] = []
        self.shell = True  # whether there is a /bin/sh in it
        self.lock = asyncio.Lock()
        self.deaf = False  # signals do not reach it
        self.started_at = "0001-01-01T00:00:00Z"
        self.command = Command(self._argv(), self.environment(), self.work_dir(self.config.get("workingdir")))

    def _argv(self) -> list[str]:
        image = self.image.config
        entrypoint = self.config.get("entrypoint")
        command = self.config.get("cmd") or ([] if entrypoint else image["Cmd"] or [])
        return [*(entrypoint if entrypoint is not None else image["Entrypoint"] or []), *command]

    def environment(self, more: list[str] | None = None) -> dict[str, str]:
        pairs = [*self.image.config["Env"], *(self.config.get("env") or []), *(more or [])]
        return {"PATH": os.environ["PATH"], **dict(pair.partition("=")[::2] for pair in pairs)}

    def work_dir(self, named: str | None) -> Path:
        return Path(named) if named and Path(named).is_dir() else self.directory

    async def start(self) -> None:
        if self.health:
            self._check = asyncio.create_task(self._check_health())
        await self.command.start()
        self.started_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")

    async def _check_health(self) -> None:
        """Run the image's check every 10 ms until it succeeds, or has failed as often as it may."""
        check = self.image.config["Healthcheck"]
        for _ in range(check.get("Retries", 1_000_000)):
            child = await asyncio.create_subprocess_exec("sh", "-c", check["Test"][1], cwd=self.directory)
            if await child.wait() == 0:
                self.health = "healthy"
                return
            await asyncio.sleep(0.01)
        self.health = "unhealthy"

    async def end(self) -> None:
        """End all of its processes, as the end of the first one does."""
        for command in (self.command, *self.execs):
            command.kill_all()
        for command in (self.command, *self.execs):
            if command.pid:
                await command.ended.wait()

    @property
    def status(self) -> str:
        if self.command.running:
            return "running"
        return "created" if self.command.exit_code is None else "exited"

    def shown(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "Status": self.status,
            "Running": self.command.running,
            "Pid": self.command.pid if self.command.running else 0,
            "ExitCode": self.command.exit_code or 0,
            "StartedAt": self.started_at,
            "Error": "",
        }
        if self.health:
            log = [{"ExitCode": 1, "Output": "not well"}] if self.health != "healthy" else []
            state["Health"] = {"Status": self.health, "Log": log}
        config = {key.capitalize() if key in ("tty", "labels", "env") else key: v for key, v in self.config.items()}
        config.setdefault("Tty", False)
        return {
            "Id": self.id,
            "Name": f"/{self.name}",
            "State": state,
            "Config": {"Labels": {}, **config},
            "HostConfig": self.body.get("HostConfig", {}),
            "Image": self.config["image"],
        }


class Exec(Command):
    def __init__(self, ident: str, container: Container, body: dict[str, Any]) -> None:
        said = lowered(body)
        where = said.get("workingdir") or container.config.get("workingdir")
        super().__init__(
            said["cmd"],
            container.environment(said.get("env")),
            container.work_dir(where),
        )
        self.id, self.container, self.body = ident, container, body
        self.heard: int | None = None  # how many blocks a client had received when it disconnected

    async def start(self) -> None:
        try:
            await super().start()
        except RefusedError:
            self.exit_code = CANNOT
            reason = f'unable to start container process: exec: "{self.argv[0]}": executable file not found in $PATH'
            self.output.add(1, f"OCI runtime exec failed: exec failed: {reason}: unknown\r\n".encode())
            self.output.close()

    @property
    def lost(self) -> bool:
        """Whether the command has ended and has written something since the client disconnected."""
        return self.exit_code is not None and self.heard is not None and self.heard < len(self.output.pieces)

    def shown(self) -> dict[str, Any]:
        return {
            "ID": self.id,
            "Running": self.running,
            "ExitCode": CANNOT if self.lost else self.exit_code,
            "Pid": self.pid,
            "ContainerID": self.container.id,
            "ProcessConfig": {
                "tty": bool(self.body.get("Tty")),
                "entrypoint": self.argv[0],
                "arguments": self.argv[1:],
            },
        }


class StandIn:
    """The daemon. ``registry`` holds what can be pulled, ``images`` what is here; tests look at the rest."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "docker.sock"
        self.registry: dict[str, Image] = {}
        self.images: dict[str, Image] = {"busybox:latest": Image(Cmd=["sh"])}
        self.containers: dict[str, Container] = {}
        self.execs: dict[str, Exec] = {}
        self.hidden: set[str] = set()  # those that it shows no more
        self.tells_ends = True  # in its events
        self.words = ""  # what it says in place of its own words when it cannot pull
        self.pulls: list[dict[str, Any]] = []
        self.removed: list[Container] = []
        # What a test waits for, and what lets the daemon wait for a test.
        self.pulling, self.starting = asyncio.Event(), asyncio.Event()
        self.before_start, self.before_exec, self.beginning = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.before_start.set()
        self.before_exec.set()
        self._directory = directory
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    def named(self, name: str) -> Container:
        return next(container for container in self.containers.values() if container.name == name)

    async def run(self, name: str, *argv: str) -> Container:
        """Run a container that is none of Dagbook's."""
        container = self._make(name, {"Image": "busybox", "Cmd": list(argv)})
        await container.start()
        return container

    async def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        app = web.Application(middlewares=[_answer_refusals])
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        """End as the program does: the socket is closed, the containers continue."""
        assert self._runner is not None
        await self._runner.cleanup()

    async def remove_all(self) -> None:
        for container in list(self.containers.values()):
            await self._remove(container)

    def _routes(self) -> list[web.RouteDef]:
        base = "/v{version:[0-9.]+}"
        return [
            web.get("/version", _version),
            web.get(base + "/images/{name:.+}/json", self._show_image),
            web.post(base + "/images/create", self._pull),
            web.post(base + "/containers/create", self._create),
            web.get(base + "/containers/json", self._list),
            web.get(base + "/containers/{id}/json", self._show),
            web.post(base + "/containers/{id}/start", self._start),
            web.post(base + "/containers/{id}/stop", self._stop),
            web.post(base + "/containers/{id}/kill", self._kill),
            web.post(base + "/containers/{id}/wait", self._wait),
            web.get(base + "/containers/{id}/logs", self._logs),
            web.delete(base + "/containers/{id}", self._delete),
            web.post(base + "/containers/{id}/exec", self._create_exec),
            web.post(base + "/exec/{id}/start", self._start_exec),
            web.get(base + "/exec/{id}/json", self._show_exec),
            web.get(base + "/events", self._events),
        ]

    def _new_id(self) -> str:
        return f"{next(self._numbers):064x}"

    def _find(self, request: web.Request) -> Container:
        wanted = request.match_info["id"]
        for container in self.containers.values():
            if wanted in (container.id, container.name):
                return container
        raise RefusedError(404, f"No such container: {wanted}")

    # -- images ----------------------------------------------------------------------------------------------

    async def _show_image(self, request: web.Request) -> web.Response:
        name = _tagged(request.match_info["name"])
        if name not in self.images:
            raise RefusedError(404, f"No such image: {name}")
        image = self.images[name]
        system, architecture, *_ = image.platform.split("/")
        return web.json_response({"Id": name, "Os": system, "Architecture": architecture, "Config": image.config})

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        asked = request.query["fromImage"].removeprefix("docker.io/").removeprefix("library/")
        name = _tagged(f"{asked}:{request.query['tag']}" if request.query.get("tag") else asked)
        auth = json.loads(base64.urlsafe_b64decode(request.headers.get("X-Registry-Auth", "e30=")))
        platform = request.query.get("platform", "")
        self.pulls.append({"image": name, "platform": platform, "auth": auth, "from": request.query["fromImage"]})
        image = self.registry.get(name)
        if image is None:
            denied = f"pull access denied for {name}, repository does not exist or may require 'docker login'"
            raise RefusedError(404, self.words or denied)
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        await answer.write(b'{"status":"Pulling"}\r\n')
        self.pulling.set()
        if image.slow:
            await asyncio.Event().wait()
        if image.auth and image.auth != (auth.get("username"), auth.get("password")):
            error = {
                "errorDetail": {"message": "unauthorized: login required"},
                "error": "unauthorized: login required",
            }
            await answer.write(json.dumps(error).encode() + b"\r\n")
        else:
            self.images[name] = image
        return answer

    # -- containers ------------------------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        said = lowered(body)
        _check_types(said)
        _check_types(lowered(said.get("hostconfig")))
        name = request.query.get("name") or f"nameless-{len(self.containers)}"
        if _tagged(said.get("image") or "") not in self.images:
            raise RefusedError(404, f"No such image: {_tagged(said.get('image') or '')}")
        if self.images[_tagged(said["image"])].broken:
            raise RefusedError(500, "no space left on device")
        for other in self.containers.values():
            if other.name == name:
                raise RefusedError(
                    409, f'Conflict. The container name "/{name}" is already in use by container "{other.id}".'
                )
        container = self._make(name, body)
        container.config["platform"] = request.query.get("platform", "")
        return web.json_response({"Id": container.id, "Warnings": []}, status=201)

    def _make(self, name: str, body: dict[str, Any]) -> Container:
        image = self.images[_tagged(lowered(body)["image"])]
        ident = self._new_id()
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        container = self.containers[ident] = Container(ident, name, body, image, directory)
        return container

    async def _list(self, request: web.Request) -> web.Response:
        wanted = json.loads(request.query.get("filters", "{}")).get("label", [])
        found = [
            {"Id": container.id, "Names": [f"/{container.name}"], "State": container.status}
            for container in self.containers.values()
            if (request.query.get("all") in ("1", "true") or container.command.running) and _has(container, wanted)
        ]
        return web.json_response(found)

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self._find(request).shown())

    async def _start(self, request: web.Request) -> web.Response:
        container = self._find(request)
        self.starting.set()
        await self.before_start.wait()
        async with container.lock:
            if container.command.running:
                return web.Response(status=304)
            await container.start()
        return web.Response(status=204)

    async def _stop(self, request: web.Request) -> web.Response:
        container = self._find(request)
        if not container.command.running:
            return web.Response(status=304)
        container.command.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(request.query.get("t", "10"))):
                await container.command.ended.wait()
        await container.end()
        return web.Response(status=204)

    async def _wait(self, request: web.Request) -> web.Response:
        container = self._find(request)
        await container.command.ended.wait()
        return web.json_response({"StatusCode": container.command.exit_code})

    async def _kill(self, request: web.Request) -> web.Response:
        container = self._find(request)
        if not container.command.running:
            raise RefusedError(409, f"cannot kill container: {container.id}: container is not running")
        name = request.query.get("signal", "SIGKILL")
        if container.deaf:
            return web.Response(status=204)
        container.command.signal(signal.Signals[name if name.startswith("SIG") else f"SIG{name}"])
        return web.Response(status=204)

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        container = self._find(request)
        if lowered(container.host.get("logconfig")).get("type") == "none":
            raise RefusedError(501, "configured logging driver does not support reading")
        answer = web.StreamResponse(headers={"Content-Type": "application/vnd.docker.multiplexed-stream"})
        await answer.prepare(request)
        follow = request.query.get("follow") in ("1", "true") and container.status != "created"
        pieces = container.command.output.follow() if follow else _each(container.command.output.pieces)
        async for stream, data in pieces:
            if request.query.get({1: "stdout", 2: "stderr"}[stream]) in ("1", "true"):
                await answer.write(_framed(stream, data, raw=bool(container.config.get("tty"))))
        return answer

    async def _delete(self, request: web.Request) -> web.Response:
        container = self._find(request)
        if container.command.running and request.query.get("force") not in ("1", "true"):
            raise RefusedError(409, f"cannot remove container {container.name}: container is running")
        await self._remove(container)
        return web.Response(status=204)

    async def _remove(self, container: Container) -> None:
        await container.end()
        self.removed.append(container)
        self.containers.pop(container.id, None)

    # -- exec instances --------------------------------------------------------------------------------------

    async def _create_exec(self, request: web.Request) -> web.Response:
        container = self._find(request)
        if not container.command.running:
            raise RefusedError(409, f"container {container.id} is not running")
        made = Exec(self._new_id(), container, await request.json())
        container.execs.append(made)
        self.execs[made.id] = made
        return web.json_response({"Id": made.id}, status=201)

    def _find_exec(self, request: web.Request) -> Exec:
        found = self.execs.get(request.match_info["id"])
        if found is None or found.id in self.hidden:
            raise RefusedError(404, f"No such exec instance: {request.match_info['id']}")
        return found

    async def _show_exec(self, request: web.Request) -> web.Response:
        return web.json_response(self._find_exec(request).shown())

    async def _start_exec(self, request: web.Request) -> web.StreamResponse:
        found = self._find_exec(request)
        detach = (await request.json())["Detach"]
        if found.pid or found.exit_code is not None:
            raise RefusedError(409, f"exec {found.id} has already run")
        self.beginning.set()
        await self.before_exec.wait()
        if not found.container.shell and found.argv[0] == "/bin/sh":
            raise RefusedError(400, "OCI runtime exec failed: no such file or directory: unknown")
        await found.start()
        if detach:
            return web.Response()
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        answer = web.StreamResponse(status=101, headers=upgrade)
        await answer.prepare(request)
        heard = 0
        try:
            async for stream, data in found.output.follow():
                await answer.write(_framed(stream, data, raw=bool(found.body.get("Tty"))))
                heard += 1
        except (ConnectionError, asyncio.CancelledError):  # the client may disconnect; the command continues
            found.heard = heard
            raise
        answer.force_close()
        return answer

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send the events so far, and nothing more, until the client disconnects."""
        wanted = json.loads(request.query["filters"])
        assert wanted["event"] == ["exec_die"]
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        for ended in self.execs.values() if self.tells_ends else ():
            if ended.exit_code is not None and ended.pid and ended.container.id in wanted["container"]:
                attributes = {"execID": ended.id, "exitCode": str(ended.exit_code)}
                event = {"Type": "container", "Action": "exec_die", "Actor": {"Attributes": attributes}}
                await answer.write(json.dumps(event).encode() + b"\n")
        await asyncio.Event().wait()
        return answer


@web.middleware
async def _answer_refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        answer: web.StreamResponse = await handler(request)
    except RefusedError as error:
        body = json.dumps({"message": str(error)}).encode()
        return web.Response(body=body, status=error.status, headers={"Content-Type": "application/json"})
    return answer


async def _version(_: web.Request) -> web.Response:
    return web.json_response({"Version": "24.0.0", "ApiVersion": _VERSION})


async def _each(pieces: list[tuple[int, bytes]]) -> AsyncIterator[tuple[int, bytes]]:
    for piece in pieces:
        yield piece


def _framed(stream: int, data: bytes, *, raw: bool) -> bytes:
    return data if raw else struct.pack(">BxxxL", stream, len(data)) + data


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] or "@" in name else f"{name}:latest"


def _has(container: Container, wanted: list[str]) -> bool:
    labels = container.config.get("labels") or {}
    return all(labels.get(name) == value for name, _, value in (label.partition("=") for label in wanted))


def _check_types(said: dict[str, Any]) -> None:
    """Refuse what the daemon's decoder refuses."""
    for key, value in said.items():
        wanted = int if key in _NUMBERS else bool if key in _FLAGS else list if key in _LISTS else object
        if value is not None and not isinstance(value, wanted):
            raise RefusedError(400, f"json: cannot unmarshal {type(value).__name__} into Go struct field .{key}")
    for bind in said.get("binds") or []:
        if bind.count(":") > 1 and not set(bind.rpartition(":")[2].split(",")) <= _MODES:
            raise RefusedError(400, f"invalid mode: {bind.rpartition(':')[2]}")


@asynccontextmanager
async def standing_in(directory: Path) -> AsyncIterator[StandIn]:
    """Serve until the block is left, and leave no process behind."""
    daemon = StandIn(directory)
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.remove_all()
        await daemon.stop()


async def _serve(socket: Path) -> None:
    async with standing_in(socket.parent) as daemon:
        assert daemon.socket == socket
        print("ready", flush=True)  # noqa: T201 - the test waits for this
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, asked.set)
        await asked.wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
