"""Uploads: unpacked under limits, refused by the name of what is wrong, nothing left behind."""

import io
import stat
import tarfile
import zipfile

import pytest
from django.conf import settings

from apps.core import objects
from apps.core.archives import Limits, Upload, store
from apps.core.errors import Invalid


def zipped(files: dict[str, bytes], **facts) -> Upload:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return upload("model.zip", buffer.getvalue())


def tarred(*members: tuple[tarfile.TarInfo, bytes]) -> Upload:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return upload("model.tar.gz", buffer.getvalue())


def upload(name: str, content: bytes) -> Upload:
    return Upload(name, io.BytesIO(content), len(content))


def leftovers() -> list[str]:
    return [path.name for path in (settings.ATRIUM.data_dir / "tmp").glob("upload-*")]


def test_a_zip_is_unpacked_and_its_one_folder_taken_off():
    files = store([zipped({"model/MLmodel": b"a", "model/data/x.bin": b"b"})])

    assert set(files) == {"MLmodel", "data/x.bin"}
    assert objects.path(files["data/x.bin"]).read_bytes() == b"b"
    assert not leftovers()


def test_a_tar_and_a_sent_folder_give_the_same():
    from_tar = store([tarred((tarfile.TarInfo("./m/MLmodel"), b"a"), (tarfile.TarInfo("./m/b"), b"b"))])
    from_folder = store([upload("m/MLmodel", b"a"), upload("m/b", b"b")])

    assert from_tar == from_folder


def test_one_plain_file_stays_as_it_is():
    assert set(store([upload("model.onnx", b"x")])) == {"model.onnx"}


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "C:/x", "a\\..\\x", "a//b"])
def test_a_path_that_escapes_is_refused(name):
    with pytest.raises(Invalid) as raised:
        store([zipped({name: b"x", "other": b"y"})])

    assert name[:3] in raised.value.message
    assert not leftovers()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind):
    info = tarfile.TarInfo("evil")
    info.type, info.linkname = kind, "/etc/passwd"

    with pytest.raises(Invalid, match="“evil” is a link or a device"):
        store([tarred((info, b""))])


def test_a_link_in_a_zip_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("evil")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")

    with pytest.raises(Invalid, match="link"):
        store([upload("m.zip", buffer.getvalue())])


def test_a_bomb_is_stopped_while_it_is_unpacked():
    bomb = zipped({"a.bin": bytes(64 << 20)})

    with pytest.raises(Invalid, match="Unpacked, this is more than"):
        store([bomb])

    assert not leftovers()


def test_the_size_and_the_number_of_files_are_limited():
    with pytest.raises(Invalid, match="more than"):
        store([zipped({"a": b"12345678"})], Limits(size=4))
    with pytest.raises(Invalid, match="more than 1 files"):
        store([zipped({"a": b"1", "b": b"2"})], Limits(files=1))


def test_a_name_that_is_there_twice_is_refused():
    with pytest.raises(Invalid, match="twice"):
        store([zipped({"Model": b"1", "model": b"2"})])


@pytest.mark.parametrize("name", ["m.zip", "m.tar.gz"])
def test_what_only_calls_itself_an_archive_is_refused(name):
    with pytest.raises(Invalid, match="cannot be unpacked"):
        store([upload(name, b"no archive at all")])


def test_a_cut_archive_is_refused():
    whole = zipped({"a": bytes(range(256)) * 100}).stream.read()

    with pytest.raises(Invalid):
        store([upload("m.zip", whole[: len(whole) // 2])])


def test_nothing_sent_is_refused():
    with pytest.raises(Invalid, match="No file was sent"):
        store([])
