"""What relaying costs: part `relay` of tests/bench/run.

The same two terns at the ends, and between them a relay of each stack with its limits lifted. Throughput is that of one
circuit. For places and circuits `tern bench relay` plays so many peers, each with an identity of its own: they get places,
then each is connected with the next one. It does both handshakes of a circuit, so its one core bounds their rate: what a
relay could do by itself follows from its CPU.
"""

import os
import pathlib
import resource
import time

LISTEN = "/ip4/127.0.0.1/tcp/0"
PEERS, MANY = 1000, 10_000
HOLD = 3  # seconds for timers to run and memory to come back, before it is looked at
SHARE = 4  # a circuit gets a quarter of the bytes: every one is encrypted three times, by three processes
TICK = os.sysconf("SC_CLK_TCK")


class Relay:
    """A relay without limits, and the command that starts it."""

    def __init__(self, name, argv):
        self.name, self.argv = name, argv


def relays(stacks):
    found = []
    for stack in stacks:
        if stack.name == "tern":
            found.append(Relay("tern", [
                stack.program, "run", "--json", "--listen", LISTEN, "--page", "off", "--data", f"{stack.data}/relay",
                "--relay-service", "on", "--relay-data", "0", "--relay-duration", "0", "--relay-max-reservations", "1000000",
                "--relay-max-circuits", "1000000", "--relay-max-circuits-per-peer", "1000000", "--max-connections", "1000000",
                "--max-connections-per-ip", "0", "--max-memory", "16G"]))
        elif stack.name == "go":
            words = [stack.program, "listen", "--listen", LISTEN, "--security", "noise", "--relay-service", "on",
                     "--relay-limits", "off"]
            found += [Relay("go", words), Relay("go, buffers of 64 KiB", [*words, "--relay-buffer", "65536"])]
    return found


def start(b, relay):
    process = b.Process(relay.argv)
    addr = process.event("listening")["addrs"][0]
    process.drain()
    return process, addr


def spent(process):
    """CPU seconds of a process until now."""
    fields = pathlib.Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def circuit(b, relay, tern, total):
    """One circuit: bytes down and up, and what they took of the relay and of its ends."""
    total //= SHARE
    process, addr = start(b, relay)
    behind = b.Process([tern.program, "run", "--json", "--listen", LISTEN, "--page", "off", "--perf", "on",
                        "--data", f"{tern.data}/behind", "--relay", addr])
    try:
        while True:
            through = [a for a in behind.event("listening")["addrs"] if "/p2p-circuit" in a]
            if through:
                break
        behind.drain()
        client = b.Process([tern.program, "perf", through[0], "--json", "--upload", total, "--download", total])
        summary = client.event("summary")
        ends = b.cpu(client.end())
    finally:
        ends_behind = b.cpu(behind.end(ask=True))
        own = b.cpu(process.end(ask=True))
    if summary["limited"] or summary["up"]["bytes"] != total or summary["down"]["bytes"] != total:
        raise b.Failed(f"{relay.name}: wrong counts: {summary}")
    moved = 2 * total / b.GIB
    return {"down": total / b.MIB / summary["down"]["seconds"], "up": total / b.MIB / summary["up"]["seconds"],
            "cpu": own / moved, "ends": (ends + ends_behind) / moved}


def crowd(b, relay, tern, count):
    """So many peers with places, then as many circuits."""
    process, addr = start(b, relay)
    warm = b.Process([tern.program, "bench", "relay", addr, "--json", "-c", 20, "--hold", 1])
    warm.event("circuits")
    warm.end()
    time.sleep(1)
    memory, work = [process.resident()], [spent(process)]
    client = b.Process([tern.program, "bench", "relay", addr, "--json", "-c", count, "--parallel", 16, "--hold", HOLD])
    told = {}
    for phase in ("places", "circuits"):
        told[phase] = client.event(phase)
        work.append(spent(process))
        time.sleep(HOLD - 1)
        memory.append(process.resident())
    client.end()
    process.end(ask=True)
    lacking = [phase for phase in told if told[phase]["count"] != count]
    if lacking:
        raise b.Failed(f"{relay.name}: not all {lacking}: {told}")
    return {"place_kib": (memory[1] - memory[0]) / count, "circuit_kib": (memory[2] - memory[1]) / count,
            "all_mib": memory[2] / 1024, "places": told["places"]["per_second"], "circuits": told["circuits"]["per_second"],
            "place_ms": (work[1] - work[0]) * 1000 / count, "circuit_ms": (work[2] - work[1]) * 1000 / count}


def report(b, out, args, stacks):
    tern, all_ = stacks[0], relays(stacks)
    m = b.rounds(args.rounds, {(r.name,): (lambda r=r: circuit(b, r, tern, args.bytes)) for r in all_})
    out.add("## Relaying", "", "A relay of each stack with its limits lifted, between the same two terns; everything over "
            f"tcp + noise. One circuit, {args.bytes // SHARE // b.MIB} MiB each way, in MiB/s; CPU seconds per GiB of the relay, "
            "and of the two ends together, which share the machine with it.")
    out.table(["relay", "down", "up", "CPU s/GiB of the relay", "of the ends"],
              [[name, f"{v['down']:.0f}", f"{v['up']:.0f}", f"{v['cpu']:.2f}", f"{v['ends']:.2f}"] for (name,), v in m.items()])
    mine = m[("tern",)]
    out.add(*(f"- tern's relay against that of {name}: {mine['down'] / v['down']:.2f} x down, {mine['up'] / v['up']:.2f} x up, "
              f"{mine['cpu'] / v['cpu']:.2f} x its CPU." for (name,), v in m.items() if name != "tern"), "")
    crowds = [r for r in all_ if "," not in r.name]
    m = b.rounds(args.rounds, {(r.name, PEERS): (lambda r=r: crowd(b, r, tern, PEERS)) for r in crowds})
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] > MANY + 100:
        m.update(b.rounds(1, {("tern", MANY): lambda: crowd(b, all_[0], tern, MANY)}))
    out.add("So many peers with a place each, then as many circuits, each from a peer to the next; `tern bench relay` is all of "
            "them. A peer with a place includes its connection. CPU and memory are the relay's.")
    out.table(["relay", "peers", "KiB per peer with a place", "KiB per circuit", "MiB in all", "places per second",
               "CPU ms each", "circuits per second", "CPU ms each"],
              [[name, str(count), f"{v['place_kib']:.1f}", f"{v['circuit_kib']:.1f}", f"{v['all_mib']:.1f}", f"{v['places']:.0f}",
                f"{v['place_ms']:.2f}", f"{v['circuits']:.0f}", f"{v['circuit_ms']:.2f}"] for (name, count), v in m.items()])
