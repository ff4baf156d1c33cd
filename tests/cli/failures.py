"""What was asked for cannot be done: exit status 1, and one line that says what, where and what to try."""

import os
import pathlib
import shutil
import subprocess

from cli import LOOPBACK, Skip, answering, free_port, taken, want

RUN = ["run", "--page", "off", "--listen", LOOPBACK]


async def refused(cli):
    port = free_port()
    for road in ("", "/ws"):
        about = f"127.0.0.1/tcp/{port}{road}: .*refused.*does a node listen there"
        await cli.says(1, "ping", f"/ip4/127.0.0.1/tcp/{port}{road}", about=about)
        await cli.says(1, "identify", "--json", f"/ip4/127.0.0.1/tcp/{port}{road}", about=about)


async def unknown_name(cli):
    for addr in ("/dns/tern.invalid/tcp/1", "/dns4/tern.invalid/tcp/1/ws", "/dns6/tern.invalid/tcp/1",
                 "/dnsaddr/tern.invalid"):
        await cli.says(1, "ping", "--timeout", "5", addr, about="tern.invalid")


async def silent(cli):
    with taken() as port:
        for road in ("", "/ws"):
            for command in (["ping"], ["identify", "--json"]):
                await cli.says(1, *command, f"/ip4/127.0.0.1/tcp/{port}{road}", "--timeout", "0.3",
                               about="in time.*--timeout")


async def other_language(cli):
    for words in (b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-x\r\n", b"\xff" * 4096,
                  b"\x00" * 64):
        async with answering(words) as port:
            for road in ("", "/ws"):
                await cli.says(1, "ping", f"/ip4/127.0.0.1/tcp/{port}{road}", "--timeout", "5", about=f"tcp/{port}")


async def another_peer(cli):
    _, other = await cli.key("other")
    async with cli.node(listen=[LOOPBACK, LOOPBACK + "/ws"]) as node:
        for addr in node.addrs:
            wrong = addr.rpartition("/")[0] + "/" + other["peer"]
            for command in (["ping", "-c", "1"], ["identify", "--json"]):
                await cli.says(1, *command, wrong, about=r"peer.*is the peer id in the address right|; ")
        node.tell(cmd="stop")
        await node.ended()


async def oneself(cli):
    key, made = await cli.key("own")
    async with cli.node("--key", key) as node:
        await cli.says(1, "ping", "--key", key, node.addrs[0], about="own")
        await cli.says(1, "ping", "--key", key, node.addrs[0].partition("/p2p/")[0], about=made["peer"] + "|own")
        node.tell(cmd="stop")
        await node.ended()


async def gone(cli):
    """The node stops while it is pinged."""
    async with cli.node() as node, cli.running("ping", "-c", "1000000", "-i", "1000", node.addrs[0]) as ping:
        await ping.line("^pong 1:")
        node.tell(cmd="stop")
        await node.ended()
        await ping.ended(status=1, errors=["^tern: "])


async def no_transport(cli):
    for addr in ("/ip4/127.0.0.1/udp/1/webrtc", "/ip4/127.0.0.1", "/ip4/127.0.0.1/udp/1", "/memory/7"):
        about = f"{addr}.*tern features"
        await cli.says(1, "ping", addr, about=about)
        await cli.says(1, "identify", "--json", addr, about=about)
        await cli.says(1, *RUN, "--listen", addr, about=about)
    await cli.says(1, *RUN, "--listen", "/dns4/localhost/tcp/0", about="/dns4/localhost/tcp/0")


async def unknown_protocol(cli):
    addr = "/ip4/127.0.0.1/carrier-pigeon/1"
    for args in (["ping", addr], ["identify", "--json", addr], ["addr", addr], ["addr", "--json", addr],
                 [*RUN, "--listen", addr], [*RUN, "--announce", addr], [*RUN, "--bootstrap", addr]):
        await cli.says(1, *args, about="at character 16.*carrier-pigeon")


# ---- files ----

def keys(cli):
    """Files that hold no key, by what is wrong with them."""
    private = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout
    public = subprocess.run(["openssl", "pkey", "-pubout"], input=private, capture_output=True, check=True).stdout
    locked = subprocess.run(["openssl", "pkey", "-aes128", "-passout", "pass:x"], input=private,
                            capture_output=True, check=True).stdout
    folder = cli.folder / "folder"
    folder.mkdir()
    return {
        "missing": cli.folder / "missing",
        "empty": cli.write("empty", b""),
        "garbage": cli.write("garbage", os.urandom(64)),
        "text": cli.write("text", "this is no key\n"),
        "zeros": cli.write("zeros", bytes(64)),
        "large": cli.write("large", bytes(100000)),
        "half a PEM": cli.write("half.pem", private[:60]),
        "a public key": cli.write("public.pem", public),
        "an encrypted key": cli.write("locked.pem", locked),
        "another curve": cli.write("ed448.pem", subprocess.run(
            ["openssl", "genpkey", "-algorithm", "ed448"], capture_output=True, check=True).stdout),
        "a small RSA key": cli.write("rsa1024.pem", subprocess.run(
            ["openssl", "genrsa", "1024"], capture_output=True, check=True).stdout),
        "a folder": folder,
    }


async def bad_keys(cli):
    if not shutil.which("openssl"):
        raise Skip("no openssl")
    for path in keys(cli).values():
        path.exists() and path.chmod(0o700)
        for args in (["key", "show", "--key"], ["key", "show", "--json", "--key"], [*RUN, "--key"],
                     ["ping", "/ip4/127.0.0.1/tcp/1", "--key"], ["identify", "/ip4/127.0.0.1/tcp/1", "--key"]):
            await cli.says(1, *args, path, about=str(path))


async def cut_keys(cli):
    """A key file that ends early, at each of its bytes."""
    key, _ = await cli.key("whole")
    whole = key.read_bytes()
    for n in range(len(whole)):
        await cli.says(1, "key", "show", "--key", cli.write("cut", whole[:n]), about="cut")


async def unreadable_key(cli):
    """As somebody who is not root."""
    key, _ = await cli.key("key")
    key.chmod(0)
    as_nobody = {}
    if os.geteuid() == 0:
        for folder in (cli.folder, cli.folder.parent):
            folder.chmod(0o755)
        as_nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        reaches = await try_as(as_nobody, cli.tern)
        if not reaches:
            raise Skip("the program is where only root can run it")
    await cli.says(1, "key", "show", "--key", key, about=f"{key}.*ermission denied", **as_nobody)
    await cli.says(1, "key", "new", "--out", "/proc/1/key", about="/proc/1/key", **as_nobody)


async def try_as(user, tern):
    try:
        return subprocess.run([tern, "--version"], capture_output=True, check=False, **user).returncode == 0
    except OSError:
        return False


async def key_is_kept(cli):
    """A key file is never written over, nor is anything else."""
    key, _ = await cli.key("key")
    link = cli.folder / "link"
    link.symlink_to(cli.folder / "nowhere")
    before = key.read_bytes()
    for path in (key, cli.write("other", "precious"), cli.folder, link):
        await cli.says(1, "key", "new", "--out", path, about=f"{path}.*exists")
    want(key.read_bytes() == before and not (cli.folder / "nowhere").exists(), "something was written")
    await cli.says(1, "key", "new", "--out", cli.folder / "no" / "folder", about="no/folder.*No such file")


async def no_space_for_key(cli):
    """What could be written only in part leaves nothing behind."""
    def small_files():
        import resource
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))

    path = cli.folder / "key"
    await cli.says(1, "key", "new", "--out", path, about=str(path), preexec_fn=small_files)
    want(not path.exists(), "half a key was left")


async def bad_data(cli):
    file = cli.write("file", "x")
    await cli.says(1, *RUN, "--data", file, about=str(file))
    await cli.says(1, *RUN, "--data", file / "under", about=str(file))
    await cli.says(1, *RUN, "--data", "/proc/tern", about="/proc/tern")
    await cli.says(1, *RUN, "--data", "/" + "x" * 3000, about="too long")
    (cli.folder / "data").mkdir()
    broken = cli.write("data/identity.key", "garbage")
    broken.chmod(0o600)
    await cli.says(1, *RUN, "--data", cli.folder / "data", about=str(broken))
    want(broken.read_text() == "garbage", "the identity was written over")


async def taken_port(cli):
    with taken() as port:
        addr = f"/ip4/127.0.0.1/tcp/{port}"
        for args in ([], ["--json"]):
            await cli.says(1, "run", "--page", "off", "--listen", addr, *args, about=f"{addr}.*in use.*another port")
        # and what was listened on before is given up in good order
        await cli.says(1, *RUN, "--listen", addr, about=addr)


async def no_such_interface(cli):
    await cli.says(1, "run", "--page", "off", "--listen", "/ip4/203.0.113.77/tcp/0", about="203.0.113.77")


async def page_and_config(cli):
    missing = cli.folder / "missing"
    await cli.says(1, "run", "--listen", LOOPBACK, "--page-dir", missing, about=str(missing))
    await cli.says(1, *RUN, "--config", missing, about=f"{missing}.*No such file")
    await cli.says(1, *RUN, "--config", cli.folder, about=f"{cli.folder}.*directory")
    await cli.says(1, *RUN, "--config", cli.write("binary", b"page off\n\0\n"), about="binary")
    await cli.says(1, *RUN, "--config", cli.write("large", "#" * 70000), about="large")


async def output_fails(cli):
    if not pathlib.Path("/dev/full").exists():
        raise Skip("no /dev/full")
    for args in (["features"], ["features", "--json"], ["--help"], ["addr", LOOPBACK], RUN, [*RUN, "--json"]):
        with open("/dev/full", "wb") as full:
            await cli.says(1, *args, about="standard output: No space left", stdout=full)


def tests():
    return [(f"failure: {name}", check) for name, check in [
        ("a closed port", refused), ("a name that does not resolve", unknown_name),
        ("a peer that is silent", silent), ("a peer that speaks something else", other_language),
        ("another peer than asked for", another_peer), ("oneself", oneself),
        ("the node goes while it is pinged", gone), ("an address that nothing here dials", no_transport),
        ("a protocol that nobody knows", unknown_protocol), ("files that hold no key", bad_keys),
        ("a key file that ends early", cut_keys), ("a key file that may not be read", unreadable_key),
        ("a key is never written over anything", key_is_kept), ("no space for a key", no_space_for_key),
        ("a data folder that is none", bad_data), ("a port that is taken", taken_port),
        ("an address of another machine", no_such_interface),
        ("a page or config that cannot be read", page_and_config), ("an output that takes nothing", output_fails),
    ]]
