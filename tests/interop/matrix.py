"""What is tested with whom: data only. A new combination is a Row; a new stack is a Peer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """What a stack calls itself and what it has; anything else is skipped with a reason."""
    agent: str  # how its agent version starts
    transports: tuple = ("tcp", "ws", "wss")
    securities: tuple = ("noise", "tls")
    muxers: tuple = ("yamux", "mplex")
    keys: tuple = ("ed25519", "secp256k1", "ecdsa", "rsa")
    psk: str = ""  # why its private networks are none of ours
    quic_pings: int = 3  # how many it answers on one stream over QUIC
    unsigned: tuple = ()  # key types with which its identify has no peer record in the usual form


PEERS = {
    "go": Peer("go-libp2p", transports=("tcp", "ws", "wss", "quic-v1", "webtransport", "webrtc-direct"), muxers=("yamux",)),
    "rust": Peer("rust-libp2p/", transports=("tcp", "ws", "wss", "quic-v1"),
                 quic_pings=2,  # the third hangs more often than not, for go and for rust itself as well
                 unsigned=("ed25519", "secp256k1", "ecdsa", "rsa")),  # the domain of the RFC's text
    "js": Peer("js-libp2p/", transports=("tcp", "ws", "wss", "quic-v1", "webrtc-direct"), keys=("ed25519", "secp256k1", "rsa")),
    "py": Peer("py-libp2p/", transports=("tcp", "ws"), psk="py-libp2p's private networks are its own: Salsa20, 8 bytes of nonce",
               keys=("ed25519", "secp256k1", "rsa"), unsigned=("rsa",)),  # leaves out RSA's Type, 0
}


@dataclass(frozen=True)
class Row:
    """One combination, tested in both directions with every peer named. `any` restricts nothing."""
    transport: str
    security: str
    muxer: str
    peers: str = "go rust js py"
    key: str = "ed25519"  # of the identities on both sides
    actions: str = "ping identify"
    psk: bool = False  # in a private network
    credentials: str = ""  # the scheme with which WebRTC Direct is dialled
    perf: int = 64 << 20  # bytes each way

    @property
    def name(self):
        words = [self.transport, self.security, self.muxer]
        words += [] if self.key == "ed25519" else [self.key]
        return " ".join(words + (["psk"] if self.psk else []) + ([self.credentials] if self.credentials else []))

    def limits(self):
        """The options that restrict a side to the row."""
        pairs = (("--security", self.security), ("--muxer", self.muxer))
        return [word for pair in pairs if pair[1] != "any" for word in pair]

    def missing(self, peer):
        """What the stack lacks for this row, or None."""
        has = PEERS[peer]
        if self.psk and has.psk:
            return has.psk
        for value, known in ((self.transport, has.transports), (self.security, has.securities),
                             (self.muxer, has.muxers), (self.key, has.keys)):
            if value != "any" and value not in known:
                return f"{peer}-libp2p has no {value}"
        return None


LISTEN = {  # how each transport is listened on
    "tcp": "/ip4/127.0.0.1/tcp/0",
    "ws": "/ip4/127.0.0.1/tcp/0/ws",
    "wss": "/ip4/127.0.0.1/tcp/0/tls/ws",
    "quic-v1": "/ip4/127.0.0.1/udp/0/quic-v1",
    "webtransport": "/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
    "webrtc-direct": "/ip4/127.0.0.1/udp/0/webrtc-direct",
}

# The spine: what a node needs to be reachable at all.
BASE = [
    Row("tcp", "noise", "yamux"),
    Row("ws", "noise", "yamux", peers="go rust js"),
    Row("tcp", "any", "any", actions="ping"),
]

# The whole TCP road.
FULL = BASE + [
    Row("tcp", "tls", "yamux", actions="ping identify perf"),
    Row("ws", "tls", "yamux", peers="go rust js"),
    Row("tcp", "noise", "mplex"),
    Row("tcp", "tls", "mplex"),
    Row("ws", "noise", "mplex", peers="go rust js"),
    Row("tcp", "noise", "yamux", actions="perf"),
    Row("ws", "noise", "yamux", peers="go rust js", actions="perf"),
    Row("tcp", "noise", "yamux", psk=True),
    Row("tcp", "tls", "yamux", psk=True, peers="go rust js"),
    Row("ws", "noise", "yamux", psk=True, peers="go rust js"),
    Row("wss", "noise", "yamux", peers="go rust js", actions="ping identify perf"),
    Row("wss", "tls", "yamux", peers="go rust js"),
    *(Row("quic-v1", "any", "any", peers="go rust js", key=key, perf=256 << 20,
          actions="ping identify" + (" perf streams" if key == "ed25519" else ""))
      for key in ("ed25519", "secp256k1", "ecdsa", "rsa")),
    Row("quic-v1", "any", "any", peers="go", actions="resets"),
    Row("webtransport", "any", "any", peers="go", actions="ping identify perf"),
    Row("webrtc-direct", "any", "any", peers="go js", actions="ping identify perf"),  # security and muxer are its own
    Row("webrtc-direct", "any", "any", peers="go", actions="ping identify perf", credentials="v2"),
    *(Row("tcp", security, "yamux", key=key, actions="ping identify")
      for security in ("noise", "tls") for key in ("secp256k1", "ecdsa", "rsa")),
]

# Round trips, a TCP handshake included, until tern has its first ping answer (see `roundtrips`).
BASE_ROUND_TRIPS = [
    (Row("tcp", "noise", "yamux", peers="go rust js"), 3),
    (Row("ws", "noise", "yamux", peers="go rust js"), 4),
]
FULL_ROUND_TRIPS = BASE_ROUND_TRIPS + [
    (Row("tcp", "tls", "yamux", peers="go rust js"), 3),
    (Row("tcp", "noise", "yamux", peers="go rust js", psk=True), 3),
    (Row("wss", "noise", "yamux", peers="go rust js"), 5),
    (Row("quic-v1", "any", "any", peers="go rust js"), 2),
]

SETS = {"base": (BASE, BASE_ROUND_TRIPS), "full": (FULL, FULL_ROUND_TRIPS)}
