"""What is installed, which operators are compiled, which devices and data sets are there; and the mends."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmark import data_spec
from pretrain.cores import cores
from pretrain.errors import DensebenchError

USES = {"": "tables", "run": "pretraining and fine-tuning (tables work without)"}  # by setup.cfg's extras
SET_UP = "run `make setup` in the clone"
NEEDED_GB = 8
_OPERATORS = """
import warnings; warnings.simplefilter("ignore")
import torch
from mmcv.ops import get_compiling_cuda_version, nms
boxes, scores = torch.tensor([[0., 0., 9., 9.], [0., 0., 9., 8.]]), torch.tensor([0.9, 0.8])
assert nms(boxes, scores, 0.5)[1].tolist() == [0]
print("cpu")
if torch.cuda.is_available():
    assert nms(boxes.cuda(), scores.cuda(), 0.5)[1].tolist() == [0]
    print("cuda")
elif get_compiling_cuda_version() != "not available":
    print("untried")
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        state: "ok", "note" for what one can do without, or "missing" for what is needed.
        found: What was found.
        mend: What to do about it; empty where nothing is to be done.
    """

    name: str
    state: str
    found: str
    mend: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return plain data for JSON."""
        return asdict(self)


def examine(data_root: Path) -> list[Finding]:
    """Look at the machine, the packages, the operators, the devices, the disk and the data.

    Args:
        data_root: Where data sets should be.
    """
    findings = [_python(), *_packages()]
    if importlib.util.find_spec("torch") and importlib.util.find_spec("mmengine"):
        findings += [*_operators(), *_devices()]
    return [*findings, _disk(data_root), *_data(data_root)]


def report(findings: list[Finding]) -> str:
    """Write findings as lines of text, mends under them."""
    marks = {"ok": "ok     ", "note": "note   ", "missing": "MISSING"}
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.state]}  {finding.name:{width}}  {finding.found}")
        if finding.mend:
            lines.append(" " * (width + 11) + f"-> {finding.mend}")
    missing = sum(finding.state == "missing" for finding in findings)
    lines.append(f"{missing} needed thing{'' if missing == 1 else 's'} missing." if missing else "All is well.")
    return "\n".join(lines)


def _python() -> Finding:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 12)
    found = f"{platform.python_version()} in {sys.prefix}"
    if supported:
        return Finding("python", "ok", found)
    return Finding("python", "missing", found, "densebench needs Python 3.11 or 3.12: make PYTHON=python3.11")


def _packages() -> list[Finding]:
    """Look for what setup.cfg requires, as the installed densebench knows it."""
    try:
        requirements = importlib.metadata.requires("densebench") or []
    except importlib.metadata.PackageNotFoundError:
        return [Finding("densebench", "missing", "not installed, so what it needs is not known", SET_UP)]
    findings = []
    for requirement in requirements:  # such as 'scipy>=1.11; extra == "run"'
        name = re.split(r"[^\w.-]", requirement)[0]
        extra = requirement.partition("extra == ")[2].strip("\"'")
        if extra in USES:
            findings.append(_package(name, requirement.partition(";")[0], USES[extra]))
    return findings


def _package(name: str, requirement: str, use: str) -> Finding:
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, "missing", "not installed", f"needed for {use}: {SET_UP}")
    if _meets(found, requirement):
        return Finding(name, "ok", found)
    return Finding(name, "note", found, f"densebench is tested with {requirement.strip()}: {SET_UP}")


def _meets(version: str, requirement: str) -> bool:
    try:
        from packaging.requirements import Requirement
    except ImportError:  # it comes with what trains; the tables alone do without
        return True
    return Requirement(requirement).specifier.contains(version, prereleases=True)


def _operators() -> list[Finding]:
    """Call MMCV's nms in a process of its own, on the CPU and on a GPU; without a GPU see for what it was compiled."""
    done = subprocess.run([sys.executable, "-c", _OPERATORS], capture_output=True, text=True, check=False)
    where = done.stdout.split()
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    rebuild = "rebuild MMCV: .venv/bin/uv cache clean onedl-mmcv && make clean setup"
    if "cpu" not in where:
        return [Finding("MMCV ops, CPU", "missing", reason, rebuild)]
    findings = [Finding("MMCV ops, CPU", "ok", "compiled, and they work")]
    import torch

    mend = f"load the CUDA {torch.version.cuda} toolkit (nvcc), then {rebuild}"
    if "cuda" in where:
        findings.append(Finding("MMCV ops, CUDA", "ok", "compiled, and they work"))
    elif torch.cuda.is_available():
        findings.append(Finding("MMCV ops, CUDA", "missing", reason, mend))
    elif "untried" in where:
        findings.append(Finding("MMCV ops, CUDA", "ok", "compiled; there is no GPU here to try them on"))
    elif torch.version.cuda:
        kind = "to use GPUs elsewhere, name their kind (TORCH_CUDA_ARCH_LIST=9.0 for H100), "
        findings.append(Finding("MMCV ops, CUDA", "note", "not compiled", kind + mend))
    return findings


def _devices() -> list[Finding]:
    import torch

    from pretrain.engine.precision import has_bfloat16

    bfloat16 = "bfloat16 in hardware" if has_bfloat16() else "no bfloat16: float32 is used"
    cpu = f"{cores()} cores, {torch.backends.cpu.get_cpu_capability()}"
    if torch.cuda.is_available():  # the GPUs train, and what they can do decides
        findings = [Finding("CPU", "ok", cpu)]
        for index in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(index)
            found = f"{device.name}, {device.total_memory / 2**30:.0f} GB, {bfloat16}"
            findings.append(Finding(f"GPU {index}", "ok", found))
    else:
        findings = [Finding("CPU", "ok", f"{cpu}, {bfloat16}")]
        mend = "the demo and the `.small` tasks run on a CPU; the papers' full settings want GPUs"
        findings.append(Finding("GPU", "note", f"torch {torch.__version__} sees none", mend))
    return findings


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if free >= NEEDED_GB:
        return Finding("disk", "ok", f"{free:.0f} GB free at {existing}")
    return Finding("disk", "note", f"{free:.1f} GB free at {existing}", "checkpoints and data may not fit")


def _data(root: Path) -> list[Finding]:
    quoted = shlex.quote(str(root))
    if not root.is_dir():
        mend = f"name another with --data-root, or make embedded data: densebench data scenes {quoted}"
        return [Finding("data", "note", f"there is no folder {root}", mend)]
    try:
        spec = data_spec.read(root)
    except DensebenchError as error:
        return [Finding("data", "note", error.message, error.mend)]
    findings = []
    for name, folder in data_spec.FOLDERS.items():
        if (root / folder).is_dir():
            found = f"folder {root / folder} there, not verified ({spec.name})"
            findings.append(Finding(name, "note", found, f"verify it: densebench data check --data-root {quoted}"))
        else:
            mend = "its tasks cannot run on this data root; docs/data.md tells where to get it"
            findings.append(Finding(name, "note", f"no folder {root / folder}", mend))
    return findings
