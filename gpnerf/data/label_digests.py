"""SHA-256 of a room's label maps, so that everyone can see whether theirs is the same room."""

import hashlib
from pathlib import Path

from tqdm import tqdm

from gpnerf.data.images import decode_map
from gpnerf.errors import UserError
from gpnerf.storage import read_text


def label_digest(folder: Path) -> str:
    """SHA-256 over the raw ids of all label maps of a scene in the ScanNet layout: sizes and pixels, in frame order.

    Of the pixels, not of the files: other versions of a PNG library write other bytes.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.glob("label-filt/*.png"), key=lambda path: (len(path.stem), path.stem)):
        labels = decode_map(path)
        digest.update(f"{path.stem} {labels.shape}".encode())
        digest.update(labels.astype("<u2").tobytes())
    return digest.hexdigest()


def read_digests(path: Path) -> dict[str, str]:
    """Scene -> digest of a file with lines `digest  scene`, as `sha256sum` writes them."""
    text = read_text(path, "a file of label digests", "take the shipped one")
    words = [line.split() for line in text.splitlines()]
    for number, line in enumerate(words, start=1):
        if len(line) != 2:
            raise UserError(f"{path}, line {number}: expected `digest  scene`, found {' '.join(line)!r}; mend the file")
    if not words:
        raise UserError(f"{path}: expected lines `digest  scene`, found none; take the shipped file")
    return {scene: digest for digest, scene in words}


def verify_labels(root: Path, path: Path) -> None:
    """Raise `UserError` for the first scene of a file of digests that `root` has with other labels."""
    for scene, expected in tqdm(read_digests(path).items(), desc="verify", unit="room"):
        if (found := label_digest(root / scene)) != expected:
            raise UserError(
                f"{root / scene}: expected labels of SHA-256 {expected[:12]} ({path}), found {found[:12]}; remove the "
                "folder and write it again; if it differs again, this machine computes another room"
            )
