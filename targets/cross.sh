#!/usr/bin/env bash
# The cross suite: every crate that ships to a device builds for bare metal, default features off.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
bash "$here/setup.sh"
export CARGO_TARGET_DIR=${SELVEDGE_CROSS_TARGET_DIR:-target/cross}
for target in thumbv6m-none-eabi thumbv7em-none-eabihf; do
  for package in selvedge-core selvedge-kernels selvedge-exec selvedge; do
    echo "cross: $package for $target"
    "$here/cross-cargo" "$target" build --locked --release --no-default-features -p "$package"
  done
done
