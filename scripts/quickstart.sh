#!/usr/bin/env bash
# The main job on the built-in rooms: writes rooms, trains on them, then renders and segments rooms never seen.
#   bash scripts/quickstart.sh           the whole thing (about 10 minutes on 2 CPU cores after installation)
#   bash scripts/quickstart.sh --smoke   two rooms and 20 steps, in out/smoke: does everything run?
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

write_rooms() { # ROOT TRAINING_ROOMS VALIDATION_ROOMS TEST_ROOMS
    local make=(python scripts/make_rooms.py --out "$1/data/rooms" --workers "$(nproc)")
    "${make[@]}" --rooms "$2"
    if (($3)); then "${make[@]}" --first 8000 --rooms "$3"; fi
    "${make[@]}" --first 9000 --rooms "$4"
}

part "installation" use_environment requirements.txt
if [[ "${1:-}" == --smoke ]]; then
    root=out/smoke
    mkdir -p "$root"
    echo room_9000 >"$root/split.txt"
    flags=(--config configs/gnt_rooms.txt --rootdir "$root" --train_scenes room_0000 --val_set_list "$root/split.txt")
    part "rooms" write_rooms "$root" 1 0 1
    part "training" python train_gpnerf.py "${flags[@]}" --no_reload --total_step 20 --i_print 5
    part "evaluation" python eval_gpnerf.py "${flags[@]}"
else
    part "rooms" write_rooms . 32 1 5
    part "training" python train_gpnerf.py --config configs/gnt_rooms.txt
    part "evaluation" python eval_gpnerf.py --config configs/gnt_rooms.txt
fi
printf '%s\n' "== seconds of each part" "${seconds[@]}"
