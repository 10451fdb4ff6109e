#!/usr/bin/env bash
# Everything that must hold before a change goes in: style, layers, types, all tests, and a quickstart smoke run.
# Installs what it needs (see environment.sh); can be run again and again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh

# part NAME COMMAND...: runs the command and says how long it took.
part() {
    local name=$1 start=$SECONDS
    shift
    echo "== $name"
    "$@"
    echo "== $name: $((SECONDS - start)) s"
}

part "environment" use_environment requirements.txt requirements-test.txt
part "style" ruff check .
part "format" ruff format --check .
part "layers" lint-imports
part "types" mypy
part "tests" python -m pytest -q -n auto --maxprocesses 4 --dist loadfile
part "quickstart smoke run" bash scripts/quickstart.sh --smoke
echo "== all passed in $SECONDS s"
