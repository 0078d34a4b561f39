import os

import pytest

from codeword.base import files
from codeword.base.errors import InputError
from codeword.base.files import check_free, remove, writing


def inside(folder):
    return sorted(p.name for p in folder.rglob("*"))


def put(path, text, kind):
    """Write a file, or a folder with a file in it."""
    if kind == "folder":
        path.mkdir()
        path = path / "inner.txt"
    path.write_text(text)


def text_of(path):
    return (path / "inner.txt" if path.is_dir() else path).read_text()


@pytest.fixture(params=["file", "folder"])
def kind(request):
    return request.param


def test_what_is_written_appears_at_the_end(tmp_path, kind):
    path = tmp_path / "made.txt"
    with writing(path) as new:
        put(new, "new", kind)
        assert not path.exists()
        assert new.suffix == ".txt"
        assert new.parent == tmp_path
    assert text_of(path) == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["made.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, kind, error):
    def fail(new):
        put(new, "half", kind)
        raise error

    with pytest.raises(error), writing(tmp_path / "made.txt") as new:
        fail(new)
    assert inside(tmp_path) == []


def test_a_failure_while_overwriting_leaves_the_old(tmp_path, kind):
    path = tmp_path / "made"
    put(path, "old", kind)
    before = inside(tmp_path)

    def fail(new):
        put(new, "half", kind)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), writing(path, overwrite=True) as new:
        fail(new)
    assert text_of(path) == "old"
    assert inside(tmp_path) == before


@pytest.mark.parametrize("old", ["file", "folder"])
def test_overwriting_replaces_a_file_or_a_folder_by_either(tmp_path, kind, old):
    path = tmp_path / "made"
    put(path, "old", old)
    with writing(path, overwrite=True) as new:
        put(new, "new", kind)
        assert text_of(path) == "old"
    assert text_of(path) == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_what_exists_is_not_overwritten_unasked(tmp_path, kind):
    path = tmp_path / "made"
    put(path, "old", kind)
    with (
        pytest.raises(InputError, match=r"already exists: choose another name, or pass .*overwrite"),
        writing(path),
    ):
        pytest.fail("the body must not be reached")
    assert text_of(path) == "old"


def test_a_missing_folder_is_said_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder .*missing; create it first"):
        check_free(tmp_path / "missing" / "made.txt")
    assert inside(tmp_path) == []


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path, monkeypatch):
    path = tmp_path / "made"
    put(path, "old", "folder")
    rename = os.replace

    def refuse(source, target):
        if str(source).endswith(".part"):
            raise OSError("refused")
        rename(source, target)

    monkeypatch.setattr(files.os, "replace", refuse)
    monkeypatch.setattr(files, "_renamed", lambda *_: False)  # as where the two cannot change places
    with pytest.raises(OSError, match="refused"), writing(path, overwrite=True) as new:
        put(new, "new", "folder")
    assert text_of(path) == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_a_name_of_its_own_kind_is_kept_whole(tmp_path):
    """A name that begins with a dot, has several, or none."""
    for name in (".hidden", "a.b.c", "plain", "ends."):
        with writing(tmp_path / name) as new:
            new.write_text("x")
    assert inside(tmp_path) == [".hidden", "a.b.c", "ends.", "plain"]


def test_a_link_is_removed_and_what_it_points_to_stays(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "precious.txt").write_text("keep")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    remove(tmp_path / "link")
    assert inside(tmp_path) == ["precious.txt", "real"]


def test_overwriting_a_link_to_a_folder_spares_the_folder(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "precious.txt").write_text("keep")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    with writing(tmp_path / "link", overwrite=True) as new:
        put(new, "new", "folder")
    assert text_of(tmp_path / "link") == "new"
    assert (tmp_path / "real" / "precious.txt").read_text() == "keep"


def test_a_dangling_link_is_something(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="already exists"):
        check_free(tmp_path / "link")


def test_removing_nothing_is_fine(tmp_path):
    remove(tmp_path / "nothing")
