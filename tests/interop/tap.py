"""What both test programs share: their command line, TAP output, and finding the peers."""

import argparse
import os
import sys

import build
from matrix import SETS
from process import Broken


class Tap:
    """Test Anything Protocol: a plan, then a line a test."""

    def __init__(self, count):
        self.number, self.failed = 0, 0
        print(f"TAP version 14\n1..{count}", flush=True)

    def ok(self, name):
        self._line(f"ok {self._next()} - {name}")

    def skip(self, name, why):
        self._line(f"ok {self._next()} - {name} # SKIP {why}")

    def fail(self, name, why):
        self.failed += 1
        self._line(f"not ok {self._next()} - {name}")
        self.note(why)

    def note(self, text):
        for line in str(text).splitlines():
            self._line(f"# {line}")

    def report(self, name, why):
        """ok when there is no reason why not."""
        self.fail(name, why) if why else self.ok(name)

    def _next(self):
        self.number += 1
        return self.number

    def _line(self, text):
        print(text, flush=True)


class Peers:
    """The peer programs, each built when it is first asked for."""

    def __init__(self):
        self._known = {}

    def find(self, lang):
        """Its path. Raises build.Skipped or build.Failed, every time the same."""
        if lang not in self._known:
            try:
                self._known[lang] = build.peer(lang)
            except (build.Skipped, build.Failed) as why:
                self._known[lang] = why
        if isinstance(self._known[lang], Exception):
            raise self._known[lang]
        return self._known[lang]


def arguments(what, **programs):
    """The command line; `programs` are further ones of ours, with where they are by default."""
    parser = argparse.ArgumentParser(description=what)
    for name, path in programs.items():
        parser.add_argument(f"--{name}", default=path, help="tern's side of those rows")
    parser.add_argument("--tern", default="build/release/tern", help="the program under test")
    parser.add_argument("--set", choices=SETS, default="full", help="which rows of matrix.py")
    parser.add_argument("filter", nargs="*", help="only tests whose name has each of these in it")
    args = parser.parse_args()
    args.tern = os.path.abspath(args.tern)
    if not os.access(args.tern, os.X_OK):
        print(f"{args.tern}: no such program; build tern or say --tern PATH", file=sys.stderr)
        sys.exit(2)
    return args


async def attempt(check):
    """Awaits one check; returns why it failed, or None."""
    try:
        await check
    except Broken as why:
        return str(why)
    except KeyError as why:
        return f"an event lacks the field {why}"
    return None


def expect(event, **wanted):
    """Every field has its value, or the test fails saying which has not."""
    for field, value in wanted.items():
        if event.get(field) != value:
            raise Broken(f"{field} is {event.get(field)!r}, not {value!r}, in {event}")


def require(fact, what, event):
    if not fact:
        raise Broken(f"{what}: {event}")
