"""Nothing in an archive can name a place outside the folder meant for it, and damaged ones are refused in one line."""

import shutil
import stat
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sens_writer import write_archive

from gpnerf.errors import UserError
from gpnerf.preparation.archives import extract, list_files, read_pictures

GOOD = ("label-filt/0.png", b"zero")


def link(name: str, kind: int = stat.S_IFLNK) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3  # Unix
    info.external_attr = (kind | 0o777) << 16
    return info


def raw_name(name: str) -> zipfile.ZipInfo:
    """A member of a name that the writer would have put right."""
    info = zipfile.ZipInfo("x")
    info.filename = name
    return info


UNSAFE = [
    ("../label-filt/1.png", b""),
    ("label-filt/../../1.png", b""),
    ("/label-filt/1.png", b""),
    ("//host/label-filt/1.png", b""),
    (raw_name("..\\label-filt\\1.png"), b""),
    (raw_name("C:/label-filt/1.png"), b""),
    (link("label-filt/1.png"), b"/etc/passwd"),
    (link("label-filt"), b"/etc"),
    (link("label-filt/1.png", stat.S_IFIFO), b""),
    (link("label-filt/1.png", stat.S_IFBLK), b""),
]


def every_use(path: Path, folder: Path) -> list[Callable[[], object]]:
    return [
        lambda: list(read_pictures(path, "label-filt", range(9), 100)),
        lambda: list_files(path),
        lambda: extract(path, folder / "out", PurePosixPath),
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("member", UNSAFE, ids=lambda member: getattr(member[0], "filename", member[0]))
@pytest.mark.parametrize("use", range(3))
def test_a_member_that_leads_elsewhere_refuses_the_archive(
    tmp_path: Path, member: tuple[str | zipfile.ZipInfo, bytes], use: int
) -> None:
    """Before anything is written, wherever in the archive it is."""
    path = write_archive(tmp_path / "maps.zip", [GOOD, member])
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"expected plain files inside one folder.*download it"):
        every_use(path, tmp_path)[use]()
    assert contents(tmp_path) == before


def test_pictures_are_found_by_number_whatever_lies_beside_them(tmp_path: Path) -> None:
    names = ["label-filt/", "label-filt/3.png", "deep/er/label-filt/12.png", "label-filt/x.png", "label-filt/1.jpg"]
    names += ["__MACOSX/label-filt/._3.png", "other/4.png", "label-filt/7.png", "my-label-filt/5.png"]
    path = write_archive(tmp_path / "maps.zip", [(name, name.encode()) for name in names])
    found = dict(read_pictures(path, "label-filt", {3, 5, 12}, 100))
    assert found == {3: b"label-filt/3.png", 12: b"deep/er/label-filt/12.png"}


def test_a_frame_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "maps.zip", [GOOD, ("copy/label-filt/00.png", b"")])
    with pytest.raises(UserError, match="a frame twice"):
        list(read_pictures(path, "label-filt", {0}, 100))


def test_a_picture_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "maps.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("label-filt/0.png", bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"at most 100 bytes in label-filt/0\.png, found 50000000"):
        list(read_pictures(path, "label-filt", {0}, 100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


def test_a_picture_that_unpacks_to_more_than_it_says_is_not_unpacked_whole(tmp_path: Path) -> None:
    path = tmp_path / "maps.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("label-filt/0.png", bytes(50_000_000))
    size = (50_000_000).to_bytes(4, "little")
    assert path.read_bytes().count(size) == 2
    path.write_bytes(path.read_bytes().replace(size, (50).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(UserError, match="whole zip archive"):
        list(read_pictures(path, "label-filt", {0}, 100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_packing_is_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "maps.zip", "w", method) as archive:
        archive.writestr("label-filt/0.png", b"zero")
    with pytest.raises(UserError, match="found an unusual way of packing: 'label-filt/0"):
        list(read_pictures(tmp_path / "maps.zip", "label-filt", {0}, 100))


def test_extract_writes_what_is_wanted_where_it_is_wanted(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "all.zip", [("a/1.txt", b"one"), ("a/b/2.txt", b"two"), ("3.txt", b"three")])
    places = {"a/1.txt": PurePosixPath("x/first.txt"), "a/b/2.txt": PurePosixPath("second.txt")}
    extract(path, tmp_path / "out", places.get)
    assert contents(tmp_path / "out") == {"x/first.txt": b"one", "second.txt": b"two"}


def test_an_archive_larger_than_the_disk_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    content = bytearray(write_archive(tmp_path / "all.zip", [("a.txt", b"one")]).read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + 24 : entry + 28] = b"\xfe\xff\xff\xff"  # 4 GB, a hundred thousand times
    count = 100_000 % 2**16
    central = bytes(content[entry : content.index(b"PK\5\6")])
    end = bytearray(content[content.index(b"PK\5\6") :])
    end[8:12] = count.to_bytes(2, "little") * 2
    end[12:16] = (len(central) * count).to_bytes(4, "little")
    (tmp_path / "all.zip").write_bytes(bytes(content[:entry]) + central * count + bytes(end))
    with pytest.raises(UserError, match="bytes of free disk"):
        extract(tmp_path / "all.zip", tmp_path / "out", PurePosixPath)
    assert contents(tmp_path / "out") == {}


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 5))):
        place = draw(st.integers(0, len(content) - 1))
        new = draw(st.one_of(st.binary(min_size=1, max_size=4), st.just(b"\xff\xff\xff\xff")))
        content[place : place + len(new)] = new
    return bytes(content[draw(st.integers(0, 3)) * draw(st.integers(0, 9)) :])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_archive_brings_the_reader_down(tmp_path: Path, data: st.DataObject) -> None:
    """The pictures, or one line; nothing of more than the stated limit; nothing written outside the folder."""
    path = tmp_path / "maps.zip"
    with zipfile.ZipFile(path, "w", data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for k in range(3):
            archive.writestr(f"label-filt/{k}.png", b"picture" * k)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    for use in every_use(path, tmp_path):
        try:
            use()
            message = str(path)
        except UserError as error:
            message = str(error)
        assert str(path) in message and "\n" not in message
    outside = {name for name in contents(tmp_path) if name != "maps.zip" and not name.startswith("out/")}
    assert not outside


def test_a_member_without_a_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "maps.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"picture")
    for use in every_use(path, tmp_path):
        with pytest.raises(UserError, match="found a file without a name"):
            use()
