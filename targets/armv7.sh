#!/usr/bin/env bash
# The tests of the DSP kernels (Cortex-M4, M7, M33) under user emulation: Armv7-A has the same
# instructions, in the same encoding.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."
bash "$here/setup.sh"
SELVEDGE_REQUIRE_ISA=dsp "$here/cross-cargo" thumbv7neon-unknown-linux-gnueabihf test --locked -p selvedge-kernels dsp
