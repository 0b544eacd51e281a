"""The project's own virtual environments. Started by scripts/_venv with any Python >= 3.11; standard library only.

An environment is `.cache/venv-<extra>` in the checkout (or in the user's cache folder when the checkout cannot be
written). It counts as finished only with a marker in it that holds the key of what was installed: setup.cfg, setup.py,
the Python, the place of the checkout. Anything else is made anew, under a lock that vanishes with its holder.
"""

import fcntl
import functools
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARKER = "finished"
EVERY = 3.0


class Lacking(Exception):
    """The machine lacks something; one sentence with the remedy."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def writable(folder: Path) -> bool:
    """Whether a file can really be made there (root may "write" everywhere, save on a read-only mount)."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def cache_folder() -> tuple[Path, bool]:
    """Where the environments go, and whether that is inside the checkout."""
    inside = ROOT / ".cache"
    if writable(inside) and writable(ROOT):
        return inside, True
    mine = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    places = [Path(tempfile.gettempdir()) / f"chatrixcd_threads-{os.getuid()}"]
    if os.environ.get("HOME"):
        places.insert(0, Path(os.environ["HOME"]) / ".cache" / "chatrixcd_threads")
    if os.environ.get("XDG_CACHE_HOME", "").startswith("/"):
        places.insert(0, Path(os.environ["XDG_CACHE_HOME"]) / "chatrixcd_threads")
    for place in places:
        if writable(place / mine):
            return place / mine, False
    raise Lacking(f"Neither {ROOT} nor a cache folder can be written: set XDG_CACHE_HOME to a folder of yours.")


def key(extra: str) -> str:
    digest = hashlib.sha256()
    for part in (extra, sys.version, sys.base_prefix, str(ROOT)):
        digest.update(part.encode() + b"\0")
    for name in ("setup.cfg", "setup.py", "pyproject.toml"):
        file = ROOT / name
        digest.update(name.encode() + (file.read_bytes() if file.exists() else b"-"))
    return digest.hexdigest()


def finished(venv: Path, wanted: str) -> bool:
    try:
        if (venv / MARKER).read_text("utf-8") != wanted:
            return False
    except OSError:
        return False
    check = [str(venv / "bin" / "python"), "-I", "-c", "pass"]
    return subprocess.run(check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


def source_to_install(cache: Path, inside: bool) -> Path:
    """The folder that pip gets. A checkout that cannot be written is stood in for by a folder of links to it."""
    if inside:
        return ROOT
    stand_in = cache / "source"
    shutil.rmtree(stand_in, ignore_errors=True)
    stand_in.mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name not in {".git", ".cache"} and not entry.name.endswith(".egg-info"):
            (stand_in / entry.name).symlink_to(entry)
    return stand_in


def make(venv: Path, extra: str, wanted: str, source: Path, lock: int) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise Lacking(
            f"The venv module of Python {version} is missing: install it "
            f"(Debian, Ubuntu: apt install python{version}-venv) and run this again."
        )
    shutil.rmtree(venv, ignore_errors=True)
    log = venv.with_name(venv.name + ".log")
    log.write_bytes(b"")
    python = str(venv / "bin" / "python")
    pip = [python, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    say(f"Preparing {venv} (once; a few minutes at most)")
    start = time.monotonic()
    step = functools.partial(run, start=start, log=log, lock=lock)
    step([sys.executable, "-I", "-m", "venv", str(venv)], "making the environment")
    step([*pip, "install", "--no-compile", "--progress-bar", "off", "-e", f"{source}[{extra}]"], "installing")
    step([python, "-I", "-m", "compileall", "-q", "-j", "0", str(venv / "lib")], "compiling", must=False)
    (venv / MARKER).write_text(wanted, "utf-8")
    say(f"Prepared in {time.monotonic() - start:.0f} s")


def run(command: list[str], what: str, *, start: float, log: Path, lock: int, must: bool = True) -> None:
    """Run a command with its output in the log, and say every few seconds how far it is.

    It holds the lock as well: if this process is killed, nobody else starts while the command still writes.
    """
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            pass_fds=(lock,),
            start_new_session=True,
        )
    try:
        while True:
            try:
                status = child.wait(EVERY)
                break
            except subprocess.TimeoutExpired:
                detail = f": {last_line(log)}" if what == "installing" else ""
                say(f"  {what}, {time.monotonic() - start:.0f} s{detail}")
    except BaseException:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        raise
    if status and must:
        lines = log.read_text("utf-8", "replace").splitlines()
        errors = [line for line in lines if line.startswith("ERROR")]
        say("\n".join(lines[-15:]))
        if "ensurepip" in "".join(lines) and what.startswith("making"):
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise Lacking(
                f"The venv module of Python {version} is incomplete: install it "
                f"(Debian, Ubuntu: apt install python{version}-venv) and run this again."
            )
        reason = f" ({errors[-1][:200]})" if errors else ""
        say(f"Failed while {what}{reason}. Is PyPI reachable? The whole log: {log}")
        raise SystemExit(1)


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:100] if lines else "..."


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in {"demo", "test", "dev"}:
        say("usage: _venv demo|test|dev")
        raise SystemExit(64)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    extra = sys.argv[1]
    cache, inside = cache_folder()
    venv = cache / f"venv-{extra}"
    wanted = key(extra)
    if not finished(venv, wanted):
        with (cache / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say(f"Another run prepares an environment in {cache}; waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not finished(venv, wanted):
                make(venv, extra, wanted, source_to_install(cache, inside), lock.fileno())
    print(venv / "bin" / "python")


if __name__ == "__main__":
    try:
        main()
    except Lacking as lacking:
        say(str(lacking))
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        say("Interrupted; the next run starts the preparation again.")
        raise SystemExit(130) from None
