#!/usr/bin/env python3
"""Builds the peer programs of the interop tests, each once per version of its sources.

    build.py [go|rust|js|py ...]     builds what is not there yet, prints one line per peer

A peer lives in $XDG_CACHE_HOME/tern/interop/LANG-HASH/ where HASH is that of its source files; the
program in it is called `peer` and is put there last, so a folder without it is an interrupted build
and is made again. One peer is built at a time, also when several test runs ask at once. A peer
whose toolchain is missing or too old is `Skipped` with the reason; a build that goes wrong is
`Failed` with the last lines of its log.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
LOG_TAIL = 25  # lines of a failed build's log that are shown
BUILD_LIMIT = 1800  # seconds


class Skipped(Exception):
    """The peer cannot be built on this machine."""


class Failed(Exception):
    """The peer should have been built and was not."""


def build_go(source, out, log):
    need("go", ["go", "version"], (1, 21))  # an older one fetches what go.mod asks for by itself
    command(["go", "build", "-trimpath", "-ldflags=-s -w", "-o", str(out / "program"), "."],
            source, log)
    return 'exec "$here/program" "$@"'


def build_rust(source, out, log):
    need("cargo", ["cargo", "--version"], (1, 88))
    copy(source, out)
    # The target folder is shared by all versions of the peer: libp2p itself is compiled once.
    target = cache() / "rust-target"
    command(["cargo", "build", "--release", "--quiet"], out, log, {"CARGO_TARGET_DIR": str(target)})
    shutil.copy2(target / "release" / "peer", out / "program")
    return 'exec "$here/program" "$@"'


def build_js(source, out, log):
    version = need("node", ["node", "--version"], (20, 10))
    need("npm", ["npm", "--version"], (8, 0))
    copy(source, out)
    command(["npm", "ci", "--silent"], out, log)
    options = "--experimental-websocket --no-warnings" if version < (22, 0) else ""
    return f'exec node {options} "$here/peer.js" "$@"'


def build_py(source, out, log):
    need("python3", [sys.executable, "--version"], (3, 10))
    copy(source, out)
    try:
        import ensurepip  # noqa: F401  (Debian ships it with python3-venv)
    except ImportError:
        raise Skipped("no python3-venv") from None
    command([sys.executable, "-m", "venv", str(out / "venv")], out, log)
    command(["venv/bin/pip", "install", "--quiet", "-r", "requirements.txt"], out, log)
    return 'exec "$here/venv/bin/python" "$here/peer.py" "$@"'


BUILDERS = {"go": build_go, "rust": build_rust, "js": build_js, "py": build_py}


def peer(lang):
    """The path of the peer program of that stack, built if need be. Raises Skipped or Failed."""
    source = HERE / lang
    out = cache() / f"{lang}-{fingerprint(source)}"
    program = out / "peer"
    with alone():
        if not program.exists():
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            with open(out / "build.log", "wb") as log:
                launch = BUILDERS[lang](source, out, log)
            finish(program, launch)
    return program


def finish(program, launch):
    """Puts the launcher there in one step: its presence says that the build is whole."""
    part = program.with_suffix(".part")
    part.write_text(f'#!/bin/sh\nhere=$(dirname "$0")\n{launch}\n')
    part.chmod(0o755)
    part.rename(program)


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(base) / "tern" / "interop"


def sources(folder):
    skipped = {"node_modules", "target", "Cargo.lock", "__pycache__"}
    return sorted(path for path in folder.rglob("*")
                  if path.is_file() and not skipped & set(path.relative_to(folder).parts))


def fingerprint(folder):
    digest = hashlib.sha256()
    for path in sources(folder):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def copy(source, out):
    for path in sources(source):
        target = out / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


@contextlib.contextmanager
def alone():
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def need(name, version_command, least):
    """The tool's version (major, minor). Skips unless it is there and not older than `least`."""
    try:
        text = subprocess.run(version_command, capture_output=True, text=True, timeout=60).stdout
    except FileNotFoundError:
        raise Skipped(f"no {name}") from None
    found = re.search(r"(\d+)\.(\d+)", text)
    version = tuple(map(int, found.groups())) if found else (0, 0)
    if version < least:
        raise Skipped(f"{name} is older than {'.'.join(map(str, least))}: {text.strip()}")
    return version


def command(argv, folder, log, more_env=None):
    print(f"building, once: {' '.join(argv[:2])} (log: {log.name})", file=sys.stderr)
    env = {**os.environ, **(more_env or {})}
    try:
        code = subprocess.run(
            ["nice", "-n", "10", *argv], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, timeout=BUILD_LIMIT).returncode
    except subprocess.TimeoutExpired:
        code = f"none within {BUILD_LIMIT} s"
    if code != 0:
        log.flush()
        lines = pathlib.Path(log.name).read_text(errors="replace").splitlines()[-LOG_TAIL:]
        raise Failed("\n".join([f"{' '.join(argv)}: exit status {code}", *lines]))


def main():
    failed = False
    for lang in sys.argv[1:] or BUILDERS:
        try:
            print(f"{lang}: {peer(lang)}")
        except Skipped as why:
            print(f"{lang}: skipped: {why}")
        except Failed as why:
            failed = True
            print(f"{lang}: FAILED: {why}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
