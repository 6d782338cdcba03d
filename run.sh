#!/usr/bin/env bash
# Starts every command of the project: ./run.sh --help
# The first call makes .venv beside this file, with the locked dependencies. A later call brings it up to date if
# Python or the lock has changed.
[ -n "${BASH_VERSION-}" ] || exec bash "$0" "$@" # as in `sh run.sh`
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

# Print the caller's settings of where packages come from, as options of pip, a line each.
# The settings of where they go (user, target, require-virtualenv, ...) would break .venv, and are left out.
package_sources() {
    "$venv/bin/python" -Im pip config list 2>/dev/null | "$venv/bin/python" -ISc '
import ast, sys
for line in sorted(sys.stdin, key=lambda line: line.startswith(":env:")):  # the environment wins
    key, _, value = line.partition("=")
    key = key.rpartition(".")[2].replace("default-", "")
    value = ast.literal_eval(value)
    if key in ("extra-index-url", "find-links", "trusted-host"):
        print(*(f"--{key}={each}" for each in value.split()), sep="\n")
    elif key in ("index-url", "proxy", "cert", "client-cert", "timeout", "retries"):
        print(f"--{key}={value}")
    elif key == "no-index" and value.lower() in ("1", "true", "yes", "on"):
        print("--no-index")'
}

install() { # lock
    local sources name
    if command -v uv >/dev/null; then
        for name in $(compgen -e); do
            case $name in UV_TARGET | UV_PREFIX | UV_SYSTEM_PYTHON | UV_CONSTRAINT | UV_OVERRIDE | UV_EXCLUDE_NEWER) unset "$name" ;; esac
        done
        uv pip install --quiet --python "$venv/bin/python" --require-hashes -r "$1"
    else
        mapfile -t sources < <(package_sources)
        for name in $(compgen -e PIP_); do unset "$name"; done
        PIP_CONFIG_FILE=/dev/null "$venv/bin/python" -Im pip install --quiet --quiet --disable-pip-version-check \
            "${sources[@]}" --require-hashes -r "$1"
    fi >&2 || fail "the dependencies could not be installed into $venv; the reason stands above. Is there a network?"
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
    # Porter's own modules come first, and the caller's folders last: they hold handlers, and replace no library.
    export PORTER_PYTHONPATH="${PYTHONPATH-}" PYTHONPATH="$root"
    exec "$venv/bin/python" -P -m "$@"
}

case ${1-} in
test | lint) prepare "$root/requirements/dev.lock" "$venv/stamp-dev" ;;
fuzz) prepare "$root/requirements/fuzz.lock" "$venv/stamp-fuzz" ;;
*) prepare "$lock" "$venv/stamp" ;;
esac
case "${1-} $*" in # --compare, --curve and --plot need libraries that the load generator alone does not need
"bench "*" --compare"* | "bench "*" --curve"* | "bench "*" --plot"*) prepare "$root/requirements/bench.lock" "$venv/stamp-bench" ;;
esac

case ${1-} in
help)
    shift
    start server --help
    ;;
client)
    shift
    start client "$@"
    ;;
check)
    shift
    start server.check "$@"
    ;;
users)
    shift
    start server.administration.users "$@"
    ;;
store)
    shift
    start server.administration.store "$@"
    ;;
clients | top)
    module=server.control.$1
    shift
    start "$module" "$@"
    ;;
reset)
    shift
    start server.administration.reset "$@"
    ;;
completion)
    shift
    start server.completion "$@"
    ;;
man)
    shift
    start server.manual "$@"
    ;;
demo)
    shift
    start examples.demo "$@"
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
