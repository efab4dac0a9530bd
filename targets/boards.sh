# Boards, and how they are built and emulated. Sourced; `here` is this folder, `base` the target
# directory, SELVEDGE_INPUTS the folder of models.
BOARDS=(m0 microbit an385 an386 an500 an505 an547 riscv)

# Sets crate, target, feature, cpu and machine of a board.
describe() {
  crate=cortex-m feature=$1 cpu=
  case $1 in
    m0)       target=thumbv6m-none-eabi        machine=mps2-an385 feature=an385 ;;
    microbit) target=thumbv6m-none-eabi        machine=microbit ;;
    an385)    target=thumbv7m-none-eabi        machine=mps2-an385 ;;
    an386)    target=thumbv7em-none-eabihf     machine=mps2-an386 ;;
    an500)    target=thumbv7em-none-eabihf     machine=mps2-an500 ;;
    an505)    target=thumbv8m.main-none-eabihf machine=mps2-an505 cpu=cortex-m33 ;;
    an547)    target=thumbv8m.main-none-eabihf machine=mps3-an547 cpu=cortex-m55 ;;
    riscv)    target=riscv32imc-unknown-none-elf machine=virt crate=riscv feature= ;;
    *) echo "no board $1: ${BOARDS[*]}" >&2; exit 2 ;;
  esac
}

# build BINARY MODELS: for the board described; prints the path of the image.
build() {
  local dir=$base/firmware${cpu:+/$cpu} features=$feature
  # Defaults of defmt show errors only.
  if [ "$1" = log ]; then features=$feature,defmt; export DEFMT_LOG=info; fi
  if [ "$1" = regions ]; then features=$feature,regions; fi
  # Said here too: in a condition nothing ends at the first failure.
  (
    cd "$here/$crate" || exit
    export CARGO_TARGET_DIR=$dir SELVEDGE_MODELS=$2
    [ -z "$cpu" ] || export RUSTFLAGS="-C target-cpu=$cpu"
    "$here/cross-cargo" "$target" build --locked -q --release ${features:+--features "$features"} --bin "$1" >&2
  ) || return
  echo "$dir/$target/release/$1"
}

# emulate IMAGE: on the board described. The exit code is the firmware's; one instruction takes a
# nanosecond of the emulated clock, which is what counts instructions.
emulate() {
  local emulator=(qemu-system-arm)
  [ "$crate" = cortex-m ] || emulator=(qemu-system-riscv32 -bios none)
  timeout "${SELVEDGE_QEMU_TIMEOUT:-120}" "${emulator[@]}" -M "$machine" -nographic -monitor none -serial none \
    -semihosting-config enable=on,target=native -icount "shift=${SELVEDGE_ICOUNT:-0}" -kernel "$1"
}
