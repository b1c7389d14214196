"""The Dockerfile, docker-compose.yml, the scripts in env/ and the workflows, read and run without an engine."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from mapush_stack.training.manifest import _image_commit

ROOT = Path(__file__).resolve().parents[2]
ENV = ROOT / "env"
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="the image was built without .github/")


def trained(tmp_path, options, *arguments):
    """The command line that env/train.sh makes of these arguments."""
    (tmp_path / "mapush").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "mapush").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MAPUSH_TRAIN_OPTIONS": options}
    return subprocess.check_output([str(ENV / "train.sh"), *arguments], env=environment, text=True).split()


@pytest.mark.parametrize("service", ["train", "train-cpu", "train-warp"])
def test_a_service_adds_its_options_to_a_new_run_alone(tmp_path, service):
    """`docker compose run train-cpu --resume RUN`: a resumed run has its own configuration."""
    entry = SERVICES[service]["entrypoint"]
    assert entry[-1] == "/opt/mapush/env/train.sh" and not any(word.startswith("--") for word in entry)
    options = SERVICES[service]["environment"]["MAPUSH_TRAIN_OPTIONS"]
    assert options.startswith("--backend ")
    assert trained(tmp_path, options, "--seed", "2") == ["train", *options.split(), "--seed", "2"]
    assert trained(tmp_path, options, "--resume", "results/a") == ["train", "--resume", "results/a"]
    assert trained(tmp_path, options, "--wandb", "--resume=results/a") == ["train", "--wandb", "--resume=results/a"]


def test_train_gym_runs_mapushs_own_training_below_results(tmp_path):
    (tmp_path / "mapush").write_text('#!/bin/sh\npwd -P; ls; printf "%s\\n" "$@"\n')
    (tmp_path / "mapush").chmod(0o755)
    script = (
        (ENV / "train-gym.sh").read_text(encoding="utf-8").replace("/opt/mapush/results", str(tmp_path / "results"))
    )
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "MAPUSH_SRC": str(tmp_path / "MAPush"),
        "MAPUSH_GYM": "warp",
    }
    words = ["sh", "-c", script, "train-gym.sh", "--num_envs", "4"]
    folder, *lines = subprocess.check_output(words, env=environment, text=True).splitlines()
    assert re.fullmatch(rf"{tmp_path}/results/MAPush/[\d-]{{19}}", folder)  # not that of the last run
    links = ["mqe", "openrl_ws", "resources", "script", "task"]
    assert lines[:6] == ["docs", *links] and lines[6:12] == ["gym", "run", "--engine", "warp", "--", "python"]
    assert lines[-2:] == ["--num_envs", "4"]  # after the default of 200, so that it counts


@pytest.mark.parametrize("service", SERVICES)
def test_services_have_the_least_privilege(service):
    settings = SERVICES[service]
    assert settings["cap_drop"] == ["ALL"]
    assert set(settings["cap_add"]) == {"CHOWN", "DAC_OVERRIDE", "KILL", "SETGID", "SETUID"}
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["network_mode"] == ("bridge" if service == "tensorboard" else "none")
    assert "privileged" not in settings


@pytest.mark.parametrize("service", SERVICES)
def test_services_see_the_checkout_to_say_that_the_image_is_older(service):
    volumes = SERVICES[service]["volumes"]
    assert "./mapush_stack:/checkout/mapush_stack:ro" in volumes
    assert "cache:/home/mapush/.cache" in volumes
    assert (".:/opt/mapush" if service == "dev" else "./results:/opt/mapush/results") in volumes


def test_any_command_runs_on_the_gpu_and_on_the_cpu():
    for service in ("gpu", "cpu", "dev"):
        assert "command" not in SERVICES[service] and "entrypoint" not in SERVICES[service]
    assert SERVICES["gpu"]["image"] == "mapush-stack:${MAPUSH_TARGET:-warp}"
    assert SERVICES["gpu"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"


def test_compose_passes_every_build_argument_with_the_dockerfiles_default():
    known = dict(re.findall(r"^ARG (\w+)=(\S+)", DOCKERFILE, re.MULTILINE))
    known["COMMIT"] = ""
    for name in ("MAPUSH_URL", "HARL_URL"):
        assert known[name] in (ENV / "isaacgym" / "sources.sh").read_text(encoding="utf-8")
    del known["SOURCE_DATE_EPOCH"]
    for service in SERVICES.values():
        passed = service["build"]["args"]
        assert set(passed) == set(known)
        for name, value in passed.items():
            assert re.fullmatch(r"\$\{(?:MAPUSH|HARL)_\w+:-(.*)\}", value)[1] == known[name], name


def test_the_override_with_certificates_covers_every_service():
    override = yaml.safe_load((ROOT / "docker-compose.ca.yml").read_text(encoding="utf-8"))
    assert set(override["services"]) == set(SERVICES)
    assert all(service["build"]["secrets"] == ["ca"] for service in override["services"].values())


def test_a_step_that_fetches_names_its_build_argument_when_it_fails():
    for name in ("PYTHON_IMAGE", "PIP_INDEX_URL", "TORCH_INDEX", "TORCH_CU116_INDEX"):
        assert re.search(rf'echo "[^"]*(?:" \\\n\s+"[^"]*)*{name}=\.\.\.', DOCKERFILE), name
    for name in ("PYTHON_IMAGE", "CUDA_IMAGE"):  # BuildKit says what FROM did not find; the lines above it are printed
        assert re.search(rf"--build-arg {name}=\.\.\..*\nARG {name}=", DOCKERFILE), name


def test_bases_are_named_by_digest():
    for name in re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE):
        stages = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.MULTILINE)
        argument = re.fullmatch(r"\$\{(\w+)\}", name)
        assert name in stages or re.search(rf"^ARG {argument[1]}=\S+@sha256:[0-9a-f]{{64}}$", DOCKERFILE, re.MULTILINE)


def test_packages_are_installed_before_the_checkout_is_copied():
    """A change of the README installs nothing again."""
    for target in ("cpu", "warp", "isaacgym"):
        stage = re.search(rf"^FROM \S+ AS {target}$(.*?)(?=^FROM|\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)[1]
        before, after = stage.split("COPY --from=checkout")
        assert "--mount=type=cache" in before and "--mount=type=cache" not in after
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert [words for words in copied if not words.startswith("env/")] == ["."]


def test_mesas_egl_is_removed_beside_isaac_gym():
    stage = DOCKERFILE[DOCKERFILE.index("AS isaacgym\n") :]
    assert re.search(r"rm -f \S*/libEGL_mesa\.so\.0\S* \S*/50_mesa\.json", stage)
    assert "eglReleaseThread" in stage


def test_images_hold_all_that_the_tests_need():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert not {"docs", "tests", ".github", ".git", "examples"} & set(ignored)


@pytest.mark.parametrize(("written", "commit"), [("0123456789+\n", "0123456789+"), ("\n", None), (None, None)])
def test_a_manifest_has_the_commit_of_the_image(tmp_path, written, commit):
    if written is not None:
        (tmp_path / ".commit").write_text(written)
    assert _image_commit(tmp_path) == commit
    assert "> .commit" in DOCKERFILE and 'image.revision="$COMMIT"' in DOCKERFILE


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_name_actions_by_commit_and_keep_no_credentials(path):
    text = path.read_text(encoding="utf-8")
    for used in re.findall(r"uses: (.+)", text):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_a_release_publishes_what_may_be_published_by_digest_and_with_an_sbom():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["images"]["strategy"]["matrix"]["target"] == ["cpu", "warp"]
    assert jobs["publish"]["needs"] == "distributions" and jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "password:" not in text and not any("id-token" in str(jobs[name]) for name in jobs if name != "publish")
    for words in ("--sbom=true", "--provenance=mode=max", "containerimage.digest", "rewrite-timestamp=true"):
        assert words in text


def test_the_gpu_workflow_deletes_no_volume_of_another_project():
    text = (ROOT / ".github" / "workflows" / "gpu.yml").read_text(encoding="utf-8")
    environment = yaml.safe_load(text)["jobs"]["gpu"]["env"]
    assert "github.run_id" in environment["COMPOSE_PROJECT_NAME"] and "down --volumes" in text


def test_the_dev_container_is_the_image_with_the_checkout_mounted():
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert settings["build"] == {"dockerfile": "../Dockerfile", "context": "..", "target": "cpu"}
    assert settings["workspaceMount"].endswith(f"target={settings['workspaceFolder']},type=bind")
    assert settings["workspaceFolder"] == "/opt/mapush"
    assert settings["remoteUser"] != "root"


@pytest.mark.parametrize("target", ["cpu", "warp", "isaacgym"])
def test_apptainer_definitions_do_what_the_dockerfile_does(target):
    text = (ENV / "apptainer" / f"{target}.def").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", text, re.MULTILINE | re.DOTALL))
    known = dict(re.findall(r"^ARG (\w+)=(\S+)", DOCKERFILE, re.MULTILINE))
    arguments = dict(line.strip().split("=", 1) for line in sections["arguments"].splitlines() if line)
    assert arguments.items() <= known.items()
    assert set(re.findall(r"\{\{ (\w+) \}\}", text)) <= set(arguments)
    for line in filter(None, sections["files"].splitlines()):
        source, destination = line.split()
        assert (ROOT / source).exists() and destination == f"/opt/mapush/{source}"
    assert set(re.findall(r"\b[0-9a-f]{40,64}\b", sections["post"])) <= set(
        re.findall(r"\b[0-9a-f]{40,64}\b", DOCKERFILE)
    )
    assert "install-here.sh" in sections["post"]
    syntax = subprocess.run(["sh", "-n"], input=sections["post"], capture_output=True, text=True)
    assert (syntax.returncode, syntax.stderr) == (0, "")
    if target == "isaacgym":  # the packages of the distribution are the same
        packages = re.search(r"install -y --no-install-recommends \\\n(.*?)\n {4}rm", sections["post"], re.DOTALL)[1]
        stage = DOCKERFILE[DOCKERFILE.index("AS isaacgym\n") :]
        wanted = re.search(r"install -y --no-install-recommends \\\n(.*?) \\\n {4}&& rm", stage, re.DOTALL)[1]
        assert set(packages.split()) - {"\\"} == (set(wanted.split()) - {"\\"}) | {"ca-certificates", "git"}


@pytest.fixture
def slurm(tmp_path):
    """Runs env/slurm/train.sbatch as job 7 with stand-ins for Slurm's commands; returns what they were called with."""

    def submit(*arguments, code=0, **environment):
        calls = tmp_path / "calls"
        calls.write_text("")
        for name, last in (("srun", f"exit {code}"), ("scontrol", "exit 0")):
            (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {calls}\n{last}\n')
            (tmp_path / name).chmod(0o755)
        variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "4"}
        command = ["bash", str(ENV / "slurm" / "train.sbatch"), *arguments]
        done = subprocess.run(
            command, cwd=str(tmp_path), env={**variables, **environment}, capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (code, "")
        return calls.read_text().splitlines()

    return submit


def test_a_slurm_job_goes_on_after_its_time_limit(slurm):
    train = "train --gpus 4 --continue --backend warp --results results/slurm-7 --robot go1"
    assert slurm("--robot", "go1", code=143) == [f"srun mapush {train}", "scontrol requeue 7"]
    container = "apptainer run --nv mapush-warp.sif mapush"
    assert slurm("--robot", "go1", MAPUSH=container) == [f"srun {container} {train}"]


def test_a_slurm_job_that_fails_or_finishes_does_not_queue_again(slurm):
    assert len(slurm(code=0)) == len(slurm(code=1)) == len(slurm(code=2)) == 1
