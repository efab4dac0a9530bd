#!/usr/bin/env bash
# Gets the onnx package whose test cases the conformance test runs, into target/onnx or the given folder.
set -euo pipefail
dir=${1:-"$(dirname "$0")/../target/onnx"}
mkdir -p "$dir"
if ! compgen -G "$dir/onnx-1.22.0-*.whl" >/dev/null; then
  python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$dir" onnx==1.22.0
fi
compgen -G "$dir/onnx-1.22.0-*.whl"
