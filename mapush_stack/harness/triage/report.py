"""The text of a bug report on a crash: lines of its log and versions, without what is private."""

from __future__ import annotations

import getpass
import platform
import re
import socket
from pathlib import Path
from typing import List

from ...system.gpu import Nvidia
from ..doctor.machine_info import Torch
from .diagnosis import Diagnosis
from .log import Log

_LAST = 30
"""Last lines of the log in a report."""
_RELEVANT = re.compile(
    r"(?:isaacgym|torch|numpy|mujoco|warp|jax|openrl|harl|rsl-rl|rl-games|gym|stable-baselines|ray$|wandb|tensorboard|hydra"
    r"|protobuf|setuptools|nvidia|cuda)"
)
"""Packages whose versions a report lists, by the start of their names."""
_SECRETS = (
    (
        re.compile(
            r"(?i)\b((?:[\w-]*(?:api_?key|token|password|passwd|secret)[\w-]*)[\"']?\s*[:=]\s*[\"']?)[^\s\"',;)\]]+"
        ),
        r"\1SECRET",
    ),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|hf_|sk-|xox[abp]-|AKIA|glpat-)[\w-]{8,}"), "SECRET"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{32,}\b"), "SECRET"),
    (re.compile(r"(?<=://)[^\s/@]+@"), ""),
    (re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"), "USER@HOST"),
    (re.compile(r"(?:(?<=ip=)|(?<![=\w.-]))\d{1,3}(?:\.\d{1,3}){3}(?![\w.-])"), "ADDRESS"),
)
_NAMES = re.compile(
    r"(?:/(?:home|Users)/|[A-Za-z]:\\Users\\)(?P<user>[\w.-]+)|\b(?P<who>[a-z_][\w.-]*)@(?P<host>[\w.-]+)(?=[:\s])"
    r"|(?:srun: error: |JOB \d+ ON |\bnode(?:list)?[=: ])(?P<node>[A-Za-z][\w.-]*\d)"
)
"""Where a log tells the names of users and hosts."""
_PUBLIC = {"root", "user", "ubuntu", "runner", "mapush", "python", "localhost", "linux", "docker"}
_FOLDERS = re.compile(
    r"(?<![\w.:/])(?:~|[A-Za-z]:)?[/\\](?!(?:usr|lib|lib64|etc|dev|proc|sys|bin|buildAgent|builds)[/\\])(?:[^\s/\\:'\"<>|(),;]+[/\\])+"
)
_PACKAGES = re.compile(r"[/\\]((?:site|dist)-packages[/\\].*)$", re.DOTALL)


def write(diagnosis: Diagnosis, answer: str, log: Log, machine: str) -> str:
    """The text of a report in Markdown, with `answer` for what triage said and `machine` from `versions`."""
    telling = diagnosis.telling or [line for match in diagnosis.findings[:1] for line in match.evidence]
    shown = [f"{'' if one.line is None else one.line}: {one.text}" for one in telling]
    last = [log.line(number) for number in log.last(_LAST)]
    parts = [("What mapush triage says", [answer]), ("Its lines", shown), ("The last lines", last)]
    text = "\n".join(f"### {title}\n```\n" + "\n".join(lines) + "\n```" for title, lines in parts)
    return redacted(f"{text}\n### The machine that wrote this report\n```\n{machine}\n```")


def versions() -> str:
    """Versions of this machine as torch.utils.collect_env prints them; takes some seconds if torch is installed."""
    from ...system import gpu
    from ..doctor import probes

    packages = probes.installed()
    torch = probes.import_torch() if "torch" in packages else None
    return "\n".join([*_torch_lines(torch), *_system_lines(), *_gpu_lines(gpu.look()), *_package_lines(packages)])


def redacted(text: str) -> str:
    """A text without secrets, names of users and hosts, addresses, and folders."""
    names = {name for match in _NAMES.finditer(text) for name in match.groups() if name}
    for own in (getpass.getuser, socket.gethostname):
        try:
            names.add(own())
        except (KeyError, OSError, ImportError):  # a user whom the system does not know
            continue
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    text = _FOLDERS.sub(_without_folders, text)
    private = sorted((name for name in names if len(name) > 2 and name.lower() not in _PUBLIC), key=len, reverse=True)
    return re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, private))})(?!\w)", "NAME", text) if private else text


def _without_folders(match: re.Match[str]) -> str:
    package = _PACKAGES.search(match.group())
    return f".../{package.group(1)}" if package else ".../"


def _torch_lines(torch: Torch | None) -> List[str]:
    if torch is None:
        return ["PyTorch version: not installed"]
    if torch.error:
        return [f"PyTorch version: it cannot be imported: {torch.error.splitlines()[-1]}"]
    why = f" ({torch.cuda_error.splitlines()[-1]})" if torch.cuda_error else ""
    return [
        f"PyTorch version: {torch.version}",
        f"CUDA used to build PyTorch: {torch.cuda}",
        f"Is CUDA available: {torch.sees_gpu}{why}",
    ]


def _system_lines() -> List[str]:
    release = Path("/etc/os-release")
    named = re.search(
        r'^PRETTY_NAME="?([^"\n]*)', release.read_text("utf-8", "replace") if release.is_file() else "", re.M
    )
    return [
        f"OS: {named.group(1) if named else platform.system()} ({platform.machine()})",
        f"Libc version: {'-'.join(platform.libc_ver())}",
        f"Python version: {platform.python_version()}",
        f"Python platform: {platform.platform()}",
    ]


def _gpu_lines(nvidia: Nvidia) -> List[str]:
    cards = [
        f"GPU {number}: {card.name} (compute capability {'.'.join(map(str, card.compute_capability))})"
        for number, card in enumerate(nvidia.gpus)
    ]
    return [
        *(cards or ["GPU models and configuration: none"]),
        f"Nvidia driver version: {nvidia.problem or nvidia.driver or 'none'}",
    ]


def _package_lines(packages: dict[str, str]) -> List[str]:
    return ["Versions of relevant libraries:"] + [
        f"[pip3] {name}=={version}" for name, version in packages.items() if _RELEVANT.match(name)
    ]
