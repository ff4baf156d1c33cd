"""What a row wants beside transport, security and muxer: the key of a private network, a certificate."""

import os
import pathlib
import secrets

import web_cert


class Fences:
    """Makes them when first needed; the options are the same for tern and for the peers."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)

    def listen(self, row):
        return [*self._psk(row), *self._certificate(row)[0]]

    def dial(self, row):
        credentials = ["--webrtc-credentials", row.credentials] if row.credentials else []
        return [*self._psk(row), *self._certificate(row)[1], *credentials]

    def _psk(self, row):
        path = self._folder / "swarm.key"
        if not row.psk:
            return []
        if not path.exists():
            path.write_text(f"/key/swarm/psk/1.0.0/\n/base16/\n{secrets.token_hex(32)}\n")
        return ["--psk", path]

    def _certificate(self, row):
        if row.transport != "wss":
            return [], []
        cert, key, ca = (self._folder / name for name in ("server.pem", "server.key.pem", "ca.pem"))
        if not cert.exists():
            web_cert.make(self._folder)
        os.environ["NODE_EXTRA_CA_CERTS"] = str(ca)  # Node has no other way to be told
        return ["--tls-cert", cert, "--tls-key", key], ["--tls-ca", ca]
