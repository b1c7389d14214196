"""The images, built and run; `nox -s docker`. Builds go on from a copy of the checkout, which stays as it is."""

import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time

import pytest

from tests.containers import engine
from tests.containers.package import BINDINGS, NAME, write_package

# The engine is looked for when a test runs: collecting the other tests must not wait for it.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(3000)]
TAG = "mapush-stack:cpu"
CALLER = 1234
SMALL = ["sim.num_envs=64", "sim.threads=1", "--no-evaluation"]


@pytest.fixture(scope="module", autouse=True)
def docker():
    if engine.why_not():
        pytest.skip(engine.why_not())


def clone(folder):
    """What git knows of the checkout, as a clone of its own with one commit, without NVIDIA's package; its commit."""
    files = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in filter(None, subprocess.check_output(files, cwd=str(engine.ROOT), text=True).split("\0")):
        if (engine.ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(engine.ROOT / name), str(folder / name), follow_symlinks=False)
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--no-verify", "-m", "test"]):
        subprocess.run([*git, *command], check=True)
    return subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()


@pytest.fixture
def checkout(tmp_path):
    """A clone that belongs to a user of another number, as if they had called Docker."""
    clone(tmp_path)
    give(tmp_path, CALLER)
    return tmp_path


def give(folder, user):
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{user}:{user}", str(folder)], check=True)


@pytest.fixture(scope="module")
def commit(tmp_path_factory):
    """The image, built; returns the commit of its sources."""
    folder = tmp_path_factory.mktemp("image")
    commit = clone(folder)
    done = engine.build("cpu", TAG, folder, COMMIT="")
    assert done.returncode == 0, done.stdout[-4000:]
    return commit


@pytest.fixture(params=[[engine.DOCKER, "compose"], ["docker-compose"]], ids=["compose", "docker-compose"])
def compose(request, checkout):
    """Runs `docker compose run --rm SERVICE ...` in the checkout, with every Compose that is installed."""
    if request.param not in engine.compose_commands():
        pytest.skip(f"{request.param[-1]} is not installed")

    def run(*arguments, code=0):
        done = engine.run([*request.param, "run", "--rm", *arguments], checkout)
        assert done.returncode == code, done.stdout[-4000:]
        return done.stdout

    run.command = request.param
    yield run
    engine.run([*request.param, "down", "--volumes", "--remove-orphans"], checkout)


def the_run(checkout):
    (run,) = (checkout / "results").glob("mapush/go1push_mid-cuboid/happo/default/seed-*")
    return run


def test_a_run_belongs_to_the_caller_has_the_commit_stops_and_resumes(commit, compose, checkout):
    shutil.rmtree(str(checkout / "results"))  # Docker makes it, as root
    owner = checkout.stat().st_uid
    command = [*compose.command, "run", "--name", "mapush-test-stop", "train-cpu", "--steps", "300000", *SMALL]
    training = subprocess.Popen(
        command, cwd=str(checkout), env=engine.ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        words = ""
        while "FPS" not in words:
            words = training.stdout.readline()
            assert words, training.wait()
        time.sleep(1)
        stopped = engine.docker("stop", "--time", "60", "mapush-test-stop")  # SIGTERM to init, which passes it on
        assert stopped.returncode == 0, stopped.stdout
        out, _ = training.communicate(timeout=60)
        assert training.returncode == 143 and "stopped at" in out
    finally:
        engine.docker("rm", "--force", "mapush-test-stop")
    run = the_run(checkout)
    assert json.loads((run / "manifest.json").read_text())["commit"] == commit
    out = compose("train-cpu", "--resume", str(run.relative_to(checkout)), "--no-evaluation")
    assert "trained at" in out and the_run(checkout) == run
    for path in [checkout / "results", *run.rglob("*")]:
        assert path.stat().st_uid == owner, path


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders away")
def test_results_of_root_in_a_users_checkout_are_refused(commit, compose, checkout):
    give(checkout / "results", 0)
    out = compose("train-cpu", "--steps", "1000", code=2)
    assert f"mapush: the folder results belongs to root, but the checkout to user {CALLER}: sudo chown -R" in out


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give folders away")
def test_two_users_share_the_volume_of_caches(commit, compose, checkout):
    """Warp, torch and matplotlib keep what they compile there; none may find another user's folder."""
    where = 'mkdir -p "$XDG_CACHE_HOME/warp" && touch "$XDG_CACHE_HOME/warp/kernel" && id -u && echo "$XDG_CACHE_HOME"'
    for user in (CALLER, CALLER + 1, CALLER):
        give(checkout, user)
        assert compose("cpu", "sh", "-c", where).split()[-2:] == [str(user), f"/home/mapush/.cache/{user}"]


def test_a_container_has_no_capabilities_and_no_network(commit, compose):
    out = compose("cpu", "sh", "-c", "grep -E 'CapEff|NoNewPrivs' /proc/self/status; ls /sys/class/net")
    assert out.split()[-5:] == ["CapEff:", "0" * 16, "NoNewPrivs:", "1", "lo"]


def test_edited_code_is_run_by_dev_and_a_warning_elsewhere(commit, compose, checkout):
    assert "warning" not in compose("cpu", "mapush", "--version")
    path = checkout / "mapush_stack" / "__init__.py"
    path.write_text(path.read_text() + '\n__version__ = "9.9.9"\n')
    out = compose("cpu", "mapush", "--version")
    assert "warning: the image was built from other sources than the checkout (1 files differ" in out
    assert "9.9.9" not in out and "__init__.py" in out
    assert compose("dev", "mapush", "--version").splitlines()[-1:] == ["mapush, version 9.9.9"]


def test_the_tests_are_green(commit, compose):
    out = compose("tests")
    assert "passed" in out.splitlines()[-1] and "failed" not in out.splitlines()[-1]


def test_a_policy_is_recorded(commit):
    script = (
        "mapush play --pretrained cuboid-go1 --episodes 1 --size 160x120 --record /tmp/a.mp4 && head -c 12 /tmp/a.mp4"
    )
    done = engine.docker("run", "--rm", "--network", "none", TAG, "sh", "-c", script)
    assert done.returncode == 0 and "ftyp" in done.stdout, done.stdout[-4000:]


def test_without_compose_the_container_is_not_root_and_needs_no_network(commit):
    train = ["mapush", "train", "--steps", "1000", "--no-evaluation"]
    done = engine.docker("run", "--rm", "--network", "none", TAG, *train)
    assert done.returncode == 0, done.stdout[-4000:]
    assert engine.docker("run", "--rm", "--network", "none", TAG, "id", "-u").stdout.strip() == "1000"


def layers(tag):
    return json.loads(engine.docker("image", "inspect", tag).stdout)[0]["RootFS"]["Layers"]


def test_an_edit_installs_no_package_again_and_the_image_says_so(commit, checkout):
    with (checkout / "README.md").open("a") as file:
        file.write("\n")
    begin = time.monotonic()
    done = engine.build("cpu", "mapush-stack:edited", checkout, COMMIT="0123")
    assert done.returncode == 0, done.stdout[-4000:]
    assert time.monotonic() - begin < 120
    assert layers("mapush-stack:edited")[:-2] == layers(TAG)[:-2]  # the checkout and its installation
    labels = json.loads(engine.docker("image", "inspect", "mapush-stack:edited").stdout)[0]["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == "0123"
    assert labels["org.opencontainers.image.licenses"] == "BSD-3-Clause"
    done = engine.build("checkout", "mapush-stack:edited", checkout)
    found = engine.docker("run", "--rm", "--network", "none", "mapush-stack:edited", "cat", "/opt/mapush/.commit")
    engine.docker("image", "rm", "mapush-stack:edited")
    assert len(found.stdout.strip()) == 41 and found.stdout.strip().endswith("+")


def test_two_builds_are_equal_file_by_file(commit, tmp_path):
    clone(tmp_path)
    for name in ("first", "second"):
        done = engine.build("cpu", f"mapush-stack:{name}", tmp_path, "--no-cache", COMMIT=commit)
        assert done.returncode == 0, done.stdout[-4000:]
    first, second = (engine.files(f"mapush-stack:{name}") for name in ("first", "second"))
    engine.docker("image", "rm", "mapush-stack:first", "mapush-stack:second")
    assert len(first) > 10000
    assert sorted(path for path in {*first, *second} if first.get(path) != second.get(path)) == []


def test_an_index_that_does_not_answer_is_named(checkout):
    done = engine.build("tools", "mapush-stack:refused", checkout, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert done.returncode != 0
    assert (
        "The package index http://127.0.0.1:9/simple failed, see above: another one is --build-arg PIP_INDEX_URL="
        in done.stdout
    )


def test_compose_builds_with_the_certificates_of_a_proxy(checkout):
    """The first stage that fetches, anew, with docker-compose.ca.yml."""
    if engine.docker("compose", "version").returncode:
        pytest.skip("build secrets need Compose 2.5")
    bundle = engine.authorities() or ssl.get_default_verify_paths().cafile
    (checkout / "tools.yml").write_text("services: {cpu: {image: 'mapush-stack:tools', build: {target: tools}}}\n")
    given = {"PACKAGE_INDEX": "PIP_INDEX_URL", "PYTHON_IMAGE": "PYTHON_IMAGE"}
    variables = {f"MAPUSH_{name}": engine.given(argument) for name, argument in given.items() if engine.given(argument)}
    variables.update(MAPUSH_CA_BUNDLE=str(bundle), MAPUSH_BUILD_NETWORK="host")
    files = ["-f", "docker-compose.yml", "-f", "docker-compose.ca.yml", "-f", "tools.yml"]
    done = engine.run([engine.DOCKER, "compose", *files, "build", "--no-cache", "cpu"], checkout, **variables)
    engine.docker("image", "rm", "mapush-stack:tools")
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("wrong", ["absent", "renamed", "hollow", "unrecorded", "another"])
def test_isaacgym_is_not_built_from_a_wrong_package(checkout, wrong):
    folder = checkout / "env" / "isaacgym"
    if wrong == "hollow":
        digest = hashlib.sha256(write_package(folder, leave_out=[BINDINGS]).read_bytes()).hexdigest()
        (folder / f"{NAME}.sha256").write_text(f"{digest}  {NAME}\n")
    elif wrong in ("renamed", "unrecorded", "another"):
        write_package(folder)
    if wrong == "renamed":
        (folder / NAME).rename(folder / "IsaacGym_Preview_4_Package (1).tar.gz")
    if wrong == "another":
        subprocess.run([sys.executable, str(folder / "check.py")], check=True)
        write_package(folder, content=b"another")
    done = engine.build("isaacgym", "mapush-stack:refused", checkout)
    sentences = {
        "absent": "is not there: download Isaac Gym Preview 4 from https://developer.nvidia.com/isaac-gym",
        "renamed": "There is 'IsaacGym_Preview_4_Package (1).tar.gz'",
        "hollow": f"holds no {BINDINGS}",
        "unrecorded": "no checksum of",
        "another": "was recorded: restore the first file",
    }
    assert done.returncode != 0
    assert sentences[wrong] in done.stdout, done.stdout[-4000:]


def recorded_stand_in(checkout):
    folder = checkout / "env" / "isaacgym"
    write_package(folder)
    subprocess.run([sys.executable, str(folder / "check.py")], check=True)


def test_sources_that_cannot_be_fetched_name_their_argument(checkout):
    recorded_stand_in(checkout)
    done = engine.build("isaacgym-sources", "mapush-stack:refused", checkout, MAPUSH_URL="http://127.0.0.1:9/MAPush")
    assert done.returncode != 0
    assert "MAPush could not be fetched, see above: a mirror is --build-arg MAPUSH_URL=..." in done.stdout


def test_isaacgym_is_built_on_a_stand_in_of_nvidias_package(checkout):
    """All but what NVIDIA's file does; skipped where the sources or torch for CUDA 11.6 cannot be reached."""
    recorded_stand_in(checkout)
    done = engine.build("isaacgym", "mapush-stack:stand-in", checkout)
    if done.returncode and "see above: a mirror is --build-arg" in done.stdout:
        pytest.skip(
            next(line for line in done.stdout.splitlines() if re.search(r"a mirror is --build-arg \w+=\.\.\.$", line))
        )
    assert done.returncode == 0, done.stdout[-4000:]
    script = "mapush patches verify && ls /usr/share/glvnd/egl_vendor.d /usr/lib/x86_64-linux-gnu"
    found = engine.docker("run", "--rm", "--network", "none", "mapush-stack:stand-in", "sh", "-c", script)
    engine.docker("image", "rm", "mapush-stack:stand-in")
    assert found.returncode == 0, found.stdout
    assert "10_nvidia.json" in found.stdout
    assert "50_mesa.json" not in found.stdout and "libEGL_mesa" not in found.stdout


@pytest.mark.parametrize("target", ["gym", "gym-warp"])
def test_mapushs_own_training_runs_in_its_image(checkout, target):
    """`docker compose run train-gym`, on the CPU in both; skipped where MAPush's sources cannot be reached."""
    tag = f"mapush-stack:{target}"
    done = engine.build(target, tag, checkout)
    if done.returncode and "could not be fetched, see above" in done.stdout:
        pytest.skip("MAPush or HARL could not be fetched: --build-arg MAPUSH_URL=... and HARL_URL=... name mirrors")
    assert done.returncode == 0, done.stdout[-4000:]
    words = ["/opt/mapush/env/train-gym.sh", "--num_envs", "4", "--train_timesteps", "800"]
    done = engine.docker("run", "--rm", "--network", "none", "--env", "MAPUSH_GYM=mujoco", tag, *words)
    assert done.returncode == 0 and "Isaac Gym's names over MuJoCo" in done.stdout, done.stdout[-4000:]


def test_the_package_does_not_get_into_other_images(checkout):
    write_package(checkout / "env" / "isaacgym")
    write_package(checkout / "env" / "isaacgym").rename(checkout / "env/isaacgym/IsaacGym_Preview_4_Package (1).tar.gz")
    done = engine.build("checkout", "mapush-stack:checkout", checkout)
    assert done.returncode == 0, done.stdout[-4000:]
    find = ["find", "/opt/mapush/env/isaacgym", "/opt/mapush/.git"]
    found = engine.docker("run", "--rm", "--network", "none", "mapush-stack:checkout", *find).stdout
    engine.docker("image", "rm", "mapush-stack:checkout")
    assert "check.py" in found and "IsaacGym_" not in found and "'/opt/mapush/.git': No such file" in found


def test_the_warp_image_trains_without_a_gpu(checkout):
    """Several GB; on the CPU, to see that all is there."""
    done = engine.build("warp", "mapush-stack:warp", checkout)
    assert done.returncode == 0, done.stdout[-4000:]
    train = ["mapush", "train", "--backend", "mujoco", "--steps", "1000", "--no-evaluation"]
    done = engine.docker("run", "--rm", "--network", "none", "mapush-stack:warp", *train)
    assert done.returncode == 0, done.stdout[-4000:]
    # torch's optimizers import triton, and drawing needs OSMesa: each has an LLVM.
    draw = "import mujoco; mujoco.Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'), 16, 16).render()"
    adam = "import torch; torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])"
    both = f"from mapush_stack.sim.scene import import_mujoco; import_mujoco(); {draw}; {adam}; print('both')"
    run = ["run", "--rm", "--network", "none", "--env", "MUJOCO_GL=osmesa", "mapush-stack:warp", "python", "-c", both]
    assert "both" in engine.docker(*run).stdout.split()
    where = "import warp; warp.init(); print(warp.config.kernel_cache_dir)"
    done = engine.docker("run", "--rm", "--network", "none", "mapush-stack:warp", "python", "-c", where)
    assert done.stdout.splitlines()[-1].startswith("/home/mapush/.cache/1000/warp"), done.stdout


def test_apptainers_steps_build_what_trains(checkout):
    """The sections %files and %post of env/apptainer/cpu.def, run by Docker; Apptainer itself is not needed."""
    text = (checkout / "env" / "apptainer" / "cpu.def").read_text()
    sections = dict(re.findall(r"^%(\w+)\n(.*?)(?=^%|\Z)", text, re.MULTILINE | re.DOTALL))
    steps = re.sub(r"\{\{ (\w+) \}\}", r"$\1", sections["post"])
    (checkout / "post.sh").write_text(steps)
    copies = [f"COPY {line.strip()}" for line in sections["files"].splitlines() if line.strip()]
    lines = [
        "ARG PYTHON_IMAGE",
        "FROM ${PYTHON_IMAGE} AS apptainer",
        *copies,
        "COPY post.sh /",
        "ARG PIP_INDEX_URL TORCH_INDEX",
    ]
    trust = "if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca SSL_CERT_FILE=/run/secrets/ca; fi"
    lines.append(f"RUN --mount=type=secret,id=ca {trust} && sh /post.sh")
    (checkout / "Dockerfile").write_text("\n".join(lines) + "\n")
    known = dict(line.strip().split("=", 1) for line in sections["arguments"].splitlines() if line.strip())
    missing = {name: value for name, value in known.items() if not engine.given(name)}
    done = engine.build("apptainer", "mapush-stack:apptainer", checkout, **missing)
    assert done.returncode == 0, done.stdout[-4000:]
    # As Apptainer does: as any user, with the image read-only, in a folder of the user.
    options = [
        "--rm",
        "--network",
        "none",
        "--user",
        str(CALLER),
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--workdir",
        "/tmp",
    ]
    environment = ["--env", "PATH=/opt/venv/bin:/usr/bin:/bin", "--env", "HOME=/tmp"]
    train = ["mapush", "train", "--steps", "1000", "--no-evaluation"]
    done = engine.docker("run", *options, *environment, "mapush-stack:apptainer", *train)
    engine.docker("image", "rm", "mapush-stack:apptainer")
    assert done.returncode == 0 and "trained at" in done.stdout, done.stdout[-4000:]
