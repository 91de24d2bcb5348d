"""Files and folders that are whole or not there, whenever the writer is killed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from steps import storage

WRITER = """
import sys
from pathlib import Path
from steps import storage
folder = Path(sys.argv[1])
print("ready", flush=True)
for number in range(100000):
    storage.write_whole(folder / "file", f"{number}," * 2000)
    with storage.whole_folder(folder / f"folder-{number}") as aside:
        for name in ("a", "b"):
            (aside / name).write_text(str(number) * 1000)
"""


def test_a_writer_killed_at_any_moment_leaves_only_whole_things(tmp_path: Path) -> None:
    moments = random.Random(7)
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(moments.uniform(0.01, 0.2))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if (tmp_path / "file").exists():
            numbers = (tmp_path / "file").read_text().split(",")
            assert len(numbers) == 2001
            assert len(set(numbers[:-1])) == 1
        for folder in tmp_path.glob("folder-*"):
            assert {path.name for path in folder.iterdir()} == {"a", "b"}
            assert (folder / "b").read_text() == folder.name.removeprefix("folder-") * 1000
        storage.remove_asides(tmp_path)
        assert not list(tmp_path.glob(".aside*"))


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with storage.whole_folder(tmp_path / "folder") as aside:
            (aside / "part").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_the_first_of_two_writers_of_one_folder_stays(tmp_path: Path) -> None:
    with storage.whole_folder(tmp_path / "folder") as late:
        (late / "who").write_text("late")
        with storage.whole_folder(tmp_path / "folder") as early:
            (early / "who").write_text("early")
    assert (tmp_path / "folder" / "who").read_text() == "early"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_lock_has_one_holder_and_goes_with_its_process(tmp_path: Path) -> None:
    holder = (
        "import sys; from pathlib import Path; from steps import storage\n"
        "with storage.lock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", holder, str(tmp_path / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with storage.lock(tmp_path / "lock") as held:
        assert held is None
    process.kill()
    process.communicate()
    with storage.lock(tmp_path / "lock") as held:
        assert held is not None


def test_a_child_that_inherits_the_lock_keeps_it(tmp_path: Path) -> None:
    with storage.lock(tmp_path / "lock") as held:
        assert held is not None
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[held])
    with storage.lock(tmp_path / "lock") as held:
        assert held is None
    child.communicate()
    with storage.lock(tmp_path / "lock") as held:
        assert held is not None


def test_a_full_disk_is_an_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    storage.write_whole(tmp_path / "file", "old")
    code = (
        "import resource, signal, sys; from pathlib import Path; from steps import storage\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "storage.write_whole(Path(sys.argv[1]), 'x' * 100000)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True, check=False)
    assert f"File too large: '{tmp_path / 'file'}'" in done.stderr
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
