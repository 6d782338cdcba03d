#!/usr/bin/env bash
# Starts every command of the project: ./run.sh --help
# The first call makes .venv beside this file, with the locked dependencies. A later call brings it up to date if
# Python or the lock has changed.
set -eu

root=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}" 2>/dev/null || echo "${BASH_SOURCE[0]}")")" && pwd)
venv="$root/.venv"
lock="$root/requirements/run.lock"
print_version='import sys; print(sys.version)'

fail() {
    echo "run.sh: $1" >&2
    exit 69
}

# Print what .venv is made of: the version of its Python, and a lock. The text changes if one of them does.
identity() {
    "$venv/bin/python" -ISc "$print_version" 2>/dev/null || echo none
    cat "$1"
}

is_prepared() { # lock, stamp
    [ -f "$2" ] && [ "$(identity "$1")" = "$(<"$2")" ]
}

make_venv() {
    "$python" -Ic 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version 2>&1) is too old; Porter needs Python 3.11 or newer (PYTHON=... chooses one)"
    if command -v uv >/dev/null; then
        "$python" -Im venv --clear --without-pip "$venv" || fail "cannot make $venv"
    elif ! "$python" -Ic 'import ensurepip, venv' 2>/dev/null; then
        fail "$python has no venv; on Debian and Ubuntu: apt-get install python3-venv"
    else
        "$python" -Im venv --clear "$venv" || fail "cannot make $venv"
    fi
}

install() { # lock
    if command -v uv >/dev/null; then
        uv pip install --quiet --python "$venv/bin/python" --require-hashes -r "$1"
    else
        "$venv/bin/python" -Im pip install --quiet --quiet --disable-pip-version-check --require-hashes -r "$1"
    fi >&2 || fail "the dependencies could not be installed; is there a network?"
}

# Every Python gets -I or -P: a file in the caller's folder must not be imported in place of Python's or Porter's own.

prepare() { # lock, stamp
    is_prepared "$1" "$2" && return
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || fail "there is no $python; Porter needs Python 3.11 or newer"
    trap 'exit 130' INT
    (
        # One at a time: if two first calls run at once, the second waits here and then finds everything done.
        exec 9>"$root/.venv.lock"
        "$python" -Ic 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' 2>/dev/null || true
        is_prepared "$1" "$2" && exit
        echo "run.sh: preparing $venv, once" >&2
        # A working .venv of the same Python is kept and added to, because a server may be running from it.
        version=$("$venv/bin/python" -ISc "$print_version" 2>/dev/null || true)
        [ -n "$version" ] && [ "$version" = "$(cat "$venv/made-by" 2>/dev/null)" ] || make_venv
        install "$1"
        "$venv/bin/python" -ISc "$print_version" >"$venv/made-by"
        identity "$1" >"$2"
        identity "$lock" >"$venv/stamp" # every other lock contains all of run.lock
    ) || exit
    trap - INT
}

start() { # module, arguments
    export PYTHONPATH="$root"
    # Without this, glibc keeps the memory that a thread has freed for that thread alone. With a thousand threads this
    # is most of their memory. (Not for `bench`: the servers of a comparison are measured as they are.)
    [ "$1" = benchmarks ] || export GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.tcache_count=0}"
    exec "$venv/bin/python" -P -m "$@"
}

case ${1-} in
test | lint) prepare "$root/requirements/dev.lock" "$venv/stamp-dev" ;;
fuzz) prepare "$root/requirements/fuzz.lock" "$venv/stamp-fuzz" ;;
*) prepare "$lock" "$venv/stamp" ;;
esac
case "${1-} $*" in # --compare and --plot need libraries that the load generator alone does not need
"bench "*" --compare"* | "bench "*" --plot"*) prepare "$root/requirements/bench.lock" "$venv/stamp-bench" ;;
esac

case ${1-} in
client)
    shift
    start client "$@"
    ;;
check | users)
    command=$1
    shift
    start "server.$command" "$@"
    ;;
bench)
    shift
    start benchmarks "$@"
    ;;
test)
    shift
    cd "$root"
    case ${1-} in
    "" | --long) set -- tests "$@" ;;
    *) set -- unittest "$@" ;;
    esac
    if [ -n "${PORTER_COVERAGE-}" ]; then start coverage run -m "$@"; else start "$@"; fi
    ;;
fuzz)
    shift
    start tests.fuzz "$@"
    ;;
lint)
    cd "$root"
    "$venv/bin/ruff" check .
    "$venv/bin/ruff" format --check .
    "$venv/bin/mypy"
    "$venv/bin/bandit" --quiet --recursive --configfile pyproject.toml server client common
    ;;
*) start server "$@" ;;
esac
