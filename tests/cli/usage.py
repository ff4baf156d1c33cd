"""Wrong usage: exit status 2, and one line that says what is wrong and where help is."""

import re

from cli import LOOPBACK, want

MA = "/ip4/127.0.0.1/tcp/1"

# What comes before the option under test for a command line that is right otherwise.
RIGHT = {"ping": [MA], "identify": [MA], "perf": [MA], "addr": [MA], "bench": ["connect", MA], "key": ["new"]}

WRONG = [
    ("run takes no argument", ["run", MA], MA),
    ("ping wants an address", ["ping"], "wants one multiaddr"),
    ("ping wants one address", ["ping", MA, MA], "wants one multiaddr"),
    ("identify wants an address", ["identify"], "wants one multiaddr"),
    ("identify wants one address", ["identify", MA, MA], "wants one multiaddr"),
    ("addr wants an address", ["addr"], "wants one multiaddr"),
    ("addr wants one address", ["addr", MA, MA], "wants one multiaddr"),
    ("features takes no argument", ["features", "all"], "'all'"),
    ("key wants a verb", ["key"], "'new', 'show' or 'psk'"),
    ("key has no such verb", ["key", "lose"], "'new', 'show' or 'psk'"),
    ("key psk wants a file", ["key", "psk"], "--out FILE"),
    ("key psk wants one file", ["key", "psk", "--key", "x", "--out", "y"], "--out FILE"),
    ("key new takes no second argument", ["key", "new", "x"], "'x'"),
    ("key show takes no second argument", ["key", "show", "x"], "'x'"),
    ("key new takes no --key", ["key", "new", "--key", "x"], "--key"),
    ("key show takes no --out", ["key", "show", "--out", "x"], "--out"),
    ("key show takes no --type", ["key", "show", "--type", "rsa"], "--type"),
    ("key new has no such type", ["key", "new", "--type", "dsa", "--out", "x"], "'dsa'"),
    ("ping has no --listen", ["ping", MA, "--listen", LOOPBACK], "'--listen'"),
    ("run has no -c", ["run", "-c", "3"], "'-c'"),
    ("addr has no --key", ["addr", MA, "--key", "x"], "'--key'"),
    ("-c wants a number", ["ping", MA, "-c", "many"], "'many'"),
    ("-c wants a whole number", ["ping", MA, "-c", "1.5"], "'1.5'"),
    ("-c wants more than nothing", ["ping", MA, "-c", "0"], "'0'"),
    ("-c wants no negative number", ["ping", MA, "-c", "-1"], "'-1'"),
    ("-c wants a number that fits", ["ping", MA, "-c", "99999999999999999999"], "-c wants"),
    ("-c wants its value", ["ping", MA, "-c"], "-c wants a value"),
    ("-i wants seconds", ["ping", MA, "-i", "soon"], "'soon'"),
    ("-i wants no negative time", ["ping", MA, "-i", "-1"], "'-1'"),
    ("--timeout wants seconds", ["identify", MA, "--timeout", "1s"], "'1s'"),
    ("--timeout wants a number", ["identify", MA, "--timeout", "nan"], "'nan'"),
    ("--timeout wants a time that fits", ["identify", MA, "--timeout", "1e99"], "'1e99'"),
    ("--timeout wants some time", ["ping", MA, "--timeout", "0"], "--timeout"),
    ("--duration wants seconds", ["run", "--duration", "x"], "'x'"),
    ("--max-connections wants a number", ["run", "--max-connections", "x"], "'x'"),
    ("--max-connections wants some", ["run", "--max-connections", "0"], "'0'"),
    ("--max-connections-per-ip wants a number", ["run", "--max-connections-per-ip", "x"], "'x'"),
    ("--max-memory wants bytes", ["run", "--max-memory", "much"], "'much'"),
    ("--max-memory wants some", ["run", "--max-memory", "0"], "more than nothing"),
    ("--grace wants seconds", ["run", "--grace", "long"], "'long'"),
    ("--high-water wants a number", ["run", "--high-water", "x"], "'x'"),
    ("--deny wants somebody", ["run", "--deny", "everybody"], "'everybody'.*192.0.2.0/24"),
    ("--allow wants somebody", ["run", "--allow", "10.0.0.0/99"], "'10.0.0.0/99'"),
    ("--tls-cert wants its key", ["run", "--tls-cert", "x"], "--tls-key go together"),
    ("--page wants on or off", ["run", "--page", "maybe"], "on or off, not 'maybe'"),
    ("--metrics wants on or off", ["run", "--metrics", ""], "--metrics wants a value"),
    ("--key wants a name", ["ping", MA, "--key", ""], "--key wants a value"),
    ("--key= wants a name", ["ping", MA, "--key="], "--key wants a value"),
    ("65 addresses to listen on", ["run", *["--listen", LOOPBACK] * 65], "more than 64 times"),
    ("65 arguments", ["ping", *[MA] * 65], "too many arguments"),
    ("a security that is not in this build", ["ping", MA, "--security", "rot13"], "'rot13'.*tern features"),
    ("a muxer that is not in this build", ["run", "--muxer", "smux"], "'smux'.*tern features"),
    ("a command that is none", ["fly"], "'fly'.*tern --help"),
    ("an option as command", ["--json", "ping", MA], "'--json'.*tern --help"),
    ("an address for the wrong kind of peer id", ["ping", f"{MA}/p2p/QmBad"], "at character"),
]

# Malformed addresses, and what the line says of each.
MALFORMED = [
    ("", "empty"),
    ("ip4", "at character 1"),
    ("127.0.0.1:4001", "at character 1"),
    ("/", "."),
    ("/ip4", "."),
    ("/ip4/300.0.0.1/tcp/1", "at character 6.*300.0.0.1"),
    ("/ip4/127.0.0.1/tcp/notaport", "at character .*notaport"),
    ("/ip4/127.0.0.1/tcp/65536", "at character .*65536"),
    ("/ip4/127.0.0.1/tcp", "."),
    ("/ip6/::1::/tcp/1", "at character"),
    (f"{MA}/p2p/12D3", "at character"),
    ("/ip4/127.0.0.1/tcp/1\n/ws", "."),
    ("/ip4/127.0.0.1/tcp/\x1b[2J\xff", "."),
    ("/dns/" + "x" * 3000 + "/tcp/1", "."),
]

TAKERS = [
    ("ping", lambda addr: ["ping", addr]),
    ("identify", lambda addr: ["identify", "--json", addr]),
    ("addr", lambda addr: ["addr", addr]),
    ("addr --json", lambda addr: ["addr", "--json", addr]),
    ("run --listen", lambda addr: ["run", "--page", "off", "--listen", addr]),
    ("run --announce", lambda addr: ["run", "--page", "off", "--listen", LOOPBACK, "--announce", addr]),
    ("run --bootstrap", lambda addr: ["run", "--json", "--page", "off", "--listen", LOOPBACK,
                                      "--bootstrap", addr]),
]


def wrong(args, about):
    return lambda cli: cli.says(2, *args, about=about)


async def malformed(cli, taker):
    for addr, about in MALFORMED:
        args = taker(addr)
        if addr == "" and args[0] == "run":
            about = "wants a value"
        await cli.says(2, *args, about=about)


async def helps(cli, command):
    for option in ("--help", "-h"):
        text = (await cli.does(command, option)).has(f"^tern {command}").has(r"^  --json").out
        want(all(len(line) < 160 for line in text.splitlines()), "a line is too long", text)


async def first_help(cli):
    for word in ("--help", "-h", "help"):
        (await cli.does(word)).has("^usage: tern COMMAND")
    (await cli.does("--version")).has(r"^tern \d+\.\d+\.\d+$")


async def no_command(cli):
    result = await cli.call()
    want(result.status == 2 and result.out == "" and "usage: tern COMMAND" in "\n".join(result.err),
         "tern alone does not tell its usage", result)


async def tests(cli):
    """Needs the program itself: its help names the commands."""
    found = [("help: tern", first_help), ("usage: tern alone", no_command)]
    names = re.findall(r"^  ([a-z]+) ", (await cli.call("--help")).out, re.MULTILINE)
    for name in names:
        right = [name, *RIGHT.get(name, [])]
        found += [
            (f"help: {name}", lambda cli, name=name: helps(cli, name)),
            (f"usage: {name}: an unknown option", wrong([*right, "--fly"], f"'--fly'.*tern {name} --help")),
            (f"usage: {name}: an unknown short option", wrong([*right, "-Z"], "'-Z'")),
            (f"usage: {name}: an option without its value", wrong([*right, "--log"], "--log wants a value")),
            (f"usage: {name}: a value for an option that takes none",
             wrong([*right, "--json=yes"], "--json takes no value")),
            (f"usage: {name}: a log level that is none", wrong([*right, "--log", "loud"], "'loud'")),
        ]
    found += [(f"usage: {name}", wrong(args, about)) for name, args, about in WRONG]
    found += [(f"usage: malformed addresses for {name}", lambda cli, taker=taker: malformed(cli, taker))
               for name, taker in TAKERS]
    return found
