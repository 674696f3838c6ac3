"""Make .venv: the locked requirements and MMCV's compiled operators. Plain Python: nothing is installed yet."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "densebench.stamp"
KEYED = ("requirements.lock", "pyproject.toml", "setup.cfg")
UV = "uv==0.13.8"
PYTHONS = ((3, 11), (3, 12))
DISK_GB = 8
REBUILD = ".venv/bin/uv cache clean onedl-mmcv && make clean setup"
COMPILER_GB = 3  # one compiler process on torch's headers


def stop(message: str) -> NoReturn:
    """End with one sentence on stderr and exit status 1."""
    sys.exit(f"make setup: {message}")


def wanted() -> str:
    """Return what the stamp of an up-to-date environment says."""
    digest = hashlib.sha256()
    for name in KEYED:
        digest.update((ROOT / name).read_bytes())
    return f"{digest.hexdigest()} python{sys.version_info[0]}.{sys.version_info[1]} {ROOT}\n"


def check_machine() -> None:
    """Stop with one sentence for the first thing that this machine lacks."""
    found = platform.python_version()
    if sys.version_info[:2] not in PYTHONS:
        stop(f"Python 3.11 or 3.12 is needed, and {sys.executable} is {found}; try make PYTHON=python3.11")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        stop("MMCV's operators need Python's headers (Python.h). On Debian and Ubuntu: apt install python3-dev")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        stop("Python's venv module is incomplete. On Debian and Ubuntu: apt install python3-venv")
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "c++", "g++", "clang++")):
        stop("A C++ compiler is needed for MMCV's operators. On Debian and Ubuntu: apt install g++")
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < DISK_GB and not VENV.exists():  # an interrupted setup has taken its part of them, most in uv's cache
        stop(f"about {DISK_GB} GB of free disk are needed, and {ROOT} has {free:.1f} GB.")


def memory_gb() -> float:
    """Return the machine's memory in GB."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (AttributeError, OSError, ValueError):
        return 8.0


def release(pattern: str, text: str) -> str | None:
    """Return the first release number that a pattern finds in a text, or None."""
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1) if found else None


def said_by(program: str | None, *arguments: str) -> str:
    """Return what a program prints; nothing where there is none."""
    return subprocess.run([program, *arguments], stdout=subprocess.PIPE, text=True).stdout if program else ""


def without_cuda() -> str:
    """Say why MMCV's operators cannot be compiled for CUDA, and how to mend it; nothing where they can."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = release(r"^cuda-toolkit==(\d+)", lock)
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    nvcc = shutil.which("nvcc", path=os.pathsep.join([home + "/bin", os.environ.get("PATH", "")]))
    found = release(r"release (\d+)", said_by(nvcc, "--version"))
    if not found or found != locked:
        which = f"the compiler {nvcc} is of CUDA {found}, and torch of CUDA {locked}" if found else "there is no nvcc"
        return f"{which}. For GPUs load the toolkit of CUDA {locked} (module load, or CUDA_HOME)"
    if os.environ.get("TORCH_CUDA_ARCH_LIST") or "GPU " in said_by(shutil.which("nvidia-smi"), "-L"):
        return ""
    return "no GPU is visible here. For GPUs elsewhere name their kind, such as TORCH_CUDA_ARCH_LIST=9.0 for H100"


def build_environment() -> dict[str, str]:
    """Return the environment variables for uv and for the build of MMCV's operators."""
    environment = dict(os.environ, VIRTUAL_ENV=str(VENV), UV_NO_PROGRESS="1")
    environment.setdefault("MMCV_WITH_OPS", "1")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment.setdefault("MAX_JOBS", str(max(1, min(cores, int(memory_gb() // COMPILER_GB)))))
    lack = without_cuda()
    if lack:
        # NOTE: MMCV compiles for CUDA wherever torch sees a GPU, and fails there without the right nvcc.
        environment["CUDA_VISIBLE_DEVICES"] = ""
        print(f"MMCV is compiled for the CPU only: {lack}, then:\n    {REBUILD}", flush=True)
    else:
        environment["FORCE_CUDA"] = "1"  # also where one sets up, a login node, there is no GPU
    for pip_name, uv_name in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
        if pip_name in os.environ:
            environment.setdefault(uv_name, os.environ[pip_name])
    return environment


class Progress:
    """Pass a program's lines on, with a line about the long build under them.

    On a terminal the last line is rewritten in place; elsewhere a plain line appears now and then.
    """

    every_s = 15.0

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.start = time.monotonic()
        self.begun = time.time()
        self.lock = threading.Lock()
        self.finished = threading.Event()
        self.terminal = sys.stdout.isatty()
        self.open: list[str] = []
        self.said = ("", -self.every_s)

    def compiled(self) -> tuple[int, int] | None:
        """Return (object files there, object files planned) of the running MMCV build, or None."""
        build = "onedl-mmcv/*/*/src/build/temp*/build.ninja"
        try:
            plans = [plan for above in ("*", "*/*") for plan in self.cache.glob(f"sdists-v*/{above}/{build}")]
            newest = max((plan for plan in plans if plan.stat().st_mtime >= self.begun), key=os.path.getmtime)
            lines = newest.read_text(encoding="utf-8").splitlines()
            planned = sum(line.startswith("build ") and ".o:" in line for line in lines)
            return sum(1 for _ in newest.parent.rglob("*.o")), planned
        except (ValueError, OSError):  # no build of this run yet; a builder takes files away while one looks
            return None

    def status(self) -> str:
        """Return the line about what is going on now."""
        minutes, seconds = divmod(int(time.monotonic() - self.start), 60)
        line = f"[{minutes:2d}:{seconds:02d}] "
        building = [name for name in self.open if name.startswith("onedl-mmcv")]
        counts = self.compiled() if building else None
        if counts:
            return line + f"compiling MMCV's operators: {counts[0]} of {counts[1]} files"
        if self.open:
            return line + "waiting for " + ", ".join(self.open[:4]) + (", ..." if len(self.open) > 4 else "")
        return line + "working"

    def tick(self) -> None:
        """Show the status every second until the program has ended."""
        while not self.finished.wait(1.0):
            line = self.status()
            with self.lock:
                text, at = self.said
                if self.terminal:
                    print("\r\033[K" + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
                elif line[8:] != text and time.monotonic() - at >= self.every_s:
                    print(line, flush=True)
                    self.said = (line[8:], time.monotonic())

    def read(self, line: str) -> None:
        """Pass one line of the program on, and remember what it has begun and ended."""
        begun = re.match(r"\s*(?:Downloading|Building) (\S+)", line)
        ended = re.match(r"\s*(?:Downloaded|Built) (\S+)", line)
        if begun:
            self.open.append(begun.group(1))
        elif ended and ended.group(1) in self.open:
            self.open.remove(ended.group(1))
        if not re.match(r" [-+~] ", line):  # the list of what was installed is the lock
            with self.lock:
                print(("\r\033[K" if self.terminal else "") + line.rstrip(), flush=True)

    def run(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> int:
        """Run a program to its end and return its exit status."""
        ticker = threading.Thread(target=self.tick, daemon=True)
        ticker.start()
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self.read(line)
        self.finished.set()
        ticker.join()
        if self.terminal:
            print("\r\033[K", end="")
        return process.returncode


def quietly(command: Sequence[str | Path], environment: Mapping[str, str], sentence: str) -> str:
    """Run a short command; stop with its output and the sentence when it fails."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        stop(sentence)
    return done.stdout


def made_here() -> bool:
    """Say whether .venv was made in this very folder, with this Python; a moved one is broken."""
    made = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    return str(VENV) in made and f"version = {platform.python_version()}" in made


def install() -> None:
    """Create the environment, or bring the one that is there up to date."""
    python, uv, environment = VENV / "bin/python", VENV / "bin/uv", build_environment()
    if not python.exists() or not made_here():
        print("Making .venv with Python", platform.python_version(), flush=True)
        quietly([sys.executable, "-m", "venv", "--clear", VENV], environment, f"{VENV} could not be made.")
    if not uv.exists() or UV.split("==")[1] not in quietly([uv, "--version"], environment, "uv does not start."):
        print("Installing", UV, flush=True)
        quietly([python, "-m", "pip", "install", "-q", UV], environment, f"{UV} could not be installed.")

    cache = Path(quietly([uv, "cache", "dir"], environment, "uv has no cache folder.").strip())
    print("Installing requirements.lock (about 6 GB; compiling MMCV takes 8-16 minutes on 2 cores).", flush=True)
    # Compiled now, the libraries start in seconds also where Python writes no bytecode of its own.
    if Progress(cache).run(
        [uv, "pip", "install", "--no-deps", "--require-hashes", "--compile-bytecode", "-r", "requirements.lock"],
        environment,
    ):
        stop("the installation failed, see above; `make setup` again continues with what is in uv's cache.")
    quietly(
        [uv, "pip", "install", "--no-deps", "-e", "."],
        environment,
        "densebench itself could not be installed.",
    )
    check_operators(python, environment)
    STAMP.write_text(wanted(), encoding="utf-8")


def check_operators(python: Path, environment: Mapping[str, str]) -> None:
    """Stop unless MMCV's operators are really there: an sdist built without torch installs without them."""
    program = (
        "import torch; from mmcv.ops import nms\n"
        "boxes = torch.tensor([[0., 0., 9., 9.], [0., 0., 9., 8.], [20., 20., 30., 30.]])\n"
        "kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1]\n"
        "assert kept.tolist() == [0, 2], kept"
    )
    sentence = f"MMCV is installed without working compiled operators. Remove them and build again: {REBUILD}"
    quietly([python, "-W", "ignore", "-c", program], environment, sentence)


def main() -> None:
    """Make the environment, or say nothing when it is up to date."""
    if STAMP.exists() and STAMP.read_text(encoding="utf-8") == wanted():
        return
    check_machine()
    try:
        install()
    except KeyboardInterrupt:
        stop("interrupted; `make setup` again continues with what is in uv's cache.")
    print("Ready: .venv/bin/densebench", flush=True)


if __name__ == "__main__":
    main()
