"""The guest's root file system and kernels: Debian with Python, and what the tests import.

Made once into `build/guest`, and again only when what it is made of changes.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_CACHE = ROOT / "build" / "guest"
_FIRST_PROCESS = Path(__file__).with_name("first-process")
#: Of the interpreter in Debian 12, which the packages from PyPI are chosen for.
_PYTHON = "3.11"
_PACKAGES = (
    *("python3", "python3-venv", "libseccomp2", "iproute2"),
    *("linux-image-cloud-amd64", "initramfs-tools", "zstd"),
)
#: Beside the dependencies of the project itself and of its sandbox.
_FOR_TESTS = ("hypothesis", "pytest", "pytest-timeout")
_IMAGE_BYTES = 2 << 30
#: The newer kernel is in the release's backports, wherever the release itself was found.
_BACKPORTS = """set -e
sed -n 's/ bookworm / bookworm-backports /p' "$1/etc/apt/sources.list" | head -n 1 \\
    >"$1/etc/apt/sources.list.d/backports.list"
chroot "$1" apt-get -qq update
chroot "$1" apt-get -qq install -y -t bookworm-backports linux-image-cloud-amd64 >/dev/null
"""
_PROGRAM = """#!/opt/plum/bin/python
import sys
from {module} import main
sys.exit(main())
"""
_PROGRAMS = {
    "plum": "orchestrator.cli.main",
    "plum-sandbox": "sandbox_server.cli",
    "pytest": "pytest",
}


@dataclass(frozen=True)
class RootImage:
    """What a guest is started from."""

    folder: Path

    @property
    def disk(self) -> Path:
        """The root file system, ext4."""
        return self.folder / "root.ext4"

    def kernel(self, version: str) -> tuple[Path, Path]:
        """The kernel of series `version` ("6.1") and its initial file system."""
        (kernel,) = self.folder.glob(f"vmlinuz-{version}.*")
        return kernel, kernel.with_name(kernel.name.replace("vmlinuz", "initrd.img"))


def root_image() -> RootImage:
    """The image, made now where there is none yet. Takes a few minutes then."""
    requirements = _requirements()
    made_of = (*_PACKAGES, *requirements, _FIRST_PROCESS.read_text(), Path(__file__).read_text())
    key = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]
    image = RootImage(_CACHE / key)
    if not image.folder.is_dir():
        print("test-guest: making the guest's root file system", file=sys.stderr, flush=True)
        shutil.rmtree(_CACHE, ignore_errors=True)
        _CACHE.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as folder:
            _make(Path(folder), requirements)
            (Path(folder) / "image").rename(image.folder)
    return image


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["sandbox"], *_FOR_TESTS]


def _make(folder: Path, requirements: list[str]) -> None:
    """Makes `folder`/image."""
    root, image = folder / "root", folder / "image"
    image.mkdir()
    hook = folder / "backports"
    hook.write_text(_BACKPORTS)
    hook.chmod(0o755)
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    _run(*command, f"--customize-hook={hook}", "bookworm", root)
    for kernel in root.glob("boot/vmlinuz-*"):
        shutil.copy(kernel, image)
        shutil.copy(kernel.with_name(kernel.name.replace("vmlinuz", "initrd.img")), image)
    _install(root, requirements)
    shutil.copy(_FIRST_PROCESS, root / "sbin" / "plum-first-process")
    with open(image / "root.ext4", "wb") as disk:
        disk.truncate(_IMAGE_BYTES)
    _run("mke2fs", "-q", "-t", "ext4", "-d", root, image / "root.ext4")


def _install(root: Path, requirements: list[str]) -> None:
    """Makes /opt/plum, an environment whose own packages are this project where it is mounted."""
    _run("chroot", root, "python3", "-m", "venv", "--without-pip", "/opt/plum")
    packages = root / "opt" / "plum" / "lib" / f"python{_PYTHON}" / "site-packages"
    # From here, whose package settings are known to work, for the interpreter there.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", packages]
    _run(*pip, "--python-version", _PYTHON, "--only-binary=:all:", *requirements)
    (packages / "plum.pth").write_text("/mnt/plum\n/mnt/plum/proto/gen\n")
    about = packages / "plum_code-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plum-code\nVersion: 0\n")
    for name, module in _PROGRAMS.items():
        program = root / "opt" / "plum" / "bin" / name
        program.write_text(_PROGRAM.format(module=module))
        program.chmod(0o755)
    # An emulated processor would take long over it, at each start.
    _run("chroot", root, "/opt/plum/bin/python", "-m", "compileall", "-q", "/opt/plum")


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True)
