"""tools/setup_environment.py: what a machine lacks, the stamp, and the progress of the long build."""

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "setup_environment.py"


@pytest.fixture
def setup(tmp_path, monkeypatch):
    """The script as a module that works in an empty folder."""
    specification = importlib.util.spec_from_file_location("setup_environment", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    for name in module.KEYED:
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "densebench.stamp")
    monkeypatch.setattr(module.shutil, "which", lambda name, path=None: f"/usr/bin/{name}")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=50 * 2**30))
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(tmp_path / name))
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "Python.h").touch()
    return module


def test_a_good_machine_passes(setup):
    setup.check_machine()


def test_every_lack_has_its_sentence(setup, monkeypatch, tmp_path):
    def stops(says):
        with pytest.raises(SystemExit, match=re.escape(says)):
            setup.check_machine()

    with monkeypatch.context() as lack:
        lack.setattr(setup.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
        stops("1.0 GB")
    with monkeypatch.context() as lack:
        lack.setattr(setup.shutil, "which", lambda name, path=None: None)
        stops("apt install g++")
    with monkeypatch.context() as lack:
        lack.setitem(sys.modules, "ensurepip", None)
        stops("apt install python3-venv")
    with monkeypatch.context() as lack:
        lack.setattr(setup, "PYTHONS", ((3, 99),))
        stops(sys.executable)
    (tmp_path / "include" / "Python.h").unlink()
    stops("apt install python3-dev")


def test_an_interrupted_setup_goes_on_with_the_disk_it_has_filled(setup, monkeypatch):
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**30))
    setup.VENV.mkdir()
    setup.check_machine()


def test_the_stamp_follows_lock_and_metadata(setup, tmp_path):
    before = setup.wanted()
    assert setup.wanted() == before
    for name in setup.KEYED:
        (tmp_path / name).write_text("changed")
        assert setup.wanted() != before
        before = setup.wanted()


def test_an_up_to_date_environment_is_left_alone(setup, monkeypatch):
    monkeypatch.setattr(setup, "install", lambda: pytest.fail("installed again"))
    setup.VENV.mkdir()
    setup.STAMP.write_text(setup.wanted())
    setup.main()


def test_a_moved_environment_is_recognised(setup, tmp_path):
    setup.VENV.mkdir()
    version = f"version = {setup.platform.python_version()}\n"
    (setup.VENV / "pyvenv.cfg").write_text(f"{version}command = python -m venv {setup.VENV}\n")
    assert setup.made_here()
    (setup.VENV / "pyvenv.cfg").write_text(f"{version}command = python -m venv /elsewhere/.venv\n")
    assert not setup.made_here()


def test_compiled_files_are_counted(setup, tmp_path, capsys, monkeypatch):
    build = tmp_path / "sdists-v9" / "pypi" / "onedl-mmcv" / "2.3.6" / "ab" / "src" / "build" / "temp.linux"
    build.mkdir(parents=True)
    plan = "".join(f"build {build}/{name}.o: compile {name}.cpp\n" for name in "abc")
    (build / "build.ninja").write_text(f"rule compile\n{plan}default all\n")
    (build / "deep").mkdir()
    (build / "deep" / "a.o").touch()
    progress = setup.Progress(tmp_path)
    progress.read("   Building onedl-mmcv==2.3.6\n")
    os.utime(build / "build.ninja", (0, 0))
    assert progress.status().endswith("waiting for onedl-mmcv==2.3.6")  # the plan is an earlier build's
    os.utime(build / "build.ninja")
    assert progress.status().endswith("compiling MMCV's operators: 1 of 3 files")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rglob", lambda *_: (_ for _ in ()).throw(FileNotFoundError("taken away")))
        assert progress.status().endswith("waiting for onedl-mmcv==2.3.6")
    progress.read("      Built onedl-mmcv==2.3.6\n")
    progress.read("Downloading torch (502.2MiB)\n")
    progress.read(" + torch==2.13.0\n")
    assert progress.status().endswith("waiting for torch")
    assert "+ torch" not in capsys.readouterr().out


def test_a_program_s_lines_and_status_come_through(setup, tmp_path, capsys):
    program = [sys.executable, "-c", "print('Downloading torch (1MiB)'); raise SystemExit(3)"]
    assert setup.Progress(tmp_path).run(program, None) == 3
    assert "Downloading torch" in capsys.readouterr().out


def test_operators_that_do_not_work_stop_the_setup(setup):
    with pytest.raises(SystemExit, match="without working compiled operators"):
        setup.check_operators("false", None)


LOCK = "cuda-bindings==99.1\ncuda-toolkit==13.0.3.0 ; sys_platform == 'linux' \\\n"


@pytest.mark.parametrize(
    ("nvcc", "gpus", "kinds", "says"),
    [
        ("release 13.1, V13.1.1", "GPU 0: H100", "", ""),
        ("release 13.0, V13.0.88", "", "9.0", ""),
        ("release 13.0, V13.0.88", "", "", "no GPU is visible here"),
        ("release 12.4, V12.4.131", "GPU 0: H100", "9.0", "is of CUDA 12, and torch of CUDA 13"),
        ("", "GPU 0: H100", "9.0", "there is no nvcc. For GPUs load the toolkit of CUDA 13"),
    ],
)
def test_mmcv_is_compiled_for_cuda_where_that_can_work_and_otherwise_it_is_said(
    setup, tmp_path, monkeypatch, capsys, nvcc, gpus, kinds, says
):
    (tmp_path / "requirements.lock").write_text(LOCK)
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", kinds)
    monkeypatch.delenv("FORCE_CUDA", raising=False)
    there = {"nvcc": nvcc, "nvidia-smi": gpus}
    monkeypatch.setattr(setup.shutil, "which", lambda name, path=None: name if there.get(name) else None)
    monkeypatch.setattr(setup, "said_by", lambda program, *_: there.get(program, ""))
    environment = setup.build_environment()
    printed = capsys.readouterr().out
    if says:
        assert environment["CUDA_VISIBLE_DEVICES"] == "" and "FORCE_CUDA" not in environment
        assert printed.startswith("MMCV is compiled for the CPU only: ") and says in printed
        assert "uv cache clean onedl-mmcv && make clean setup" in printed
    else:
        assert environment["FORCE_CUDA"] == "1" and not printed


def test_what_a_program_prints_is_read(setup):
    assert setup.said_by(sys.executable, "-c", "print('release 13.0')") == "release 13.0\n"
    assert setup.said_by(None, "--version") == ""
