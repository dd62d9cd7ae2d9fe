#!/bin/sh
# Makes this machine ready to build and run Greenroom: a Rust toolchain, a linker, a Docker that answers. With `tests`,
# also what only the tests need.
#
# What is there is used as it is. As root on Debian or Ubuntu what is missing is installed and started, after
# saying so; NO_INSTALL=1 forbids that. Elsewhere the exact next move is printed.
# Exit codes: 0 ready · 2 no toolchain · 7 no Docker, as in `greenroom` itself.
set -eu

readonly ping_seconds_max=5 start_seconds_max=60
readonly dockerd_log=/var/log/greenroom-dockerd.log

say() { printf 'setup: %s\n' "$*" >&2; }

stop() {
    printf 'error: %s\n  hint: %s\n' "$2" "$3" >&2
    exit "$1"
}

is_debian() { command -v apt-get >/dev/null && [ -e /etc/debian_version ]; }
may_install() { [ "${NO_INSTALL:-0}" != 1 ] && [ "$(id -u)" = 0 ] && is_debian; }

install_packages() {
    say "installing $* (NO_INSTALL=1 forbids this)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2
    # dpkg's progress is hundreds of lines; its errors are what matters.
    apt-get install --yes -qq --no-install-recommends "$@" >/dev/null
}

need_toolchain() {
    # rustup's folder is not on the PATH of a shell that is older than the installation.
    PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
    command -v cargo >/dev/null ||
        stop 2 "cargo is not installed" "install Rust 1.95 or newer from https://rustup.rs, then run this again"
    if ! command -v cc >/dev/null; then
        ! may_install || install_packages gcc libc6-dev
        command -v cc >/dev/null ||
            stop 2 "no C compiler, which Rust needs for linking" "apt-get install --yes gcc libc6-dev"
    fi
}

# Where a daemon may listen, most explicit first.
sockets() {
    case "${DOCKER_HOST:-}" in
        unix://*) printf '%s\n' "${DOCKER_HOST#unix://}"; return ;;
    esac
    runtime="${XDG_RUNTIME_DIR:-/run/user/$(id -u)}"
    printf '%s\n' /var/run/docker.sock "$runtime/docker.sock" "${HOME:-/root}/.docker/run/docker.sock" \
        "$runtime/podman/podman.sock" /run/podman/podman.sock
}

# A file named docker.sock says little: a daemon that died leaves it behind. curl may be missing; perl is on
# every Debian.
answers() {
    [ -S "$1" ] || return 1
    if command -v curl >/dev/null; then
        curl --silent --fail --max-time "$ping_seconds_max" --unix-socket "$1" --output /dev/null http://localhost/_ping
    else
        # shellcheck disable=SC2016
        perl -MIO::Socket::UNIX -e '
            alarm $ARGV[1];
            my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
            print $socket "GET /_ping HTTP/1.0\r\n\r\n";
            $socket->flush;
            exit((<$socket> // "") =~ m{^HTTP/1\.. 200} ? 0 : 1)' "$1" "$ping_seconds_max" 2>/dev/null
    fi
}

find_docker() {
    case "${DOCKER_HOST:-}" in
        "" | unix://*) ;;
        *)
            say "using DOCKER_HOST=$DOCKER_HOST; \`greenroom doctor\` tells whether it answers"
            return 0
            ;;
    esac
    for socket in $(sockets); do
        if answers "$socket"; then
            say "Docker answers at $socket"
            return 0
        fi
    done
    return 1
}

# The next move depends on what is already there.
explain_docker() {
    if [ -n "${DOCKER_HOST:-}" ]; then
        stop 7 "no Docker answers at DOCKER_HOST=$DOCKER_HOST" "start that daemon, or unset DOCKER_HOST"
    elif [ -S /var/run/docker.sock ] && ! [ -w /var/run/docker.sock ]; then
        stop 7 "this user may not use /var/run/docker.sock" "sudo usermod -aG docker $(id -un), then log in again"
    fi
    sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo "
    # Without systemd nothing would start the service; the daemon itself needs no init system.
    start="${sudo}sh -c 'dockerd >$dockerd_log 2>&1 &'"
    [ ! -d /run/systemd/system ] || start="${sudo}systemctl start docker"
    if command -v dockerd >/dev/null; then
        stop 7 "Docker is installed but does not answer" "$start"
    elif is_debian; then
        stop 7 "Docker is not installed" "${sudo}apt-get install --yes docker.io debootstrap && $start"
    fi
    stop 7 "Docker is not installed" "install Docker Engine (https://docs.docker.com/engine/install/) or Podman, then run this again"
}

start_docker() {
    if [ -d /run/systemd/system ]; then
        say "starting Docker: systemctl start docker"
        systemctl start docker >&2 || true
    else
        say "starting Docker: dockerd in the background, which goes on running; its log is $dockerd_log"
        setsid nohup dockerd >"$dockerd_log" 2>&1 </dev/null &
    fi
    waited=0
    until answers /var/run/docker.sock; do
        if [ "$waited" -ge "$start_seconds_max" ]; then
            [ ! -s "$dockerd_log" ] || tail -n 15 "$dockerd_log" >&2
            stop 7 "Docker did not answer within $start_seconds_max s of being started" \
                "read $dockerd_log (or \`journalctl -u docker\`); in a container Docker needs --privileged"
        fi
        sleep 1
        waited=$((waited + 1))
    done
    say "Docker answers at /var/run/docker.sock"
}

need_docker() {
    find_docker && return 0
    # A daemon somebody named is theirs to start; another one would not be the one they meant.
    if ! may_install || [ -n "${DOCKER_HOST:-}" ]; then explain_docker; fi
    command -v dockerd >/dev/null || install_packages docker.io debootstrap wget ca-certificates
    start_docker
}

# Needed only where no image registry answers, so its absence is worth a word and not a failure.
want_debootstrap() {
    is_debian || return 0
    command -v debootstrap >/dev/null && command -v wget >/dev/null && return 0
    if may_install; then
        install_packages debootstrap wget
    else
        say "debootstrap is not installed; it is needed only where no image registry answers" \
            "(apt-get install --yes debootstrap wget)"
    fi
}

# PID 1 is tested in an image of nothing but itself and a busybox that needs no libraries.
need_busybox() {
    [ ! -x "${GREENROOM_BUSYBOX:-/bin/busybox}" ] || return 0
    ! may_install || install_packages busybox-static
    [ -x "${GREENROOM_BUSYBOX:-/bin/busybox}" ] ||
        stop 2 "no static busybox at ${GREENROOM_BUSYBOX:-/bin/busybox}, which the tests need" \
            "apt-get install --yes busybox-static, or name one by GREENROOM_BUSYBOX"
}

need_toolchain
need_docker
want_debootstrap
case "${1:-}" in
    tests) need_busybox ;;
    "") ;;
    *) stop 2 "\`$1\` is nothing to set up" "images/setup.sh [tests]" ;;
esac
