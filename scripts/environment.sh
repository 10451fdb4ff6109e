# Sourced by the scripts beside this file, from the repository's root:
#     use_environment requirements.txt [...]
# makes `python` one that has the packages of these files: the active virtual environment (installing what it lacks),
# or the current python if it lacks nothing, or .venv, which is made on first use.

use_environment() {
    local files=() file
    for file in "$@"; do files+=(-r "$file"); done

    if [[ -z "${VIRTUAL_ENV:-}" && "${CONDA_DEFAULT_ENV:-base}" == base ]]; then
        # Without an index, pip succeeds only if nothing is missing.
        if python -m pip --isolated install --quiet --dry-run --no-index "${files[@]}" >/dev/null 2>&1; then
            PATH="$(python -c 'import sysconfig; print(sysconfig.get_path("scripts"))'):$PATH"
            return
        fi
        if [[ ! -x .venv/bin/pip ]]; then
            echo "making a virtual environment in .venv"
            python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed")'
            python3 -m venv --clear .venv
        fi
        # shellcheck disable=SC1091
        source .venv/bin/activate
    fi
    python -m pip install --quiet --disable-pip-version-check "${files[@]}"
}
