"""What the tests stand on: one command run to its end, a node that stays, sockets that misbehave.

Every wait has a limit and ends with a line, an event or the end of a process, never by time alone.
"""

import asyncio
import contextlib
import json
import pathlib
import re
import socket
from dataclasses import dataclass

from process import Broken, Program

LIMIT = 20  # seconds for anything to happen; under a sanitizer and a busy machine too
LOOPBACK = "/ip4/127.0.0.1/tcp/0"


class Skip(Exception):
    """The machine cannot show it; the text says why."""


def want(fact, what, shown=""):
    if not fact:
        raise Broken(f"{what}\n{shown}")


@dataclass
class Result:
    """A command that has ended."""
    argv: list
    status: int  # negative: the signal that killed it
    out: str
    err: list  # lines

    def __str__(self):
        return "\n".join([" ".join(self.argv), f"exit status {self.status}", self.out, *self.err])

    def events(self):
        """What --json printed: one JSON object a line, nothing else."""
        try:
            events = [json.loads(line) for line in self.out.splitlines()]
        except ValueError:
            events = [None]
        want(all(isinstance(e, dict) and "event" in e for e in events), "no JSON objects with `event`", self)
        return events

    def has(self, pattern):
        want(re.search(pattern, self.out, re.MULTILINE), f"nothing of `{pattern}` on stdout", self)
        return self


class Node(Program):
    """`tern run`, or another command that goes on; its lines are `events` with --json, else `stray`."""

    async def line(self, pattern, limit=LIMIT):
        """The first line of text on stdout that fits."""
        return await self._wait(self.stray, pattern, "stdout", limit)

    async def error(self, pattern, limit=LIMIT):
        """The first line on stderr that fits."""
        return await self._wait(self.errors, pattern, "stderr", limit)

    async def _wait(self, lines, pattern, where, limit):
        def found():
            return next((match for match in (re.search(pattern, line) for line in lines) if match), None)

        async def look():
            async with self._news:
                await self._news.wait_for(lambda: found() or self._silent)
            return found()

        try:
            match = await asyncio.wait_for(look(), limit)
        except asyncio.TimeoutError:
            match = None
        if match is None:
            raise self.broken("\n".join([f"has no line with `{pattern}` on {where}", *lines[-20:]]))
        return match

    async def listening(self):
        """Waits until it listens; the event, which has to be the first one."""
        up = await self.event("listening", LIMIT)
        want(self.events[0] is up, "`listening` is not the first event", self.events)
        self.peer, self.addrs = up["peer"], up["addrs"]
        return up

    async def happens(self, kind, **fields):
        """An event of that kind with these values."""
        return await self.event(kind, LIMIT, lambda e: all(e.get(k) == v for k, v in fields.items()))

    def count(self, kind):
        return sum(1 for e in self.events if e.get("event") == kind)

    def tell(self, **command):
        self.say(json.dumps(command))

    def signal(self, number):
        self._process.send_signal(number)

    def write(self, data):
        self._process.stdin.write(data)

    def close_stdin(self):
        self._process.stdin.close()

    async def ended(self, status=0, errors=()):
        """Waits for its end, wants that status, JSON alone on stdout if it was asked for, and on stderr
        a line for each pattern of `errors` and no other; None is any."""
        try:
            await asyncio.wait_for(asyncio.gather(self._process.wait(), asyncio.shield(self._output)), LIMIT)
        except asyncio.TimeoutError:
            raise self.broken(f"did not end within {LIMIT} s") from None
        if self._process.returncode != status:
            raise self.broken(f"ended with {self._process.returncode}, not {status}")
        if "--json" in self.argv and self.stray:
            raise self.broken(f"printed something else than JSON on stdout: {self.stray[0]!r}")
        if errors is None:
            return
        if len(errors) != len(self.errors) or not all(map(re.search, errors, self.errors)):
            raise self.broken(f"should have said {list(errors)} on stderr")


class Cli:
    root = pathlib.Path(__file__).resolve().parent.parent.parent  # of the project

    def __init__(self, tern, folder):
        self.tern, self.folder = tern, pathlib.Path(folder)

    async def call(self, *args, limit=LIMIT, **options):
        """Runs tern to its end."""
        argv = [self.tern, *map(str, args)]
        options = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.PIPE, **options}
        process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE, **options)
        try:
            out, err = await asyncio.wait_for(process.communicate(), limit)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
            raise Broken(f"{' '.join(argv)}\ndid not end within {limit} s") from None
        return Result(argv, process.returncode, (out or b"").decode(), err.decode().splitlines())

    async def does(self, *args, **options):
        """What was asked for happens: status 0, nothing on stderr."""
        result = await self.call(*args, **options)
        want(result.status == 0 and not result.err, "it did not do what was asked", result)
        return result

    async def says(self, status, *args, about="", **options):
        """What is wrong is said: that status, nothing on stdout, one line on stderr with that pattern."""
        result = await self.call(*args, **options)
        want(result.status == status, f"the exit status is not {status}", result)
        want(result.out == "", "there is something on stdout", result)
        want(len(result.err) == 1, "there is not one line on stderr", result)
        want(result.err[0].startswith("tern"), "the line does not say whose it is", result)
        want(re.search(about, result.err[0]), f"the line says nothing of `{about}`", result)
        return result

    @contextlib.asynccontextmanager
    async def running(self, *args):
        """A long-running command."""
        async with Node(f"tern {args[0]}", [self.tern, *args]) as program:
            yield program

    @contextlib.asynccontextmanager
    async def node(self, *args, name="node", listen=(LOOPBACK,)):
        """`tern run --json` with a data folder of that name, listening."""
        listens = [word for addr in listen for word in ("--listen", addr)]
        async with self.running("run", "--json", "--page", "off", "--data", self.folder / name, *listens,
                                *args) as node:
            await node.listening()
            yield node

    async def key(self, name, *options):
        """A new key file and its event."""
        made = (await self.does("key", "new", "--json", "--out", self.folder / name, *options)).events()[0]
        return self.folder / name, made

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


@contextlib.contextmanager
def taken(port=0, ip="127.0.0.1"):
    """A socket that listens and never says a word; gives its port."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((ip, port))
        s.listen()
        yield s.getsockname()[1]


@contextlib.asynccontextmanager
async def answering(words):
    """A server that says these bytes to everybody, once it was spoken to, and hangs up; gives its port."""
    async def serve(reader, writer):
        await reader.read(1)
        writer.write(words)
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def free_port():
    """A port that nobody listened on a moment ago."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
