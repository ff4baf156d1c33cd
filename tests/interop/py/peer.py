"""The py-libp2p peer of the interop tests; its command line is in tests/interop/README.md.

stdout carries one JSON object a line, stderr one line of text on failure.
"""

import argparse
import json
import struct
import sys
import time

import trio
from libp2p import new_host
from libp2p.abc import INotifee
from libp2p.crypto import ed25519, rsa, secp256k1, x25519
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.security.tls.transport import PROTOCOL_ID as TLS
from libp2p.security.tls.transport import TLSTransport
from libp2p.stream_muxer.mplex.mplex import MPLEX_PROTOCOL_ID, Mplex
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.utils.varint import read_length_prefixed_protobuf
from multiaddr import Multiaddr

PERF = "/perf/1.0.0"
PING = "/ipfs/ping/1.0.0"
PERF_BLOCK = 64 << 10
DIAL_LIMIT = 30  # seconds, for connecting and everything up to the first answer
KEYS = {"ed25519": ed25519, "secp256k1": secp256k1, "rsa": rsa}
MUXERS = {"yamux": (YAMUX, Yamux), "mplex": (MPLEX_PROTOCOL_ID, Mplex)}


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def make_host(args):
    if args.key_type not in KEYS:
        raise ValueError(f"py-libp2p has no {args.key_type} identities")
    key = KEYS[args.key_type].create_new_key_pair()
    static = x25519.create_new_key_pair().private_key
    security = {
        "noise": lambda: (NOISE, NoiseTransport(key, noise_privkey=static)),
        "tls": lambda: (TLS, TLSTransport(key)),
    }
    return new_host(
        key_pair=key,
        sec_opt=dict(make() for name, make in security.items() if args.security in (None, name)),
        muxer_opt=dict(pair for name, pair in MUXERS.items() if args.muxer in (None, name)),
        listen_addrs=[Multiaddr(addr) for addr in args.listen] or None,
        enable_websocket=not args.listen,
    )


class Announcer(INotifee):
    """Says who connected, and how."""

    async def connected(self, network, conn):
        say("connected", peer=str(conn.muxed_conn.peer_id),
            security=conn.get_negotiated_security_protocol(),
            muxer=conn.get_negotiated_muxer_protocol())

    async def disconnected(self, network, conn):
        pass

    async def opened_stream(self, network, stream):
        pass

    async def closed_stream(self, network, stream):
        pass

    async def listen(self, network, multiaddr):
        pass

    async def listen_close(self, network, multiaddr):
        pass


async def listen(host, args):
    """Says where it listens and serves ping, identify and perf until stdin ends."""
    host.set_stream_handler(PING, PingService(host).handle_ping)
    host.set_stream_handler(PERF, serve_perf)
    host.get_network().register_notifee(Announcer())
    addrs = [f"{addr}/p2p/{host.get_id()}" for addr in host.get_transport_addrs()]
    say("listening", peer=str(host.get_id()), addrs=addrs)
    await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


async def ping(host, args):
    start = time.monotonic()
    peer = await dial(host, args)
    received, first = 0, 0.0
    async for _ in PingService(host).ping_iter(peer, ping_amt=args.c):
        received += 1
        first = first or time.monotonic() - start
    say("summary", local=str(host.get_id()), received=received, peer=str(peer),
        first_answer_ms=first * 1000)


async def identify(host, args):
    peer = await dial(host, args)
    stream = await host.new_stream(peer, [IDENTIFY])
    info = Identify()
    info.ParseFromString(await read_length_prefixed_protobuf(stream))
    say("identify", local=str(host.get_id()), peer=str(peer), agent=info.agent_version,
        protocol_version=info.protocol_version, protocols=list(info.protocols),
        listen_addrs=[str(Multiaddr(a)) for a in info.listen_addrs],
        observed_addr=str(Multiaddr(info.observed_addr)))


async def perf(host, args):
    peer = await dial(host, args)
    for direction, upload, download in (("up", args.upload, 0), ("down", 0, args.download)):
        if upload + download == 0:
            continue
        start = time.monotonic()
        stream = await host.new_stream(peer, [PERF])
        await stream.write(struct.pack(">Q", download))
        await write_zeros(stream, upload)
        await stream.close_write()
        received, _ = await read_to_end(stream)
        if received != download:
            raise ValueError(f"asked for {download} bytes, received {received}")
        say("perf", local=str(host.get_id()), direction=direction, bytes=upload + received,
            seconds=time.monotonic() - start)


async def serve_perf(stream):
    """u64 BE "bytes you owe me", the upload, end; then this side pays and ends."""
    received, header = await read_to_end(stream, header_length=8)
    owed = struct.unpack(">Q", header)[0]
    await write_zeros(stream, owed)
    await stream.close()
    say("served", protocol=PERF, peer=str(stream.muxed_conn.peer_id), received=received, sent=owed)


async def read_to_end(stream, header_length=0):
    """Keeps the first header_length bytes and counts those after them."""
    header, total = b"", 0
    while True:
        try:
            data = await stream.read(PERF_BLOCK)
        except StreamEOF:
            data = b""
        if not data:
            return total - header_length, header
        header += data[:max(header_length - total, 0)]
        total += len(data)


async def write_zeros(stream, left):
    while left > 0:
        await stream.write(bytes(min(left, PERF_BLOCK)))
        left -= PERF_BLOCK


async def dial(host, args):
    info = info_from_p2p_addr(Multiaddr(args.addr))
    with trio.fail_after(DIAL_LIMIT):
        await host.connect(info)
    return info.peer_id


def parse():
    parser = argparse.ArgumentParser(prog="peer")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        command = commands.add_parser(name)
        if name != "listen":
            command.add_argument("addr")
        command.add_argument("--listen", action="append", default=[])
        command.add_argument("--security", choices=["noise", "tls"])
        command.add_argument("--muxer", choices=list(MUXERS))
        command.add_argument("--key-type", default="ed25519")
        command.add_argument("-c", type=int, default=1)
        command.add_argument("--upload", type=int, default=0)
        command.add_argument("--download", type=int, default=0)
    return parser.parse_args()


async def run(args):
    host = make_host(args)
    async with host.run(listen_addrs=[Multiaddr(addr) for addr in args.listen]):
        await COMMANDS[args.command](host, args)


COMMANDS = {"listen": listen, "ping": ping, "identify": identify, "perf": perf}


def reason(error):
    """The first plain exception inside trio's groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    try:
        trio.run(run, parse())
    except Exception as error:
        print(f"peer (py): {reason(error)}", file=sys.stderr)
        sys.exit(1)
