# The Test Anything Protocol for tests in sh: `test_that NAME command...`, and at the end `finish`.
# shellcheck shell=sh
tap_count=0
tap_failed=0

# One test: the command, with its output in $scratch/out. What failed is printed.
test_that() {
    tap_name=$1
    shift
    tap_count=$((tap_count + 1))
    if "$@" >"$scratch/out" 2>&1; then
        echo "ok $tap_count - $tap_name"
    else
        echo "not ok $tap_count - $tap_name"
        echo "# $*"
        tail -n 20 "$scratch/out" | sed 's/^/# /'
        tap_failed=1
    fi
}

skip() {
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

finish() {
    echo "1..$tap_count"
    exit "$tap_failed"
}
