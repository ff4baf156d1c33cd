"""Nodes in the laboratory: tern and the peers of the interop tests, each on a host of its own."""

import contextlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

import build  # noqa: E402
from process import Program  # noqa: E402

PORT = 4001
ROADS = ("/tcp/", "/tcp/", "/quic-v1", "/quic-v1")  # to each server: two networks must see a port to know it
LIMIT = 100


def listens(host, stack):
    """Where a node there listens: TCP and QUIC on one port."""
    front = f"/ip6/{host.ip}" if ":" in host.ip else f"/ip4/{host.ip}"
    return [f"{front}/tcp/{PORT}", f"{front}/udp/{PORT}/quic-v1"]


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

    def _program(self, host, stack, *words):
        program = self.tern if stack == "tern" else self.peers.find(stack)
        return Program(f"{stack} on {host.name}", [*host.enter(), program, *words])

    def _data(self):
        self._used += 1
        folder = pathlib.Path(self.folder, str(self._used))
        folder.mkdir()
        return folder


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
