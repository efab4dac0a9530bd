#!/usr/bin/env bash
# Installs what the cross builds need and does nothing where it is there:
# rustup's targets where rustup can have them, else (on Debian) the
# distribution's compiler and library sources.
set -euo pipefail

have_rustup_targets() {
  local target
  for target in "$@"; do
    compgen -G "$(rustc --print target-libdir --target "$target" 2>/dev/null)/libcore-*.rlib" >/dev/null || return 1
  done
}

targets=(thumbv6m-none-eabi thumbv7em-none-eabihf)
if ! have_rustup_targets "${targets[@]}" && command -v rustup >/dev/null 2>&1; then
  timeout 300 rustup target add "${targets[@]}" || echo "rustup cannot add targets here; trying the distribution"
fi
if have_rustup_targets "${targets[@]}"; then
  echo "cross tools ready: rustup targets"
  exit 0
fi

packages=(rustc-web cargo-web rust-web-src lld)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if ((${#missing[@]})); then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

# The standard library's sources must belong to the compiler that builds them.
version() { dpkg-query -W -f='${Version}' "$1"; }
if [ "$(version rustc-web)" != "$(version rust-web-src)" ]; then
  echo "rustc-web $(version rustc-web) and rust-web-src $(version rust-web-src) differ: apt-get install both again" >&2
  exit 1
fi
echo "cross tools ready: $(/usr/bin/rustc --version), ${#missing[@]} packages installed now"
