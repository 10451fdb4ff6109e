#!/usr/bin/env bash
# The main job on the built-in rooms: renders and segments rooms never seen with the weights that come along, then
# trains on other rooms and does the same with what it has learnt.
#   bash scripts/quickstart.sh                  2 minutes, then training for 10, on 2 CPU cores after installation
#   bash scripts/quickstart.sh --from-scratch   training first and alone
#   bash scripts/quickstart.sh --smoke          two rooms and 20 steps, in out/smoke: does everything run?
# Can be run again: rooms that exist are kept, a finished training is evaluated again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

# part NAME COMMAND...: runs the command and notes how long it took.
seconds=()
part() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    "$@"
    seconds+=("$name: $((SECONDS - start)) s")
}

write_rooms() { # ROOT FIRST COUNT
    python scripts/make_rooms.py --out "$1/data/rooms" --first "$2" --rooms "$3" --workers "$(nproc)"
}

# The weights that come along (weights/README.md) have seen none of these rooms either.
show_weights() { # FLAGS...
    python eval_gpnerf.py "$@" --ckpt_path weights/gnt_rooms.pth --expname gnt_rooms_weights
}

part "installation" use_environment requirements.txt
root=.
flags=(--config configs/gnt_rooms.txt)
training=()
rooms=32 validation_rooms=1 test_rooms=5
if [[ "${1:-}" == --smoke ]]; then
    root=out/smoke
    mkdir -p "$root"
    echo room_9000 >"$root/split.txt"
    flags+=(--rootdir "$root" --train_scenes room_0000 --val_set_list "$root/split.txt")
    training=(--no_reload --total_step 20 --i_print 5)
    rooms=1 validation_rooms=0 test_rooms=1
fi
part "test rooms" write_rooms "$root" 9000 "$test_rooms"
if [[ "${1:-}" != --from-scratch ]]; then part "weights that come along" show_weights "${flags[@]}"; fi
part "training rooms" write_rooms "$root" 0 "$rooms"
if ((validation_rooms)); then part "validation room" write_rooms "$root" 8000 "$validation_rooms"; fi
part "training" python train_gpnerf.py "${flags[@]}" "${training[@]}"
part "evaluation" python eval_gpnerf.py "${flags[@]}"
printf '%s\n' "== seconds of each part" "${seconds[@]}"
