# The front door. The builds themselves are in CMakeLists.txt and CMakePresets.json.
.POSIX:
PREFIX = /usr/local
DESTDIR =
TIME = 60
ARGS =
FILTER =

build: ## builds the library and the program, optimised: build/release/tern
	@tools/setup build
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build build/release

help: ## this list
	@awk -F ':[^#]*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

run: ## builds all that a node needs and runs it: make run ARGS="--listen /ip4/127.0.0.1/tcp/4001"
	@tools/setup run
	@$(MAKE) --no-print-directory build page
	@build/release/tern run $(ARGS)

# A node without a page is a node too: web/build.sh has said why in one line.
page: ## bundles the web page into build/page, where npm is there
	@web/build.sh build/page || test $$? -eq 3

check: ## all tests that need no other stack, under two minutes: make check FILTER=yamux
	@tools/setup check
	@tests/run check $(FILTER)

test: ## everything: sanitizers, clang, the other stacks, browsers, the installed library
	@tools/setup test
	@tests/run test $(FILTER)

bench: build ## measures this machine into docs/benchmarks.md
	@tests/bench/run build/release

soak: ## 10,000 storms, every error at every system call, two minutes of real sockets: make soak FILTER=storm
	@tools/setup check
	@tests/run soak $(FILTER)

hostile: build ## attacks on a node over real sockets, judged by the clock: make hostile FILTER=opens
	@cmake --preset debug -Wno-dev >/dev/null
	@cmake --build build/debug --target attacker
	@tests/hostile/run --judge --tern build/release/tern $(FILTER)

fuzz: ## fuzzes every target with clang: make fuzz TIME=600 FILTER=yamux
	@tools/fuzz $(TIME) $(FILTER)

coverage: ## the lines of the parsers that the fuzz corpora and the unit tests reach: make coverage FILTER=mux
	@tools/setup check
	@tools/coverage --lines --least 94 $(FILTER)

format: ## puts every C file into the one style
	@tools/check-format --fix

symbols: ## writes down what libtern.so exports, after a change of the public headers
	@cmake --preset debug -Wno-dev >/dev/null
	@cmake --build build/debug --target tern_shared
	@tools/check-symbols --update build/debug/libtern.so

install: build ## installs under DESTDIR + PREFIX (/usr/local)
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"

clean: ## removes every build
	@rm -rf build

.PHONY: build help run page check test soak bench hostile fuzz coverage format symbols install clean
