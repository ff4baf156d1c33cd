"""Commands that do their work and end: ping, identify, key, addr, features."""

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess

from cli import LOOPBACK, Skip, want
from tap import expect

FACTS = {"peer", "addr", "direction", "transport", "security", "muxer", "limited", "resumed", "unproven"}
BOTH = [LOOPBACK, LOOPBACK + "/ws"]
TRANSPORTS = ["tcp", "ws"]
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def road(node, transport):
    """The address of that transport."""
    return next(a for a in node.addrs if ("/ws/" in a) == (transport == "ws"))


def fields(event, names):
    want(set(event) >= set(names), f"these fields are missing: {set(names) - set(event)}", event)


def check_facts(event, node, transport, direction="out"):
    fields(event, FACTS)
    expect(event, peer=node.peer, direction=direction, transport=transport, security="noise", muxer="yamux",
           limited=False, addr=road(node, transport).partition("/p2p/")[0])


async def stop(node):
    node.tell(cmd="stop")
    await node.ended()


# ---- the address book ----

async def address_book(cli):
    """A peer is found by its id alone after a run that met it; a file that is no book is said."""
    folder = cli.folder / "keeper"
    async with cli.node() as node:
        by_id = f"/p2p/{node.peer}"
        want((await cli.call("ping", "--data", folder, "-c", "1", by_id)).status == 1, "found without an address")
        await cli.does("ping", "--data", folder, "-c", "1", node.addrs[0])
        book = folder / "book.sqlite"
        want(stat.S_IMODE(book.stat().st_mode) == 0o600, "the book's mode is not 0600")
        await cli.does("ping", "--data", folder, "-c", "1", by_id)
        want((await cli.call("ping", "-c", "1", by_id)).status == 1, "found without a data folder")
        for rest in folder.glob("book.sqlite-*"):
            rest.unlink()
        book.write_bytes(b"no book" * 1000)
        result = await cli.call("ping", "--data", folder, "-c", "1", node.addrs[0])
        want(result.status == 0 and len(result.err) == 1, "a bad book is more than a line", result)
        want("book.sqlite" in result.err[0] and "move it away" in result.err[0], "which file, what to try", result)
        want(book.read_bytes() == b"no book" * 1000, "a file that is no book was changed")
        await stop(node)


async def address_book_of_a_node(cli):
    """`tern run` finds a peer by its id after its own restart, also when it was killed."""
    async with cli.node(name="other") as other:
        async with cli.node(name="killed") as node:
            node.tell(cmd="dial", addr=other.addrs[0])
            await node.happens("identified", peer=other.peer)
            await cli.does("ping", "--data", cli.folder / "beside", "-c", "1", node.addrs[0])
            node.tell(cmd="stop")
            await node.ended()
        async with cli.node(name="killed") as node:
            node.tell(cmd="dial", addr=f"/p2p/{other.peer}")
            await node.happens("connected", peer=other.peer)
            node.signal(signal.SIGKILL)
            await node.ended(status=-signal.SIGKILL)
        async with cli.node(name="killed") as node:
            node.tell(cmd="dial", addr=f"/p2p/{other.peer}")
            await node.happens("connected", peer=other.peer)
            await stop(node)
        await stop(other)


# ---- ping and identify ----

async def ping_text(cli, transport):
    async with cli.node(listen=BOTH) as node:
        result = await cli.does("ping", road(node, transport), "-c", "2", "-i", "0")
        result.has(f"^connected to {node.peer} over {transport}, noise, yamux$")
        result.has(r"^pong 1: [\d.]+ ms$").has(r"^pong 2: [\d.]+ ms$")
        result.has(r"^2 sent, 2 received; min [\d.]+ avg [\d.]+ max [\d.]+ ms; connected in [\d.]+ ms$")
        want(len(result.out.splitlines()) == 4, "there are other lines", result)
        await stop(node)


async def ping_json(cli, transport):
    async with cli.node(listen=BOTH) as node:
        events = (await cli.does("ping", "--json", "-c", "3", "-i", "0", road(node, transport))).events()
        want([e["event"] for e in events] == ["pong"] * 3 + ["summary"], "the events are others", events)
        for seq, pong in enumerate(events[:3], 1):
            expect(pong, seq=seq)
            want(isinstance(pong["rtt_us"], int) and pong["rtt_us"] > 0, "no round trip", pong)
        summary, trips = events[3], [e["rtt_us"] for e in events[:3]]
        expect(summary, sent=3, received=3, min_us=min(trips), max_us=max(trips))
        want(min(trips) <= summary["avg_us"] <= max(trips) and summary["connect_us"] > 0, "no statistics", summary)
        check_facts(summary, node, transport)
        await stop(node)


async def ping_without_peer_id(cli):
    async with cli.node(listen=BOTH) as node:
        for addr in node.addrs:
            result = await cli.does("ping", "--json", "-c", "1", addr.partition("/p2p/")[0])
            expect(result.events()[-1], peer=node.peer, received=1)
        await stop(node)


async def options_of_dials(cli):
    """--security, --muxer, --log=VALUE, options after --, a large --timeout."""
    async with cli.node() as node:
        await cli.does("ping", "--security", "noise", "--muxer=yamux", "--log=error", "-c", "1", "--timeout", "1e9",
                       "--", node.addrs[0])
        await stop(node)


async def come_back(cli):
    """Over QUIC: first as anybody, then with the ticket of the time before, then in the first packet."""
    async with cli.node(listen=["/ip4/127.0.0.1/udp/0/quic-v1"]) as node:
        for more, words in (([], ""), ([], ", resumed"), (["--early-data"], r": asked in advance \(0-RTT\)")):
            result = await cli.does("ping", "--data", cli.folder / "d", *more, "-c", "1", node.addrs[0])
            result.has(f"^connected to {node.peer} over quic-v1, tls, native{words}$").has(r"^pong 1: [\d.]+ ms$")
        result = await cli.does("ping", "--json", "--data", cli.folder / "d", "-c", "1", node.addrs[0])
        expect(result.events()[-1], resumed=True, unproven=False)
        await stop(node)


async def who_dials(cli):
    """--key is who we are, --data remembers who we were, else we are somebody new."""
    key, made = await cli.key("key")
    async with cli.node() as node:
        for options in (["--key", key], ["--data", cli.folder / "d"], ["--data", cli.folder / "d"], [], []):
            await cli.does("ping", "-c", "1", node.addrs[0], *options)
        await stop(node)
        peers = [e["peer"] for e in node.events if e["event"] == "connected"]
    want(len(peers) == 5 and peers[0] == made["peer"] and peers[1] == peers[2] and len(set(peers)) == 4,
         "the node saw other peers", peers)
    want(stat.S_IMODE((cli.folder / "d").stat().st_mode) == 0o700, "the data folder's mode is not 0700")


async def ping_interrupted(cli):
    """Ctrl-C ends a ping with its summary, and the connection in good order."""
    async with cli.node() as node:
        async with cli.running("ping", "--json", "-c", "1000000", "-i", "1000", node.addrs[0]) as ping:
            await ping.happens("pong", seq=1)
            ping.signal(signal.SIGINT)
            await ping.ended()
            expect(await ping.happens("summary"), sent=1, received=1)
        await node.happens("disconnected")
        await stop(node)


async def identify_text(cli):
    async with cli.node(listen=BOTH) as node:
        result = await cli.does("identify", node.addrs[0])
        for line in (f"peer +{node.peer}", "agent +tern/", "protocol version +", "connection +tcp, noise, yamux",
                     "observed address +/ip4/127.0.0.1/tcp/", "signed record +yes", "addresses +/ip4/127.0.0.1/tcp/",
                     "protocols +/", " +/ipfs/ping/1.0.0$"):
            result.has(f"^{line}")
        await stop(node)


async def identify_json(cli, transport):
    async with cli.node(listen=BOTH) as node:
        events = (await cli.does("identify", "--json", road(node, transport))).events()
        want(len(events) == 1, "not one event", events)
        want(events[0]["event"] == "identify", "another event", events)
        expect(events[0], signed_record=True)
        fields(events[0], ["agent", "protocol_version", "protocols", "listen_addrs", "observed_addr"])
        check_facts(events[0], node, transport)
        want(events[0]["agent"].startswith("tern/"), "not tern's agent", events)
        want({"/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"} <= set(events[0]["protocols"]), "protocols", events)
        bare = {a.partition("/p2p/")[0] for a in node.addrs}
        want({a.partition("/p2p/")[0] for a in events[0]["listen_addrs"]} == bare, "listen_addrs", events)
        want(events[0]["observed_addr"].startswith("/ip4/127.0.0.1/tcp/"), "observed_addr", events)
        await stop(node)


# ---- keys ----

def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


async def key_new(cli, kind):
    path = cli.folder / "key"
    for mask in (0o000, 0o077):
        path.unlink(missing_ok=True)
        made = await cli.does("key", "new", "--type", kind, "--out", path, preexec_fn=lambda m=mask: os.umask(m))
        want(mode(path) == 0o600, f"the key file's mode is {mode(path):o}", made)
    made.has(f"^type +{kind}$").has("^peer +(12D3Koo|16Uiu2H|Qm)").has("^base36 +k").has("^base32 +b")
    shown = await cli.does("key", "show", "--key", path)
    want(made.out == shown.out, "what is shown is not what was made", f"{made}\n{shown}")
    event = (await cli.does("key", "show", "--json", "--key", path)).events()[0]
    expect(event, type=kind, file=str(path))
    want(all(event[form] in shown.out for form in ("peer", "base36", "base32")), "JSON says otherwise", event)


async def key_used(cli, kind):
    """A node with that key is that peer, and proves it."""
    path, made = await cli.key("key", "--type", kind)
    async with cli.node("--key", path) as node:
        want(node.peer == made["peer"], "the node is another peer", node.peer)
        await cli.does("ping", "-c", "1", node.addrs[0])
        await stop(node)


async def private_network(cli):
    """Nodes with the key meet; who has none, or another, hears nothing."""
    key, other = cli.folder / "swarm.key", cli.folder / "other.key"
    made = (await cli.does("key", "psk", "--json", "--out", key)).events()[0]
    want(mode(key) == 0o600, f"the key file's mode is {mode(key):o}")
    shown = (await cli.does("key", "psk", "--json", "--psk", key)).events()[0]
    want(shown == made and len(made["fingerprint"]) == 32, "another fingerprint", [made, shown])
    await cli.does("key", "psk", "--out", other)
    await cli.says(1, "key", "psk", "--out", key, about="exists")
    async with cli.node("--psk", key, listen=(LOOPBACK, LOOPBACK + "/ws")) as node:
        for addr_ in node.addrs:
            await cli.does("ping", "-c", "1", "--psk", key, addr_)
            for words in ([], ["--psk", other]):
                await cli.says(1, "ping", "-c", "1", "--timeout", "1", *words, addr_)
        await stop(node)
    for name, text, about in (("empty", "", "line 1"), ("short", "/key/swarm/psk/1.0.0/\n/base16/\n00\n", "line 3"),
                              ("new", "/key/swarm/psk/9.0.0/\n", "line 1")):
        await cli.says(1, "ping", "--psk", cli.write(name, text), "/ip4/127.0.0.1/tcp/1", about=about)
    await cli.says(1, "ping", "--psk", cli.folder / "none", "/ip4/127.0.0.1/tcp/1", about="none.*No such file")


async def key_of_node(cli):
    """Without a file, `key` is about the identity that `run` uses."""
    data = cli.folder / "data"
    made = (await cli.does("key", "new", "--json", "--data", data)).events()[0]
    want(mode(data) == 0o700 and mode(data / "identity.key") == 0o600, "the modes are not 0700 and 0600")
    async with cli.node(name="data") as node:
        want(node.peer == made["peer"], "the node is another peer", node.peer)
        await stop(node)
    shown = (await cli.does("key", "show", "--json", "--data", data)).events()[0]
    want(shown == made, "what is shown is not what was made", shown)
    await cli.says(1, "key", "new", "--data", data, about="identity.key.*exists")
    env = {**os.environ, "XDG_DATA_HOME": str(cli.folder / "xdg")}
    made = (await cli.does("key", "new", "--json", env=env)).events()[0]
    want(made["file"] == str(cli.folder / "xdg/tern/identity.key"), "the file is another", made)


PEM = {
    "ed25519": [["genpkey", "-algorithm", "ed25519"]],
    "secp256k1": [["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
                  ["ecparam", "-name", "secp256k1", "-genkey"]],
    "ecdsa": [["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
              ["ecparam", "-name", "prime256v1", "-genkey"], ["ecparam", "-name", "prime256v1", "-genkey", "-noout"]],
    "rsa": [["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["genrsa", "-traditional", "3072"]],
}


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def varint(n):
    return bytes([n]) if n < 0x80 else bytes([n & 0x7f | 0x80]) + varint(n >> 7)


def peer_of(pem, kind):
    """The peer id by the specification, from what openssl says of the key."""
    der = subprocess.run(["openssl", "pkey", "-pubout", "-outform", "DER"], input=pem, capture_output=True,
                         check=True).stdout
    if kind == "secp256k1":
        point = der[-64:]
        der = bytes([2 + point[63] % 2]) + point[:32]
    data = der[-32:] if kind == "ed25519" else der
    number = {"rsa": 0, "ed25519": 1, "secp256k1": 2, "ecdsa": 3}[kind]
    message = b"\x08" + bytes([number]) + b"\x12" + varint(len(data)) + data
    return base58(b"\x00" + bytes([len(message)]) + message if len(message) <= 42
                  else b"\x12\x20" + hashlib.sha256(message).digest())


async def key_pem(cli, kind):
    if not shutil.which("openssl"):
        raise Skip("no openssl")
    for number, command in enumerate(PEM[kind]):
        pem = subprocess.run(["openssl", *command], capture_output=True, check=True).stdout
        path = cli.write(f"{number}.pem", pem)
        event = (await cli.does("key", "show", "--json", "--key", path)).events()[0]
        expect(event, type=kind, peer=peer_of(pem, kind))


async def key_open_to_all(cli):
    """A key file that others can read is used, with a warning."""
    path, made = await cli.key("key")
    path.chmod(0o644)
    async with cli.node("--key", path) as node:
        want(node.peer == made["peer"], "the node is another peer", node.peer)
        await node.error(f"warning.*{path}.*chmod 600")
        node.tell(cmd="stop")
        await node.ended(errors=["warning"])


# ---- addr and features ----

PEER = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
ADDRS = [  # text, bytes, transport, parts
    ("/ip4/192.0.2.1/tcp/4001", "04c0000201060fa1", "tcp", "ip4=192.0.2.1 tcp=4001"),
    ("/ip6/2001:db8::1/tcp/443/ws", "2920010db80000000000000000000000010601bbdd03", "ws",
     "ip6=2001:db8::1 tcp=443 ws="),
    ("/dns4/example.org/tcp/80", None, "tcp", "dns4=example.org tcp=80"),
    ("/dns/example.org/tcp/80/ws", None, "ws", "dns=example.org tcp=80 ws="),
    (f"/ip4/192.0.2.1/tcp/4001/p2p/{PEER}", None, "tcp", f"ip4=192.0.2.1 tcp=4001 p2p={PEER}"),
    ("/ip4/192.0.2.1/udp/7", "04c000020191020007", None, "ip4=192.0.2.1 udp=7"),
    ("/unix/tmp/tern.sock", None, None, "unix=/tmp/tern.sock"),
    ("/memory/1234", None, None, "memory=1234"),
]


async def addr(cli, text, octets, transport, parts):
    event = (await cli.does("addr", "--json", text)).events()[0]
    expect(event, text=text, transport=transport)
    want(octets is None or event["bytes"] == octets, f"the bytes are not {octets}", event)
    want(" ".join(f"{p['name']}={p['value']}" for p in event["parts"]) == parts, f"the parts are not {parts}", event)
    result = (await cli.does("addr", text)).has(f"^text +{text}$").has(f"^bytes +{event['bytes']}$")
    result.has(f"^dialled by +{transport or 'no transport here'}$")
    for part in event["parts"]:
        result.has(f"^.{{10}} {part['name']} +{part['value']}$")


async def addr_written_anew(cli):
    """Other ways to write an address come out as the canonical one."""
    event = (await cli.does("addr", "--json", "/ip6/2001:DB8:0:0::1/tcp/4001")).events()[0]
    expect(event, text="/ip6/2001:db8::1/tcp/4001")
    event = (await cli.does("addr", "--json", f"/ip4/192.0.2.1/tcp/1/ipfs/{PEER}")).events()[0]
    expect(event, text=f"/ip4/192.0.2.1/tcp/1/p2p/{PEER}")


# ---- check ----

async def check_open(cli):
    """Nothing is in the way to a node on the same machine; one that nobody is at is told."""
    nobody = "/ip4/127.0.0.1/udp/9/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
    own = ["--listen", LOOPBACK, "--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--timeout", "2"]
    async with cli.node(listen=[LOOPBACK, "/ip4/127.0.0.1/udp/0/quic-v1"]) as node:
        events = (await cli.does("check", *node.addrs, nobody, *own, "--json")).events()
        dials = {e["addr"]: e for e in events if e["event"] == "dial"}
        for addr in node.addrs:
            expect(dials[addr], reached=True, transport="quic-v1" if "/udp/" in addr else "tcp")
        expect(dials[nobody], reached=False)
        fields(dials[nobody], {"error"})
        seen = [e for e in events if e["event"] == "observed"]
        want(seen and all(e["observed_ip"] == "127.0.0.1" and e["observed_port"] == e["port"] for e in seen),
             "how a peer sees us", seen)
        expect(events[-1], nat_tcp="none", nat_udp="none", udp="open", port_mapping="unknown", reachable="unknown")
        roads = {(e["transport"], e["family"]): e for e in events if e["event"] == "road"}
        for transport in ("tcp", "udp"):
            expect(roads[transport, "ip4"], nat="none", reachable="unknown", filtering="unknown", reason="not-asked")
            expect(roads[transport, "ip6"], nat="unknown", reachable="unknown", reason="no-address")
        text = await cli.does("check", *node.addrs, *own)
        text.has("tcp: no NAT")
        text.has("over IPv4: too few peers in different networks dialled back")
        await stop(node)


async def check_blocked(cli):
    """Peers answer over TCP, none over UDP."""
    own = ["--listen", LOOPBACK, "--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--timeout", "2"]
    async with cli.node() as node:
        udp = f"/ip4/127.0.0.1/udp/9/quic-v1/p2p/{node.peer}"
        events = (await cli.does("check", node.addrs[0], udp, *own, "--json")).events()
        expect(events[-1], udp="blocked")
        expect(next(e for e in events if e["event"] == "road" and e["transport"] == "udp"), reason="udp-blocked")
        await stop(node)
    result = await cli.call("check", f"/ip4/127.0.0.1/tcp/9/p2p/{node.peer}", *own)
    want(result.status == 1, "nothing was reached, and that is a success", result)
    result = await cli.call("check")
    want(result.status == 2, "without addresses", result)


async def features(cli):
    events = (await cli.does("features", "--json")).events()
    known = {}
    for event in events:
        fields(event, ["kind", "name", "id", "dial", "listen"])
        want(event["event"] == "feature" and isinstance(event["dial"], bool), "not a feature", event)
        known.setdefault(event["kind"], set()).add(event["name"])
    for kind, names in {"transport": {"tcp", "ws"}, "security": {"noise"}, "muxer": {"yamux"},
                        "protocol": {"ping", "identify"}, "key": {"ed25519", "secp256k1", "ecdsa", "rsa"}}.items():
        want(names <= known.get(kind, set()), f"there is no {kind} {names}", known)
    text = (await cli.does("features")).has("^transport +tcp +dial +listen ")
    want(len(text.out.splitlines()) == len(events), "text and JSON differ", text)


# ---- the output ----

async def closed_pipe(cli):
    """Who reads us may go: no signal kills us, and we say it."""
    for args in (["features"], ["features", "--json"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as pipe:
            await cli.says(1, *args, about="standard output: Broken pipe", stdout=pipe)


async def no_standard_files(cli):
    """With 0, 1 and 2 closed nothing of ours takes their places."""
    def close_all():
        for fd in (0, 1, 2):
            os.close(fd)

    async with cli.node() as node:
        result = await cli.call("ping", "-c", "1", node.addrs[0], preexec_fn=close_all)
        want(result.status == 0, "it does not ping", result)
        await stop(node)


async def peer_text_is_harmless(cli):
    """A peer's words neither drive a terminal nor break JSON: here the words are ours, in an address."""
    addr_ = "/unix/" + "a\x1b[31m\x07\u009b".encode().decode() + "b"
    text = await cli.call("addr", addr_)
    want("\x1b" not in text.out + "".join(text.err) and "\x07" not in text.out, "control characters", text)
    event = await cli.call("addr", "--json", addr_)
    want(event.status != 0 or json.loads(event.out), "no JSON", event)


def tests():
    found = [(f"{what.__name__.replace('_', ' ')} over {t}", lambda cli, what=what, t=t: what(cli, t))
             for what in (ping_text, ping_json, identify_json) for t in TRANSPORTS]
    found += [
        ("identify text", identify_text), ("ping without a peer id", ping_without_peer_id),
        ("options of commands that dial", options_of_dials), ("who comes back", come_back), ("who dials", who_dials),
        ("ping: Ctrl-C", ping_interrupted), ("the address book", address_book),
        ("the address book of a node", address_book_of_a_node),
    ]
    for kind in ("ed25519", "secp256k1", "ecdsa", "rsa"):
        found += [(f"key: {kind}: {name}", lambda cli, what=what, kind=kind: what(cli, kind)) for name, what in
                  (("new and show", key_new), ("is the peer of a node", key_used), ("PEM", key_pem))]
    found += [("key: the node's own", key_of_node), ("key: a file open to all", key_open_to_all),
              ("key: a private network", private_network)]
    found += [(f"addr: {row[0]}", lambda cli, row=row: addr(cli, *row)) for row in ADDRS]
    found += [
        ("addr: written anew", addr_written_anew), ("check: nothing is in the way", check_open),
        ("check: UDP is blocked", check_blocked), ("features", features), ("output: a closed pipe", closed_pipe),
        ("output: no standard files", no_standard_files), ("output: harmless", peer_text_is_harmless),
    ]
    return found
