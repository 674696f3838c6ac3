"""The repository itself: what may not be in it, and that the packages come from it."""

import re
import subprocess
from pathlib import Path

import benchmark
import pretrain

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 2**20


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_the_packages_are_those_of_this_clone():
    assert Path(benchmark.__file__).resolve().parent == ROOT / "benchmark"
    assert Path(pretrain.__file__).resolve().parent == ROOT / "pretrain"


def test_the_lock_has_hashes_and_no_addresses():
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    assert not re.search(r"^--(index|extra|find)", lock, re.MULTILINE)
    pinned = re.findall(r"^([a-z0-9][\w.-]*)==\S+.*\\\n    --hash=sha256:", lock, re.MULTILINE)
    requirements = re.findall(r"^([a-z0-9][\w.-]*)==", lock, re.MULTILINE)
    assert len(requirements) > 100
    assert pinned == requirements


def test_the_lock_keeps_one_opencv():
    lock = (ROOT / "requirements.lock").read_text()
    assert re.search(r"^opencv-python-headless==", lock, re.MULTILINE)
    assert not re.search(r"^opencv-python==(?!.*never)", lock, re.MULTILINE)


def test_there_is_no_uv_lock():
    assert not (ROOT / "uv.lock").exists()


def test_no_large_file_is_tracked():
    large = [path.relative_to(ROOT) for path in tracked() if path.stat().st_size > MEGABYTE]
    assert not large


def test_no_path_of_a_machine_is_written_down():
    folder = re.compile(rb"(?<![\w.])/(?:home|root|Users|work)/\w+")
    named = []
    for path in tracked():
        if path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".cfg",
            ".sh",
            ".json",
            ".csv",
            ".yaml",
            ".cff",
            ".lock",
            "",
        }:
            named += [(path.name, match.group()) for match in folder.finditer(path.read_bytes())]
    assert not named


def test_tests_are_no_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))
