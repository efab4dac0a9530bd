#!/usr/bin/env bash
# Installs what cross builds and emulated runs need, and does nothing where it is there: rustup's
# targets where rustup can have them, else (on Debian, or with SELVEDGE_NO_RUSTUP_TARGETS=1) the
# distribution's compiler and library sources; emulators and C toolchains from the distribution.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/toolchain.sh"

targets=(
  thumbv6m-none-eabi thumbv7m-none-eabi thumbv7em-none-eabihf thumbv8m.main-none-eabihf
  riscv32imc-unknown-none-elf
  aarch64-unknown-linux-gnu thumbv7neon-unknown-linux-gnueabihf
)

installed=0
# need COMMAND PACKAGE: collects packages whose command is not there.
packages=()
need() { command -v "$1" >/dev/null 2>&1 || packages+=("$2"); }

install() {
  ((${#packages[@]})) || return 0
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "please install, under the names your system has for them: ${packages[*]}" >&2
    exit 1
  fi
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  installed=$((installed + ${#packages[@]}))
  packages=()
}

# Targets without a library of rustup's.
missing_targets() {
  local target
  for target in "${targets[@]}"; do has_library "$target" || echo "$target"; done
}

need qemu-system-arm qemu-system-arm
need qemu-system-riscv32 qemu-system-misc
need qemu-aarch64 qemu-user
need aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
need arm-linux-gnueabihf-gcc gcc-arm-linux-gnueabihf
if command -v dpkg >/dev/null; then
  [ -e /usr/aarch64-linux-gnu/lib/libc.so.6 ] || packages+=(libc6-dev-arm64-cross)
  [ -e /usr/arm-linux-gnueabihf/lib/libc.so.6 ] || packages+=(libc6-dev-armhf-cross)
fi
need arm-none-eabi-gcc gcc-arm-none-eabi
need readelf binutils
install

mapfile -t missing < <(missing_targets)
if ((${#missing[@]})) && [ -z "${SELVEDGE_NO_RUSTUP_TARGETS:-}" ] && command -v rustup >/dev/null 2>&1; then
  RUST_BACKTRACE=0 timeout 300 rustup target add "${missing[@]}" || echo "rustup cannot add targets here; trying the distribution"
  mapfile -t missing < <(missing_targets)
fi
if ((${#missing[@]})); then
  for package in rustc-web cargo-web rust-web-src rust-web-clippy lld; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || packages+=("$package")
  done
  install
  # The standard library's sources must belong to the compiler that builds them.
  version() { dpkg-query -W -f='${Version}' "$1"; }
  if [ "$(version rustc-web)" != "$(version rust-web-src)" ]; then
    echo "rustc-web $(version rustc-web) and rust-web-src $(version rust-web-src) differ: apt-get install both again" >&2
    exit 1
  fi
fi
echo "cross tools ready: ${#missing[@]} targets from the distribution, $installed packages installed now"
