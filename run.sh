#!/usr/bin/env bash
# The only command anybody needs: ./run.sh --help
# Makes .venv beside it on the first call, with the locked dependencies, and again when Python or the lock changes.
set -eu

root=$(cd -P "$(dirname "$(readlink -f "${BASH_SOURCE[0]}" 2>/dev/null || echo "${BASH_SOURCE[0]}")")" && pwd)
venv="$root/.venv"

fail() {
    echo "run.sh: $1" >&2
    exit 69
}

# What .venv is made of: the Python in it, and a lock. It changes if either does.
identity() {
    "$venv/bin/python" -ISc 'import sys; print(sys.version)' 2>/dev/null || echo none
    cat "$1"
}

is_prepared() { # lock, stamp
    [ -f "$2" ] && [ "$(identity "$1")" = "$(<"$2")" ]
}

make_venv() {
    local python=${PYTHON:-python3}
    command -v "$python" >/dev/null || fail "there is no $python; Porter needs Python 3.11 or newer"
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

prepare() { # lock, stamp
    is_prepared "$1" "$2" && return
    trap 'exit 130' INT
    (
        # One at a time: a second first start waits here, and then finds everything done.
        exec 9>"$root/.venv.lock"
        "${PYTHON:-python3}" -Ic 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' 2>/dev/null ||
            command -v "${PYTHON:-python3}" >/dev/null || fail "there is no ${PYTHON:-python3}; Porter needs Python 3.11 or newer"
        is_prepared "$1" "$2" && exit
        echo "run.sh: preparing $venv, once" >&2
        # A working .venv of the same Python is added to, since a server may be running from it.
        version=$("$venv/bin/python" -ISc 'import sys; print(sys.version)' 2>/dev/null || true)
        [ -n "$version" ] && [ "$version" = "$(cat "$venv/made-by" 2>/dev/null)" ] || make_venv
        install "$1"
        "$venv/bin/python" -ISc 'import sys; print(sys.version)' >"$venv/made-by"
        identity "$1" >"$2"
    ) || exit
    trap - INT
}

start() { # module, arguments: -P, so that no folder called server where the caller stands is taken for ours
    export PYTHONPATH="$root"
    exec "$venv/bin/python" -P -m "$@"
}

case ${1-} in
test | lint) prepare "$root/requirements-dev.lock" "$venv/stamp-dev" ;;
*) prepare "$root/requirements.lock" "$venv/stamp" ;;
esac

case ${1-} in
client | check | users)
    module=$1
    shift
    if [ "$module" = client ]; then start client "$@"; else start "server.$module" "$@"; fi
    ;;
bench)
    echo "run.sh: bench is not built yet" >&2
    exit 64
    ;;
test)
    shift
    cd "$root"
    [ $# -gt 0 ] && set -- unittest "$@" || set -- tests
    if [ -n "${PORTER_COVERAGE-}" ]; then start coverage run -m "$@"; else start "$@"; fi
    ;;
lint) prepare "$root/requirements-dev.lock" "$venv/stamp-dev" ;;
*) prepare "$root/requirements.lock" "$venv/stamp" ;;
esac

case ${1-} in
client | check | users)
    module=$1
    shift
    if [ "$module" = client ]; then start client "$@"; else start "server.$module" "$@"; fi
    ;;
bench)
    echo "run.sh: bench is not built yet" >&2
    exit 64
    ;;
test)
    shift
    cd "$root"
    [ $# -gt 0 ] || set -- discover --start-directory tests --top-level-directory .
    if [ -n "${PORTER_COVERAGE-}" ]; then start coverage run -m unittest "$@"; else start unittest "$@"; fi
    ;;
lint)
    cd "$root"
    "$venv/bin/ruff" check .
    "$venv/bin/ruff" format --check .
    "$venv/bin/mypy"
    ;;
*) start server "$@" ;;
esac
