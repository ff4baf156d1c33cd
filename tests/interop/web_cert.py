"""A certificate of the web for one run of tests: an authority, and a server's for 127.0.0.1 and localhost.

Made by openssl's program, valid for a day; PEM and, for who wants it, DER beside it. Used by the interop
tests and by those in browsers.
"""

import pathlib
import subprocess
import sys


def openssl(*words):
    try:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, timeout=60)
    except subprocess.CalledProcessError as why:
        raise RuntimeError(f"openssl {' '.join(map(str, words))}: {why.stderr.decode()}") from None


def make(folder, name="server"):
    """Makes ca.pem (once a folder), NAME.pem and NAME.key.pem; gives their paths (certificate, key, authority)."""
    folder = pathlib.Path(folder)
    ca, ca_key = folder / "ca.pem", folder / "ca.key.pem"
    cert, key, request = folder / f"{name}.pem", folder / f"{name}.key.pem", folder / f"{name}.csr"
    if not ca.exists():
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                "-subj", "/CN=tern's tests", "-keyout", ca_key, "-out", ca)
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", key, "-out", request)
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n"
                          "extendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "1",
            "-extfile", extensions, "-out", cert)
    for path in (ca, cert):
        openssl("x509", "-in", path, "-outform", "DER", "-out", path.with_suffix(".der"))
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER", "-out", key.with_suffix(".der"))
    return cert, key, ca


if __name__ == "__main__":
    print(*make(*sys.argv[1:3]), sep="\n")
