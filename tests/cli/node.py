"""`tern run`: its events, its commands, its options, its end."""

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
import urllib.request

from cli import LIMIT, LOOPBACK, Node, Skip, free_port, taken, want
from commands import FACTS, fields, road, stop
from tap import expect

HOLD = ["-c", "1000000", "-i", "1000"]  # a ping that stays connected


def port_of(addr):
    return int(addr.split("/")[4])


# ---- events ----

async def events(cli, transport):
    """What both sides tell of a connection, in which order, with which fields."""
    listen = [LOOPBACK, LOOPBACK + "/ws"]
    async with cli.node(name="a", listen=listen) as a, cli.node(name="b", listen=listen) as b:
        expect(a.events[0], page=None)
        want(len(a.addrs) == 2 and all(x.endswith(f"/p2p/{a.peer}") for x in a.addrs), "addrs", a.addrs)
        a.tell(cmd="dial", addr=road(b, transport))
        for node, other, direction in ((a, b, "out"), (b, a, "in")):
            connected = await node.happens("connected", peer=other.peer)
            fields(connected, FACTS)
            expect(connected, direction=direction, transport=transport, security="noise", muxer="yamux",
                   limited=False)
            identified = await node.happens("identified", peer=other.peer)
            fields(identified, ["peer", "agent", "protocols", "addrs", "observed"])
            want(identified["agent"].startswith("tern/"), "agent", identified)
            want("/ipfs/ping/1.0.0" in identified["protocols"], "protocols", identified)
            want({x.partition("/p2p/")[0] for x in identified["addrs"]}
                 == {x.partition("/p2p/")[0] for x in other.addrs}, "addrs", identified)
            want(identified["observed"].startswith("/ip4/127.0.0.1/tcp/"), "observed", identified)
        expect(await a.happens("connected"), addr=road(b, transport).partition("/p2p/")[0])
        a.tell(cmd="close", peer=b.peer)
        for node, other, direction in ((a, b, "out"), (b, a, "in")):
            gone = await node.happens("disconnected", peer=other.peer)
            fields(gone, [*FACTS, "reason"])
            expect(gone, direction=direction, transport=transport)
            want(gone["reason"], "no reason", gone)
            kinds = [e["event"] for e in node.events]
            want(kinds == ["listening", "connected", "identified", "disconnected"], "the order is another", kinds)
        await stop(a)
        await stop(b)


async def text(cli):
    """Without --json: lines for people."""
    async with cli.running("run", "--page", "off", "--data", cli.folder / "text", "--listen", LOOPBACK) as node:
        peer = (await node.line(r"^peer (\w+)$"))[1]
        addr = (await node.line(r"^listening on (.*)$"))[1]
        want(addr.endswith(f"/p2p/{peer}"), "the address names another peer", addr)
        await cli.does("ping", "-c", "1", addr)
        await node.line(r"^connected from 12D3Koo\w+ /ip4/127.0.0.1/tcp/\d+ \(tcp, noise, yamux\)$")
        await node.line(r"^disconnected from 12D3Koo\w+ .*: .")
        node.signal(signal.SIGTERM)
        await node.ended()
        want(not node.events, "JSON among the text", node.events)


# ---- commands ----

BAD = [
    ("", None), ("   \t\r", None),
    ("not json", "stdin"), ("[1]", "stdin"), ("7", "stdin"), ("null", "stdin"), ('"stop"', "stdin"),
    ('{"cmd":"stop"', "stdin"), ('{"cmd":"stop"}x', "stdin"), ('{"cmd":"fly"}', "stdin"), ("{}", "stdin"),
    ('{"cmd":7}', "stdin"), ('{"cmd":"stop","cmd":"stop"}', "stdin"), ('{"Cmd":"stop"}', "stdin"),
    ("[" * 5000, "stdin"), ('{"cmd":"\\ud800"}', "stdin"), ('{"x":"' + "y" * 70000 + '"}', "stdin"),
    ('{"cmd":"dial"}', "dial"), ('{"cmd":"dial","addr":7}', "dial"), ('{"cmd":"dial","addr":""}', "dial"),
    ('{"cmd":"dial","addr":"/ip4/300.0.0.1/tcp/1"}', "dial"), ('{"cmd":"dial","addr":"/ip4/\u00e9\\u001b/tcp/1"}', "dial"),
    ('{"cmd":"dial","addr":"' + "/dns/" + "\u00e9" * 300 + '/tcp/x"}', "dial"),
    ('{"cmd":"dial","addr":"/ip4/127.0.0.1/udp/1/webrtc"}', "dial"),
    ('{"cmd":"close"}', "close"), ('{"cmd":"close","peer":"nobody"}', "close"), ('{"cmd":"close","peer":[]}', "close"),
]


async def malformed_commands(cli):
    """Each is answered by one `error` event, and the node stays up."""
    async with cli.node() as node:
        expected = 0
        for line, where in BAD:
            node.say(line)
            expected += where is not None
        node.write(b'{"cmd":"\xff\xfe"}\n\x00\n{"cmd":"stats"\x00}\n')
        node.tell(cmd="stats")
        stats = await node.happens("stats")
        want(node.events[-1] is stats or node.count("stats") == 1, "more than one answer", node.events)
        node.tell(cmd="close", peer=node.peer)  # the last: dials are told of when they end
        await node.event("error", LIMIT, lambda e: node.count("error") >= expected + 4)
        errors = [e for e in node.events if e["event"] == "error"]
        for error in errors:
            fields(error, ["where", "message"])
            want(error["message"], "an error without words", error)
        wheres = sorted(e["where"] for e in errors)
        want(wheres == sorted([w for _, w in BAD if w] + ["stdin"] * 3 + ["close"]), "other errors", errors)
        await cli.does("ping", "-c", "1", node.addrs[0])
        await stop(node)


# Rows of docs/limits.md, by how they begin, and the gauge of /metrics that says the same.
LIMITS = {
    "connections": "connections_limit", "... above which idle ones are trimmed": "connections_high_water",
    "... of one peer": "connections_per_peer_limit",
    "... incoming, of one IPv4 address or IPv6 /56": "connections_per_ip_limit",
    "incoming, not secured yet": "pending_limit", "... of one address": "pending_per_ip_limit",
    "incoming streams of a connection": "streams_per_connection_limit",
    "... of these, agreeing on a protocol at once": "streams_unnegotiated_limit",
    "bytes that wait on a connection": "write_queue_limit_bytes",
    "receive window of a stream": "window_limit_bytes",
}
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


async def limits_are_told(cli):
    """docs/limits.md, /metrics and the command line agree."""
    table = (cli.root / "docs" / "limits.md").read_text()
    async with cli.node() as node:
        told = metrics(node)
        for row, gauge in LIMITS.items():
            line = next((x for x in table.splitlines() if x.startswith(f"| {row} |")), None)
            want(line is not None, f"docs/limits.md has no row '{row}'", table)
            number, unit = re.search(r"(\d+)(?: (KiB|MiB|GiB))?$", line.split("|")[2].strip()).groups()
            most = told["tern_memory_limit_bytes"] // 4 if gauge == "window_limit_bytes" else 1 << 62
            want(told[f"tern_{gauge}"] == min(int(number) * UNITS.get(unit, 1), most),
                 f"'{row}' is {told[f'tern_{gauge}']}", line)
        want(64 << 20 <= told["tern_memory_limit_bytes"] <= 1 << 30, "another budget of memory", told)
        counters = re.findall(r"`(tern_\w+_total)`", table)
        want(len(counters) > 20 and set(counters) <= set(told), "counters that are not there", set(counters) - set(told))
        options = re.findall(r"`(--[a-z-]+)`", table)
        page = (cli.root / "man" / "tern.1").read_text()
        lacking = [o for o in options if f".It Fl {o[1:]}" not in page]
        want(len(options) > 15 and not lacking, "options that are not there", lacking)
        await stop(node)
    given = {"--max-connections": 100, "--high-water": 50, "--low-water": 40, "--max-connections-per-peer": 3,
             "--max-connections-per-ip": 4, "--max-pending": 5, "--max-pending-per-ip": 6, "--max-streams": 7,
             "--max-write-queue": "2M", "--max-window": "1M", "--max-memory": "100M", "--max-sockets": 77,
             "--max-unnegotiated": 8, "--handshake-timeout": 9, "--negotiation-timeout": 11, "--identify-timeout": 12,
             "--stall-timeout": 0.5}
    async with cli.node(*[word for pair in given.items() for word in pair], "--grace", "5") as node:
        told = metrics(node)
        for gauge, value in {"connections_limit": 100, "connections_high_water": 50, "connections_low_water": 40,
                             "connections_per_peer_limit": 3, "connections_per_ip_limit": 4, "pending_limit": 5,
                             "pending_per_ip_limit": 6, "streams_per_connection_limit": 7, "sockets_limit": 77,
                             "write_queue_limit_bytes": 2 << 20, "window_limit_bytes": 1 << 20,
                             "memory_limit_bytes": 100 << 20, "streams_unnegotiated_limit": 8,
                             "handshake_limit_ms": 9000, "negotiation_limit_ms": 11000, "identify_limit_ms": 12000,
                             "stall_limit_ms": 500}.items():
            want(told[f"tern_{gauge}"] == value, f"{gauge} is {told[f'tern_{gauge}']}, not {value}")
        await stop(node)


def metrics(node):
    url = f"http://127.0.0.1:{port_of(node.addrs[0])}/metrics"
    with urllib.request.urlopen(url, timeout=LIMIT) as answer:
        lines = answer.read().decode().splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}


async def relayed(cli):
    """--relay-service, --relay: a place, a circuit, what both ends and the relay tell, what is refused."""
    async with cli.node("--relay-service", "on", name="relay") as relay:
        at = relay.addrs[0]
        async with cli.node("--relay", at, name="behind") as behind:
            told = await behind.happens("reservation", relay=relay.peer)
            want(told["addrs"] == [at + "/p2p-circuit"] and told["expires"] > 1700000000, "reservation", told)
            await behind.happens("listening", addrs=[*behind.addrs, f"{at}/p2p-circuit/p2p/{behind.peer}"])
            through = f"{at}/p2p-circuit/p2p/{behind.peer}"
            await cli.call("ping", "-c", "2", "-i", "0", through)
            came = await behind.happens("connected", transport="circuit")
            expect(came, direction="in", limited=True, security="noise", muxer="yamux")
            gauges = metrics(relay)
            want(gauges["tern_relay_places"] == 1 and gauges["tern_relay_circuits_total"] == 1, "gauges", gauges)
            await stop(behind)
        await cli.says(1, "ping", "-c", "1", through)
        await stop(relay)
    async with cli.node("--relay-service", "on", "--relay-data", "20K", "--perf", "on", name="tight") as relay, \
            cli.node("--relay", relay.addrs[0], name="behind") as behind:
        through = f"{relay.addrs[0]}/p2p-circuit/p2p/{behind.peer}"
        await behind.happens("listening", addrs=[*behind.addrs, through])
        flood = await cli.call("ping", "-c", "1000", "-i", "0", through)
        want(flood.status == 1 and "the relay's limit of 20 KiB was reached" in flood.err[0], "no limit by name", flood)
        gone = await behind.happens("disconnected", transport="circuit")
        want("the relay's limit of 20 KiB was reached" in gone["reason"], "no limit by name", gone)
        await stop(behind)
        await stop(relay)
    async with cli.node("--relay-service", "on", "--relay-max-reservations", "1", name="full") as relay, \
            cli.node("--relay", relay.addrs[0], name="first") as first:
        await first.happens("reservation", relay=relay.peer)
        async with cli.node("--relay", relay.addrs[0], name="late") as late:
            told = await late.happens("reservation", relay=relay.peer)
            want("RESERVATION_REFUSED" in told["error"], "error", told)
            await stop(late)
        await stop(first)
        await stop(relay)
    async with cli.node("--relay-service", "on", name="one") as one, cli.node("--relay-service", "on", name="two") as two, \
            cli.node("--relay", "off", "--force-reachability", "private", "--bootstrap", one.addrs[0], name="off") as off, \
            cli.node("--relay-wanted", "1", "--force-reachability", "private", "--bootstrap", one.addrs[0], "--bootstrap",
                     two.addrs[0], name="private") as private:
        told = await private.happens("reservation", found=True)
        want(told["duration"] == 120 and told["data"] == 131072 and told["relay"] in (one.peer, two.peer), "place", told)
        want(metrics(private)["tern_relays_held"] == 1, "gauge", metrics(private))
        want(metrics(off)["tern_relays_held"] == 0, "gauge without", metrics(off))
        await stop(off)
        first, other = (one, two) if told["relay"] == one.peer else (two, one)
        await stop(first)
        told = await private.happens("reservation", relay=other.peer)
        lost = await private.happens("reservation", relay=first.peer, error="the connection to the relay is gone")
        want(lost["addrs"] == [first.addrs[0] + "/p2p-circuit"], "lost", lost)
        await stop(private)
        await stop(other)
    for option in ("--relay-max-reservations-per-network", "--relay-rate", "--relay-known"):
        await cli.says(2, "run", option, "-1")
    async with cli.node(name="plain") as plain, cli.node("--relay", plain.addrs[0], name="b") as b:
        told = await b.happens("reservation", relay=plain.peer)
        want("cannot be asked" in told["error"], "error", told)
        await stop(b)
        await stop(plain)


async def who_may_connect(cli):
    """--deny, --allow, and the commands that change them while the node runs."""
    async with cli.node(name="a") as a, cli.node("--deny", "127.0.0.0/8", name="b") as b:
        await cli.says(1, "ping", "-c", "1", b.addrs[0])
        b.tell(cmd="ungate", who="127.0.0.0/8")
        b.tell(cmd="allow", who=a.peer)
        b.tell(cmd="stats")
        await b.happens("stats")
        await cli.call("ping", "-c", "1", b.addrs[0])  # secured, then refused: it may hear that late
        a.tell(cmd="dial", addr=b.addrs[0])
        await b.happens("connected", peer=a.peer)
        b.tell(cmd="deny", who=a.peer)
        gone = await a.happens("disconnected", peer=b.peer)
        want(gone["reason"], "no reason", gone)
        told = metrics(b)
        want(told["tern_conns_gated_total"] >= 1 and told["tern_accept_gated_total"] >= 1, "not counted", told)
        for command in ({"cmd": "deny"}, {"cmd": "allow", "who": "nobody"}, {"cmd": "ungate", "who": "10.0.0.1"}):
            b.tell(**command)
            await b.happens("error", where=command["cmd"])
        await stop(a)
        await stop(b)


async def dial_fails(cli):
    async with cli.node() as node:
        addr = f"/ip4/127.0.0.1/tcp/{free_port()}"
        node.tell(cmd="dial", addr=addr)
        error = await node.happens("error", where="dial")
        want(addr in error["message"] and "refused" in error["message"], "the message says neither", error)
        node.tell(cmd="dial", addr=node.addrs[0])
        await node.event("error", LIMIT, lambda e: "own" in e["message"])
        await stop(node)


async def stats(cli):
    async with cli.node() as node, cli.running("ping", node.addrs[0], *HOLD) as ping:
        await ping.line("^pong 1")
        node.tell(cmd="stats")
        event = await node.happens("stats")
        expect(event, connections=1)
        want(all(isinstance(event[k], int) and event[k] > 0 for k in ("streams", "bytes_in", "bytes_out", "memory")),
             "there are no numbers", event)
        ping.signal(signal.SIGTERM)
        await ping.ended()
        await node.happens("disconnected")
        node.tell(cmd="stats")
        await node.event("stats", LIMIT, lambda e: e["connections"] == 0)
        await stop(node)


async def stdin_ends(cli):
    """The end of the commands is not the end of the node; a last line needs no newline."""
    async with cli.node() as node:
        node.write(b'{"cmd":"stats"}')
        node.close_stdin()
        await node.happens("stats")
        await cli.does("ping", "-c", "1", node.addrs[0])
        node.signal(signal.SIGTERM)
        await node.ended()


async def stdin_is_a_file(cli):
    commands = cli.write("commands", '{"cmd":"stats"}\n{"cmd":"stop"}\n{"cmd":"stats"}\n')
    with commands.open("rb") as file:
        events_ = (await cli.does("run", "--json", "--page", "off", "--listen", LOOPBACK, stdin=file)).events()
    want([e["event"] for e in events_] == ["listening", "stats"], "other events", events_)


# ---- the end ----

async def ends(cli, how):
    """By `how` it ends with 0, and the other side sees the connection closed in good order."""
    async with cli.node(name="a") as a, cli.node(name="b") as b:
        a.tell(cmd="dial", addr=b.addrs[0])
        await a.happens("identified")
        await b.happens("identified")
        how(a)
        await a.ended()
        mine, theirs = a.events[-1], await b.happens("disconnected", peer=a.peer)
        expect(mine, peer=b.peer)
        fields(mine, ["reason"])
        for bad in ("reset", "broken", "timeout", "time"):
            want(bad not in theirs["reason"].lower(), "not in good order", theirs)
        await stop(b)


async def ends_twice(cli):
    """A second Ctrl-C changes nothing."""
    async with cli.node() as node, cli.running("ping", node.addrs[0], *HOLD) as ping:
        await ping.line("^pong 1")
        node.signal(signal.SIGINT)
        node.signal(signal.SIGINT)
        node.signal(signal.SIGTERM)
        await node.ended()
        await ping.ended(status=1, errors=["."])


async def ends_while_dialling(cli):
    with taken() as port:
        async with cli.node("--bootstrap", f"/ip4/127.0.0.1/tcp/{port}") as node:
            node.tell(cmd="dial", addr=f"/ip4/127.0.0.1/tcp/{port}/ws")
            node.signal(signal.SIGINT)
            await node.ended()
            want(node.count("error") == 0, "a stop is no error", node.events)


async def duration(cli):
    for options in (["--duration", "0.05"], ["--duration=1e-9"]):
        events_ = (await cli.does("run", "--json", "--page", "off", "--listen", LOOPBACK, *options)).events()
        want([e["event"] for e in events_] == ["listening"], "other events", events_)


async def closed_pipe(cli):
    """Nobody reads the events any more: the node ends in good order, with 1 and a line."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as pipe:
        port = free_port()
        argv = [cli.tern, "run", "--json", "--page", "off", "--data", cli.folder / "data", "--listen",
                f"/ip4/127.0.0.1/tcp/{port}"]
        process = await asyncio.create_subprocess_exec(*map(str, argv), stdin=asyncio.subprocess.DEVNULL, stdout=pipe,
                                                       stderr=asyncio.subprocess.PIPE)
    try:
        line = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 65536), LIMIT)
        addr = json.loads(line)["addrs"][0]
        os.close(reader)
        await cli.call("ping", "-c", "1", addr)
        _, errors = await asyncio.wait_for(process.communicate(), LIMIT)
    finally:
        if process.returncode is None:
            process.kill()
    want(process.returncode == 1, f"exit status {process.returncode}", errors.decode())
    want(errors == b"tern: standard output: Broken pipe\n", "other words", errors.decode())


# ---- listening ----

async def shared_port(cli, listen):
    async with cli.node(listen=listen) as node:
        want(len({port_of(a) for a in node.addrs}) == 1 and port_of(node.addrs[0]) != 0, "more ports than one",
             node.addrs)
        want(len(node.addrs) == len(listen), "not every address", node.addrs)
        for addr in node.addrs:
            await cli.does("ping", "-c", "1", addr)
        await stop(node)


async def own_ports(cli):
    """Another IP has another free port; a port that is given stays."""
    port = free_port()
    async with cli.node(listen=[LOOPBACK, f"/ip4/127.0.0.1/tcp/{port}", "/ip4/127.0.0.2/tcp/0"]) as node:
        want(len({port_of(a) for a in node.addrs}) == 3 and port in map(port_of, node.addrs), "other ports", node.addrs)
        await stop(node)


def default(cli):
    return cli.running("run", "--json", "--page", "off", "--port-mapping", "off", "--data", cli.folder / "data")


async def default_ports(cli):
    """Without --listen: TCP and WebSocket on one port, 4001 where it is free, on IPv4 and IPv6."""
    try:
        with taken(4001, "0.0.0.0"):
            async with default(cli) as node:
                await node.listening()
                ports = {port_of(a) for a in node.addrs}
                want(len(ports) == 1 and 4001 not in ports, "not one port other than 4001", node.addrs)
                await cli.does("ping", "-c", "1", next(a for a in node.addrs if "/127.0.0.1/" in a))
                await stop(node)
    except OSError as why:
        raise Skip(f"port 4001 cannot be had: {why}") from None
    async with default(cli) as node:
        await node.listening()
        want({port_of(a) for a in node.addrs} == {4001}, "not port 4001", node.addrs)
        starts = {"/".join(a.split("/")[1:3]) for a in node.addrs}
        want("ip4/127.0.0.1" in starts and (not socket.has_ipv6 or not has_ip6() or "ip6/::1" in starts), "addresses",
             node.addrs)
        for ip in ("ip4/127.0.0.1", "ip6/::1") if "ip6/::1" in starts else ("ip4/127.0.0.1",):
            for road_ in ("", "/ws"):
                await cli.does("ping", "-c", "1", f"/{ip}/tcp/4001{road_}")
        await stop(node)


def has_ip6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


async def announce(cli):
    """What is announced replaces what is listened on, for us and for others."""
    announced = ["/ip4/198.51.100.7/tcp/4001", "/dns4/node.example/tcp/443/ws"]
    options = [word for a in announced for word in ("--announce", a)]
    async with cli.node(*options) as node:
        want(node.addrs == [f"{a}/p2p/{node.peer}" for a in announced], "other addresses", node.addrs)
        await stop(node)
    port = free_port()
    async with cli.node(*options, listen=[f"/ip4/127.0.0.1/tcp/{port}"]) as node:
        result = await cli.does("identify", "--json", f"/ip4/127.0.0.1/tcp/{port}")
        told = [a.partition("/p2p/")[0] for a in result.events()[0]["listen_addrs"]]
        want(sorted(told) == sorted(announced), "others are told something else", told)
        await stop(node)


async def announce_with_peer_id(cli):
    async with cli.node("--announce", "/ip4/198.51.100.7/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA") \
            as node:
        want(node.addrs == [f"/ip4/198.51.100.7/tcp/1/p2p/{node.peer}"], "other addresses", node.addrs)
        await stop(node)


async def addresses_change(cli):
    """`listening` comes again when an interface gets an address. In a network of its own."""
    unshare = ["unshare", "--map-root-user", "--user", "--net"]
    try:
        subprocess.run([*unshare, "ip", "link", "set", "lo", "up"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as why:
        raise Skip(f"no network namespaces here: {why}") from None
    argv = [*unshare, "sh", "-c", 'ip link set lo up; exec 3<&0; "$@" </dev/null & node=$!; read -r line <&3; '
            'ip addr add 198.51.100.9/32 dev lo; read -r line <&3; kill -TERM $node; wait $node', "sh",
            cli.tern, "run", "--json", "--page", "off", "--data", str(cli.folder / "data"), "--listen",
            "/ip4/0.0.0.0/tcp/0"]
    async with Node("tern run", argv) as node:
        await node.listening()
        want(not any("198.51.100.9" in a for a in node.addrs), "already there", node.addrs)
        node.say("add the address")
        await node.event("listening", LIMIT, lambda e: any("/ip4/198.51.100.9/" in a for a in e["addrs"]))
        node.say("stop")
        await node.ended()


async def bootstrap(cli):
    """Connects at the start; who is not there is an event, and no reason to stop."""
    missing = f"/ip4/127.0.0.1/tcp/{free_port()}"
    async with cli.node(name="a") as a:
        async with cli.node("--bootstrap", missing, "--bootstrap", a.addrs[0], name="b") as b:
            await b.happens("connected", peer=a.peer, direction="out")
            error = await b.happens("error", where="bootstrap")
            want(missing in error["message"], "the message does not say which", error)
            await stop(b)
        await stop(a)


async def page(cli):
    folder = cli.folder / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<title>a page of ours</title>")
    (folder / "page.js").write_text("")
    (folder / "page.css").write_text("")
    async with cli.running("run", "--json", "--page-dir", folder, "--data", cli.folder / "data", "--listen",
                           LOOPBACK, "--listen", LOOPBACK + "/ws") as node:
        up = await node.listening()
        want(up["page"].startswith("http://127.0.0.1:"), "no URL", up)
        body = await asyncio.to_thread(lambda: urllib.request.urlopen(up["page"], timeout=LIMIT).read())
        want(b"a page of ours" in body, "another page", body)
        await stop(node)


# ---- identity ----

async def identity(cli):
    """The data folder keeps the identity, for its owner alone."""
    data = cli.folder / "deep" / "data"
    peers = []
    for _ in range(2):
        async with cli.node(name="deep/data") as node:
            peers.append(node.peer)
            await stop(node)
    want(peers[0] == peers[1], "another peer after a restart", peers)
    for path, right in ((data.parent, 0o700), (data, 0o700), (data / "identity.key", 0o600)):
        mode = stat.S_IMODE(path.stat().st_mode)
        want(mode == right, f"{path} has mode {mode:o}")
    async with cli.running("run", "--json", "--page", "off", "--listen", LOOPBACK) as node:  # under XDG_DATA_HOME
        await node.listening()
        await stop(node)
    shown = (await cli.does("key", "show", "--json", "--key", f"{os.environ['XDG_DATA_HOME']}/tern/identity.key"))
    expect(shown.events()[0], peer=node.peer)


async def key_wins(cli):
    """--key is who we are, and leaves the data folder's identity alone."""
    key, made = await cli.key("key")
    async with cli.node("--key", key) as node:
        want(node.peer == made["peer"], "another peer", node.peer)
        await stop(node)
    want(not (cli.folder / "node" / "identity.key").exists(), "an identity was made")


# ---- limits ----

async def held(cli, addr):
    """A connection that stays; who closes it, ends it."""
    ping = cli.running("ping", addr, *HOLD)
    program = await ping.__aenter__()
    await program.line("^pong 1")
    return ping, program


async def limited(cli, addr, most):
    """`most` connections are served and no more; when one ends there is room again."""
    holders = [await held(cli, addr) for _ in range(most)]
    try:
        result = await cli.call("ping", "-c", "1", "--timeout", "5", addr)
        want(result.status == 1 and result.out.count("pong") == 0 and len(result.err) == 1, "it was not refused", result)
        holders[0][1].signal(signal.SIGINT)
        await holders[0][1].ended()
    finally:
        for ping, _ in holders:
            await ping.__aexit__(None, None, None)


async def limit(cli, options, most):
    async with cli.node(*options) as node:
        await limited(cli, node.addrs[0], most)
        for _ in range(most):
            await node.event("disconnected", LIMIT, lambda e: node.count("disconnected") >= most)
        await cli.does("ping", "-c", "1", node.addrs[0])
        await stop(node)


async def limit_lifted(cli):
    async with cli.node("--max-connections-per-ip", "0") as node:
        holders = [await held(cli, node.addrs[0]) for _ in range(9)]
        node.tell(cmd="stats")
        expect(await node.happens("stats"), connections=9)
        for ping, _ in holders:
            await ping.__aexit__(None, None, None)
        await stop(node)


# ---- config ----

def run_with(cli, text, *options):
    config = cli.write("config", text)
    return cli.running("run", "--json", "--data", cli.folder / "data", "--config", config, *options)


async def config(cli):
    """The same names, one a line; comments and blanks; the command line wins and replaces lists."""
    key, made = await cli.key("key")
    lines = f"""# a comment
   # another

listen /ip4/127.0.0.1/tcp/0
listen\t=\t/ip4/127.0.0.1/tcp/0/ws\r
page=off
  max-connections = 1  \n\
key  {key}
metrics-public
log error"""
    async with run_with(cli, lines) as node:
        await node.listening()
        want(len(node.addrs) == 2 and node.peer == made["peer"], "the config was not followed", node.events)
        await limited(cli, node.addrs[0], 1)
        await stop(node)
    other, made = await cli.key("other")
    async with run_with(cli, lines, "--key", other, "--listen", "/ip4/127.0.0.2/tcp/0", "--max-connections", "2") as node:
        await node.listening()
        want(len(node.addrs) == 1 and "/127.0.0.2/" in node.addrs[0] and node.peer == made["peer"],
             "the command line does not win", node.events)
        await limited(cli, node.addrs[0], 2)
        await stop(node)
    async with run_with(cli, lines + "\nduration 0.05") as node:
        await node.listening()
        await node.ended()
    async with run_with(cli, "", "--duration", "0.05", "--page", "off", "--listen", LOOPBACK) as node:
        await node.ended()


BAD_CONFIG = [
    ("page off\n\nwings 2\n", ":3: .*'wings'"), ("listen\n", ":1: .*listen wants a value"),
    ("page=\n", ":1: .*page wants a value"), ("# x\nmax-connections many\n", ":2: .*'many'"),
    ("duration soon", ":1: .*'soon'"), ("page maybe", ":1: .*'maybe'"), ("metrics-public off", ":1: .*takes no value"),
    ("config other", ":1: .*'config'"), ("help", ":1: .*'help'"), ("--page off", ":1: .*'--page'"),
    ("c 3", ":1: .*'c'"), ("=", ":1: "), ("max-connections 0", ":1: .*'0'"), ("log loud", "'loud'"),
    ("listen /ip4/127.0.0.1/tcp/0\n" * 65, ":65: .*64 times"), ("page off\nlisten nowhere", "nowhere"),
    ("announce /ip4", "/ip4"), ("x" * 3000, ":1: "), ("\x1b[2J\xff", ":1: "),
]


async def bad_config(cli):
    for text_, about in BAD_CONFIG:
        await cli.says(2, "run", "--data", cli.folder / "data", "--config", cli.write("config", text_), about=about)


# ---- logs ----

async def logs(cli):
    """Logs go to stderr, as much of them as was asked for; stdout has the events alone."""
    for options, some, none in ((["--log", "debug"], "Z debug ", "Z trace "), (["-vv"], "Z debug ", "Z trace "),
                                (["-v", "-v"], "Z debug ", "Z trace "),
                                (["--log", "error,swarm=debug"], "Z debug swarm: ", r"Z \w+ (?!swarm: )"),
                                (["--log", "error"], None, "."), (["--log=warn", "-vvv"], None, "."), ([], None, ".")):
        async with cli.node(*options) as node:
            await cli.does("ping", "-c", "1", node.addrs[0])
            await node.happens("disconnected")
            node.tell(cmd="stop")
            await node.ended(errors=None)
            log = "\n".join(node.errors)
            want(re.search(some, log) if some else not log, f"not `{some}` with {options}", log)
            want(not re.search(none, log), f"`{none}` with {options}", log)


def tests():
    found = [(f"run: events over {t}", lambda cli, t=t: events(cli, t)) for t in ("tcp", "ws")]
    found += [("run: text", text), ("run: malformed commands", malformed_commands), ("run: a dial fails", dial_fails),
              ("run: stats", stats), ("run: the end of stdin", stdin_ends), ("run: commands from a file", stdin_is_a_file)]
    found += [(f"run: ends by {name}", lambda cli, how=how: ends(cli, how)) for name, how in {
        "SIGINT": lambda node: node.signal(signal.SIGINT), "SIGTERM": lambda node: node.signal(signal.SIGTERM),
        "stop": lambda node: node.tell(cmd="stop")}.items()]
    found += [("run: ends once", ends_twice), ("run: ends while dialling", ends_while_dialling),
              ("run: --duration", duration), ("run: a closed pipe", closed_pipe)]
    found += [(f"run: one port for {name}", lambda cli, listen=listen: shared_port(cli, listen)) for name, listen in {
        "tcp and ws": [LOOPBACK, LOOPBACK + "/ws"], "ws and tcp": [LOOPBACK + "/ws", LOOPBACK],
        "an IPv6 address in two ways": ["/ip6/::1/tcp/0", "/ip6/::1/tcp/0/ws"],
        "an IPv6 address in a long way": ["/ip6/0:0:0:0:0:0:0:1/tcp/0", "/ip6/0:0:0:0:0:0:0:1/tcp/0/ws"]}.items()
        if "ip6" not in listen[0] or has_ip6()]
    found += [("run: a port for each IP", own_ports), ("run: the default ports", default_ports),
              ("run: --announce", announce), ("run: --announce with a peer id", announce_with_peer_id),
              ("run: addresses change", addresses_change), ("run: --bootstrap", bootstrap), ("run: the page", page),
              ("run: the identity", identity), ("run: --key", key_wins)]
    found += [(f"run: {' '.join(options)}", lambda cli, options=options, most=most: limit(cli, options, most))
              for options, most in ((["--max-connections-per-ip", "2"], 2), (["--max-connections", "1"], 1), ([], 8))]
    found += [("run: --max-connections-per-ip 0", limit_lifted), ("run: --config", config),
              ("run: --config with mistakes", bad_config), ("run: logs", logs), ("run: the limits are as told", limits_are_told),
              ("run: --relay and --relay-service", relayed),
              ("run: --deny and --allow", who_may_connect)]
    return found
