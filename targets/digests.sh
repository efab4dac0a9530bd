# Whole models compared with tests/digests.txt; how AArch64 programs are built and emulated. Sourced in
# the root of the repository; `here` is this folder, SELVEDGE_INPUTS the folder of models.

AARCH64=aarch64-unknown-linux-gnu
results=$(mktemp)
trap 'summary; rm -f "$results"' EXIT

# compare WHO: the digests printed are those of the file, all inputs of each model.
compare() {
  local lines models equal all
  lines=$(cat)
  models=$(cut -d ' ' -f 1 <<<"$lines" | uniq)
  all=$((8 * $(wc -w <<<"$models")))
  equal=$(grep -Fxc "$lines" tests/digests.txt || true)
  echo "$1: $equal of $all digests equal" >>"$results"
  if ! diff <(sort <<<"$lines") <(grep -Fx "$lines" tests/digests.txt | sort) >&2; then
    echo "$1: these digests are not in tests/digests.txt" >&2
    exit 1
  fi
  if ((equal != all || all == 0)); then
    echo "$1: digests are missing" >&2
    exit 1
  fi
  echo "$1: the outputs of every step equal tests/digests.txt for 8 inputs each of" $models
}

# What `compare` found, one line a target: the last words of a script, also of one that fails.
summary() {
  [ ! -s "$results" ] || { echo "== digests"; cat "$results"; }
}

# Instruction sets of an emulated AArch64 CPU beyond the reference and the portable one.
aarch64_isas() {
  case $1 in
    cortex-a72) echo neon ;;
    neoverse-n1) echo neon neon-dotprod ;;
    max) echo neon neon-dotprod neon-i8mm ;;
    *) echo "no CPU $1: cortex-a72, neoverse-n1, max" >&2; return 1 ;;
  esac
}

# aarch64_build CARGO-ARGUMENT…: prints the programs. Release, because the emulator takes several
# times as long for the code of test builds.
aarch64_build() {
  "$here/cross-cargo" "$AARCH64" "$@" --locked --release --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

aarch64_emulate() { qemu-aarch64 -L /usr/aarch64-linux-gnu -cpu "$@"; }

# aarch64_digests PROGRAM CPU ISA…
aarch64_digests() {
  local program=$1 cpu=$2 isa
  shift 2
  for isa in "$@"; do
    SELVEDGE_ISA=$isa aarch64_emulate "$cpu" "$program" "$SELVEDGE_INPUTS" | compare "aarch64 $cpu, $isa"
  done
}
