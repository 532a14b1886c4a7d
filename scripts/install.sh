# Functions for the scripts that install the packages they need (Debian, Ubuntu).

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs packages. Fails if there is no apt-get or an installation fails.
install() {
    if ! command -v apt-get >/dev/null; then
        echo "there is no apt-get: please install the equivalent of $*" >&2
        return 1
    fi
    printf '+ apt-get install %s\n' "$*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >/dev/null
}
