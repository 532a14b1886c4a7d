# Sourced by the scripts that install what they need (Debian, Ubuntu).

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Installs packages. Fails if that is not possible.
install() {
    if ! command -v apt-get >/dev/null; then
        echo "no apt-get here: please install what gives you $*" >&2
        return 1
    fi
    printf '+ apt-get install %s\n' "$*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" >/dev/null
}
