"""Nodes in the laboratory: tern and the peers of the interop tests, each on a host of its own."""

import asyncio
import contextlib
import pathlib
import sys
import tempfile

import lab

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

import build  # noqa: E402
from process import Broken, Program  # noqa: E402
from tap import Peers, Tap  # noqa: E402

AT_ONCE = 4  # rows: most of the time each waits
ROADS = ("/tcp/", "/tcp/", "/quic-v1", "/quic-v1")  # to each server: two networks must see a port to know it
LIMIT = 100


def listens(host, stack):
    """Where a node there listens: TCP and QUIC on one port."""
    front = f"/ip6/{host.ip}" if ":" in host.ip else f"/ip4/{host.ip}"
    return [f"{front}/tcp/{host.port}", f"{front}/udp/{host.port}/quic-v1"]


class Nodes:
    def __init__(self, tern, peers, folder):
        self.tern, self.peers, self.folder, self._used = tern, peers, folder, 0

    def start(self, host, stack, *words):
        """A node that runs until it is closed. Of a tern it is `tern run`, of others `peer listen`."""
        listen = [word for at in listens(host, stack) for word in ("--listen", at)]
        if stack == "tern":
            return self._program(host, "tern", "run", "--page", "off", *listen, "--data", self._data(),
                                 "--json", *words)
        return self._program(host, stack, "listen", *listen, *words)

    def ping(self, host, stack, addr, count=2):
        more = ["-i", 0, "--json"] if stack == "tern" else []
        return self._program(host, stack, "ping", addr, "-c", count, *more)

    def check(self, host, *words):
        return self._program(host, "tern", "check", *words)

    async def text(self, stack, host, *words):
        """All that a tern command prints."""
        program = await stack.enter_async_context(self._program(host, "tern", *words))
        await program.exited(LIMIT)
        return "\n".join(program.stray)

    def _program(self, host, stack, *words):
        program = self.tern if stack == "tern" else self.peers.find(stack)
        return Program(f"{stack} on {host.name}", [*host.enter(), program, *words])

    def _data(self):
        self._used += 1
        folder = pathlib.Path(self.folder, str(self._used))
        folder.mkdir()
        return folder


def run_rows(options, rows, stacks=()):
    """Runs those of the rows (name, act) that the filters keep, each in a laboratory of its own, several at
    once; `stacks` are the peers that may be built for them before. act(net, bench) gives how it went, or
    nothing. The exit status; does not come back outside the laboratory."""
    chosen = [(name, act) for name, act in rows if all(word in name for word in options.filter)]
    wanted = {word for name, _ in chosen for word in name.replace(",", " ").split()}
    why = lab.enter(lambda: prepare(wanted & set(stacks)))
    tap = Tap(len(chosen))
    with tempfile.TemporaryDirectory() as folder:
        bench, places = Nodes(options.tern, Peers(), folder), asyncio.Semaphore(AT_ONCE)

        async def one(name, act):
            async with places:
                try:
                    if why:
                        raise build.Skipped(why)
                    with lab.Lab() as net:
                        how = await act(net, bench)
                    tap.ok(f"{name}: {how}" if how else name)
                except build.Skipped as reason:
                    tap.skip(name, reason)
                except (build.Failed, Broken, RuntimeError) as reason:
                    tap.fail(name, reason)

        async def every():
            await asyncio.gather(*(one(name, act) for name, act in chosen))

        asyncio.run(every())
    return 1 if tap.failed else 0


def prepare(stacks):
    """Builds the peers of these stacks that can be built; who cannot is told again where it is missed."""
    for stack in sorted(set(stacks) - {"tern"}):
        with contextlib.suppress(build.Skipped, build.Failed):
            build.peer(stack)


def address(listening, part):
    """The address of a `listening` event that has this in it."""
    return next(a for a in listening["addrs"] if part in a)


async def servers(stack, net, bench):
    """Public tern nodes that relay and answer AutoNAT, on IPv4 and IPv6; the addresses of each."""
    every = []
    for i in range(1, len(ROADS) + 1):
        host = net.public(f"server {i}", f"5.{i}.0.1 2a00:{i}::1")
        node = bench.start(host, "tern", "--listen", f"/ip6/2a00:{i}::1/tcp/4001", "--listen",
                           f"/ip6/2a00:{i}::1/udp/4001/quic-v1", "--force-reachability", "public",
                           "--relay-data", 0, "--relay-duration", 0)
        program = await stack.enter_async_context(node)
        every.append(await program.event("listening", LIMIT))
    return every


def bootstraps(every, host):
    """All servers; half of them over TCP and half over QUIC, so that both ports are seen from outside."""
    front = "/ip6/" if ":" in host.ip else "/ip4/"
    return [word for listening, road in zip(every, ROADS)
            for word in ("--bootstrap", next(a for a in listening["addrs"] if a.startswith(front) and road in a))]
