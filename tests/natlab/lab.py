"""The laboratory: an internet of network namespaces, with hosts on it and behind NATs of each kind.

    internet (a bridge, every address on it looks public: 5.0.0.0/8, 2a00::/16)
      |-- public host
      |-- router --- lan --- private host          a NAT of one kind, nftables rules
      |     `------- lan --- router --- lan --- private host      two of them

`enter` starts the program again inside namespaces of its own, of network, mounts and processes, so
that nothing of the laboratory is seen outside and all of it is gone with the program, however that
ends: the kernel takes it down. It needs root, or a system that lets users make namespaces, and nft.
"""

import os
import shutil
import signal
import subprocess
import sys

INSIDE = "TERN_NATLAB_INSIDE"
PORT = 4001
os.environ["PATH"] += ":/usr/sbin:/sbin"  # where nft and ip may be

COUNTED = "numgen inc mod 64 map { " + ", ".join(f"{i} : {30000 + i}" for i in range(64)) + " }"

# What a router does to what its lan sends and to what comes from outside. {host} is the lan's first host.
KINDS = {
    # One mapping whatever the destination; only who was sent to, from that port, gets in: Linux as it is.
    "port-restricted": ("masquerade", ""),
    # Another mapping for each destination, at a port that nobody can guess.
    "symmetric": ("masquerade random,fully-random", ""),
    # The same, at the next port.
    "counting": tuple(f"meta l4proto {p} masquerade to : {COUNTED}" for p in ("tcp", "udp")) + ("",),
    # Everything that comes to the router's ports goes to the host.
    "full-cone": ("masquerade", "dnat to {host}"),
    # The same, for addresses that the host has sent to before.
    "address-restricted": ("masquerade", "ip saddr @asked dnat to {host}"),
}


def refusal():
    """Why there can be no laboratory here, or None."""
    if shutil.which("nft") is None or shutil.which("ip") is None:
        return "no nft or ip (packages nftables, iproute2)"
    if subprocess.run([*unshare(), "true"], capture_output=True).returncode != 0:
        return "needs root, or network namespaces for users"
    return None


def unshare():
    words = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return words if os.geteuid() == 0 else [*words, "--user", "--map-root-user"]


def enter(prepare):
    """Goes on inside. Returns why that cannot be, else comes back inside only, with None; `prepare` is
    called before, outside: what needs the real network."""
    if os.environ.get(INSIDE):
        return None
    why = refusal()
    if why is not None:
        return why
    prepare()
    words = [*unshare(), sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]]
    inside = subprocess.Popen(words, env={**os.environ, INSIDE: "1"})
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # in there nobody hears them
        signal.signal(number, lambda *_: inside.kill())
    sys.exit(inside.wait())


def run(words, space=None):
    words = [str(w) for w in words] if space is None else [*space.enter(), *map(str, words)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")


class Space:
    """A network namespace; it lives as long as the process that holds it."""

    def __init__(self):
        self._holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"],
                                        stdout=subprocess.PIPE)
        self._holder.stdout.readline()  # it is in there now
        run(["ip", "link", "set", "lo", "up"], self)

    def close(self):
        self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()

    def enter(self):
        return ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net", "--"]

    @property
    def pid(self):
        return self._holder.pid

    def sysctl(self, name, value):
        run(["sysctl", "-qw", f"{name}={value}"], self)

    def rules(self, text):
        done = subprocess.run([*self.enter(), "nft", "-f", "-"], input=text, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"nft: {done.stderr.strip()}\n{text}")


class Host(Space):
    """A machine: `ip` as it knows it, `outside` as others do; its nodes listen on `port`."""

    def __init__(self, name, ip, outside=None, port=PORT):
        super().__init__()
        self.name, self.ip, self.outside, self.port = name, ip, outside or ip, port


class Router(Space):
    def __init__(self, name, kind, wan):
        super().__init__()
        self.name, self.kind, self.wan = name, kind, wan
        self.lan, self.hosts = None, 0


class Lab:
    """One internet; a program may make several, side by side."""

    def __init__(self):
        self.spaces = []
        self._links = self._lans = 0
        self._wan = self._space(Space())
        run(["ip", "link", "add", "name", "wan0", "type", "bridge"], self._wan)
        run(["ip", "link", "set", "wan0", "up"], self._wan)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for space in self.spaces:
            space.close()

    def _space(self, space):
        self.spaces.append(space)
        return space

    def public(self, name, ip):
        """A host on the internet: 5.x.x.x or 2a00:...; both with a blank between."""
        host = self._space(Host(name, ip.split()[0]))
        self._plug(host, "eth0", self._wan, "wan0")
        self._address(host, ip)
        return host

    def router(self, name, kind, ip, behind=None, udp=True):
        """A NAT with that address outside, or behind another one (then `ip` is None)."""
        if behind is None:
            router = self._space(Router(name, kind, ip))
            self._plug(router, "wan", self._wan, "wan0")
            self._address(router, ip, "wan")
        else:
            router = self._space(Router(name, kind, behind.wan))
            self._plug_into(behind, router, "wan")
        router.sysctl("net.ipv4.ip_forward", 1)
        self._lans += 1
        router.lan = f"192.168.{self._lans}"
        run(["ip", "link", "add", "name", "lan", "type", "bridge"], router)
        run(["ip", "addr", "add", f"{router.lan}.1/24", "dev", "lan"], router)
        run(["ip", "link", "set", "lan", "up"], router)
        *out, back = KINDS[kind]
        back = back.format(host=f"{router.lan}.2")
        router.rules(f"""
            table ip nat {{
                set asked {{ type ipv4_addr; size 65535; flags dynamic; }}
                chain forward {{ type filter hook forward priority 0;
                    {'' if udp else 'meta l4proto udp drop'}
                    iifname lan add @asked {{ ip daddr }}
                }}
                chain before {{ type nat hook prerouting priority -100;
                    {f'iifname wan {back}' if back else ''}
                }}
                chain after {{ type nat hook postrouting priority 100;
                    {chr(10).join(f"oifname wan {rule}" for rule in out)}
                }}
            }}
            table inet guard {{
                chain input {{ type filter hook input priority 0;
                    iifname wan ct state new drop
                }}
                chain forward {{ type filter hook forward priority 0; policy drop;
                    ct state established,related accept
                    iifname lan accept
                    iifname wan ct status dnat accept
                }}
            }}""")
        return router

    def hairpin(self, router, *hosts):
        """Lets its hosts reach each other at the router's address outside, each at its own port."""
        to = "\n".join(f"iifname lan ip daddr {router.wan} meta l4proto {{ tcp, udp }} th dport {host.port} "
                       f"dnat to {host.ip}" for host in hosts)
        router.rules(f"""
            table ip hairpin {{
                chain before {{ type nat hook prerouting priority -110;
                    {to}
                }}
                chain after {{ type nat hook postrouting priority 90;
                    ip saddr {router.lan}.0/24 ip daddr {router.lan}.0/24 snat to {router.wan}
                }}
            }}""")

    def private(self, router, name, port=PORT):
        """A host behind it, whose nodes listen on that port."""
        host = self._space(Host(name, f"{router.lan}.{router.hosts + 2}", router.wan, port))
        self._plug_into(router, host, "eth0")
        return host

    def place(self, name, ip, kind):
        """A host in the place that the words say: "public", "firewall" (public, and lets in only answers),
        a kind of NAT, "two" of them, "without UDP", "IPv6". `ip` is where it is seen: 5.x.x.x."""
        if "firewall" in kind or "public" in kind:
            host = self.public(name, f"2a00:{ip.split('.')[1]}::1" if "IPv6" in kind else ip)
            if "firewall" in kind:
                self.firewall(host)
            return host
        nat = next(k for k in KINDS if k in kind)
        router = self.router(f"router of {name}", nat, ip, udp="without UDP" not in kind)
        if "two" in kind:
            router = self.router(f"inner router of {name}", nat, None, behind=router)
        return self.private(router, name)

    def firewall(self, host):
        """Lets nothing in that the host did not ask for."""
        host.rules("""
            table inet guard {
                chain input { type filter hook input priority 0; policy drop;
                    iifname lo accept
                    meta l4proto ipv6-icmp accept
                    ct state established,related accept
                }
            }""")

    # ---- cables ----

    def _plug(self, space, device, other, bridge):
        """A cable from the space into a bridge of another one."""
        self._links += 1
        end = f"v{self._links}"
        run(["ip", "link", "add", end, "type", "veth", "peer", "name", device, "netns", space.pid], other)
        run(["ip", "link", "set", end, "master", bridge, "up"], other)
        run(["ip", "link", "set", device, "up"], space)

    def _plug_into(self, router, space, device):
        self._plug(space, device, router, "lan")
        run(["ip", "addr", "add", f"{router.lan}.{router.hosts + 2}/24", "dev", device], space)
        run(["ip", "route", "add", "default", "via", f"{router.lan}.1"], space)
        router.hosts += 1

    def _address(self, space, ips, device="eth0"):
        for ip in ips.split():
            mask = "16" if ":" in ip else "8"
            words = ["ip", "addr", "add", f"{ip}/{mask}", "dev", device]
            run(words + (["nodad"] if ":" in ip else []), space)
