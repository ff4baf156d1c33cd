"""Programs under test: they speak one JSON object a line on stdout and end when they are told to.

Every wait has a limit and waits for a line or for the end of the process, never for time to pass. A
process is ended by its own handle; `async with` makes sure of that whatever happens in between.
"""

import asyncio
import json

LINE_LIMIT = 1 << 20  # bytes of one line of output
STDERR_KEPT = 20  # last lines of stderr shown with a failure


class Broken(Exception):
    """What was asked of the program did not happen; the text says what and shows its last words."""


class Program:
    """One running program. `async with Program(name, argv) as p:`"""

    def __init__(self, name, argv):
        self.name, self.argv = name, [str(word) for word in argv]
        self.events = []  # every JSON object it printed, in order
        self.stray = []  # lines on stdout that are no JSON object
        self.errors = []  # lines on stderr
        self._news = asyncio.Condition()
        self._silent = False  # both of its pipes have ended

    async def __aenter__(self):
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.argv, stdin=pipe, stdout=pipe, stderr=pipe, limit=LINE_LIMIT)
        except OSError as why:
            raise self.broken(f"could not be started: {why}") from None
        self._output = asyncio.create_task(self._read_all())
        return self

    async def __aexit__(self, *_):
        if self._process.returncode is None:
            self._process.kill()
        await asyncio.gather(self._process.wait(), self._output)

    async def event(self, kind, limit, wanted=lambda event: True):
        """The first event of that kind that is wanted, among those printed already or to come."""
        def found():
            return next((e for e in self.events if e.get("event") == kind and wanted(e)), None)

        async def look():
            async with self._news:
                await self._news.wait_for(lambda: found() or self._silent)
            return found()

        try:
            event = await asyncio.wait_for(look(), limit)
        except asyncio.TimeoutError:
            raise self.broken(f"printed no such `{kind}` event within {limit} s") from None
        if event is None:
            await self._process.wait()
            status = self._process.returncode
            raise self.broken(f"ended (exit status {status}) without the `{kind}` event wanted")
        return event

    def say(self, line):
        self._process.stdin.write(line.encode() + b"\n")

    async def ended(self, limit):
        """Waits for the program's own end; its exit status."""
        end = asyncio.gather(self._process.wait(), asyncio.shield(self._output))
        try:
            await asyncio.wait_for(end, limit)
        except asyncio.TimeoutError:
            raise self.broken(f"did not end within {limit} s") from None
        return self._process.returncode

    async def exited(self, limit):
        """As `ended`, and wants exit status 0."""
        if await self.ended(limit) != 0:
            raise self.broken(f"exit status {self._process.returncode}")

    async def says(self, text, limit):
        """Waits for a line of plain text on stdout that has this in it."""
        async def look():
            async with self._news:
                await self._news.wait_for(lambda: self._silent or any(text in line for line in self.stray))

        try:
            await asyncio.wait_for(look(), limit)
        except asyncio.TimeoutError:
            raise self.broken(f"did not say `{text}` within {limit} s") from None
        if not any(text in line for line in self.stray):
            raise self.broken(f"ended before it said `{text}`")

    async def finished(self, limit):
        """As `exited`, and wants nothing but JSON on stdout."""
        await self.exited(limit)
        if self.stray:
            raise self.broken(f"printed something else than JSON on stdout: {self.stray[0]!r}")

    def broken(self, what):
        printed = f"its last event: {self.events[-1]}" if self.events else "it printed no event"
        text = [f"{self.name} {what}", " ".join(self.argv), printed, *self.errors[-STDERR_KEPT:]]
        return Broken("\n".join(text))

    async def _read_all(self):
        await asyncio.gather(self._read(self._process.stdout, self._event),
                             self._read(self._process.stderr, self.errors.append))
        async with self._news:
            self._silent = True
            self._news.notify_all()

    async def _read(self, pipe, take):
        async for line in pipe:
            async with self._news:
                take(line.decode(errors="replace").rstrip())
                self._news.notify_all()

    def _event(self, line):
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict):
            self.events.append(event)
        else:
            self.stray.append(line)


async def run(name, argv, limit):
    """Runs a program to its end; returns its events. Raises Broken unless it exits with 0."""
    async with Program(name, argv) as program:
        await program.finished(limit)
        return program.events


def last(events, kind):
    """The last event of that kind."""
    for event in reversed(events):
        if event.get("event") == kind:
            return event
    raise Broken(f"no `{kind}` event among {[e.get('event') for e in events]}")
