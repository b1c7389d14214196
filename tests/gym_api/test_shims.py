"""Old programs on a current Python: NumPy's old names, `cuda` without CUDA, pickled networks, OpenRL's imports."""

import textwrap

import pytest

pytest.importorskip("mujoco")

from mapush_stack.gym_api import activation
from tests.cli import runner


def run(text, *path):
    """Run a program after `import isaacgym`; returns what it prints."""
    text = "import isaacgym, torch, io\n" + textwrap.dedent(text)
    return runner.program(text, activation.NAMES, *path, MAPUSH_GYM="mujoco", CUDA_VISIBLE_DEVICES="")


def test_numpy_has_its_old_names():
    run("import numpy as np\nassert np.float is float and np.zeros(2, dtype=np.int).dtype == int and np.Inf > 1")


def test_cuda_is_the_cpu_without_one():
    out = run(
        """
        import numpy as np
        def device(x):
            assert x.device.type == "cpu", x.device
        for name in ("cuda", "cuda:1", torch.device("cuda:0")):
            device(torch.zeros(3, device=name))
            device(torch.rand(3, 2, device=name))
            device(torch.tensor([1.0], device=name))
            device(torch.from_numpy(np.ones(3)).to(name))
            device(torch.ones(2).to(device=name, dtype=torch.float64))
            device(torch.ones(2).new_zeros(3, device=name))
            device(torch.nn.Linear(2, 2, device=name).to(name).cuda().weight)
        device(torch.zeros_like(torch.ones(2), device="cuda"))
        device(torch.ones(2).cuda())
        device(torch.ones(2).cuda(0, non_blocking=True))
        from isaacgym.torch_utils import torch_rand_float
        device(torch.jit.script(torch_rand_float)(0.0, 1.0, (2, 2), "cpu"))
        from concurrent.futures import ThreadPoolExecutor
        device(ThreadPoolExecutor().submit(torch.zeros, 3, device="cuda").result())
        torch.manual_seed(1), torch.cuda.manual_seed(1), torch.cuda.manual_seed_all(1), torch.cuda.synchronize()
        torch.cuda.set_device(0), torch.cuda.empty_cache()
        assert torch.cuda.current_device() == torch.cuda.max_memory_allocated() == 0
        assert not torch.cuda.is_available()
        file = io.BytesIO()
        torch.save({"a": torch.ones(2)}, file)
        for place in ("cuda:0", None, {"cuda:0": "cuda:1"}, lambda storage, where: storage):
            file.seek(0)
            device(torch.load(file, map_location=place)["a"])
        scripted = io.BytesIO()
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), scripted)
        scripted.seek(0)
        device(torch.jit.load(scripted, map_location="cuda").to("cuda")(torch.ones(1, 2, device="cuda")))
        print("all")
        """
    )
    assert out == "all\n"


def test_isaac_gyms_types_are_pickled_under_its_names():
    out = run(
        """
        import pickle
        from isaacgym import gymapi
        # As pybind11 pickles one: an empty object that is told its value.
        theirs = b"\\x80\\x02cisaacgym._bindings.linux-x86_64.gym_38\\nSimType\\n)\\x81K\\x01b."
        ours = pickle.dumps(gymapi.SIM_FLEX, 2)
        assert b"isaacgym._bindings.linux-x86_64.gym_38" in ours and pickle.loads(ours) is gymapi.SIM_FLEX
        def load(what):
            file = io.BytesIO()
            torch.save({"engine": what}, file)
            file.seek(0)
            return torch.load(file)["engine"]
        assert load(gymapi.SIM_FLEX) is gymapi.SIM_FLEX
        from mapush_stack.gym_api.shims import checkpoints
        read = checkpoints._Unpickler(io.BytesIO(theirs)).load()
        assert read == gymapi.SIM_FLEX == read and int(read) == 1 and read != gymapi.SIM_PHYSX
        assert load(read) is gymapi.SIM_FLEX
        print("read")
        """
    )
    assert out == "read\n"


def test_whole_networks_are_read_and_nothing_else_is_run():
    out = run(
        """
        import os, argparse
        class Hostile:
            def __init__(self, *what): self.what = what
            def __reduce__(self): return self.what
        def load(what, **options):
            file = io.BytesIO()
            torch.save(what, file)
            file.seek(0)
            return torch.load(file, **options)
        network = load({"net": torch.nn.Sequential(torch.nn.Linear(2, 2)), "args": argparse.Namespace(seed=1)})
        assert network["net"](torch.ones(1, 2)).shape == (1, 2) and network["args"].seed == 1
        for what in ((os.system, ("echo RUN",)), (exec, ("print('RUN')",)), (argparse.FileType, ("w",)),
                     (getattr, ({}, "clear")), (torch.nn.init.zeros_, ([],)),
                     (torch.hub.load, ("a", "b")), (io.open, ("x", "w"))):
            try:
                load({"a": Hostile(*what)})
            except Exception as error:
                assert "is refused because its pickle asks for" in str(error), error
            else:
                print("loaded", what)
        from mapush_stack.gym_api.shims import checkpoints
        def named(module, name):  # in protocol 4 a name may lead through other modules
            words = b"".join(b"\\x8c" + bytes([len(word)]) + word for word in (module, name))
            return checkpoints._Unpickler(io.BytesIO(b"\\x80\\x04" + words + b"\\x93.")).load()
        assert named(b"torch.nn.modules.linear", b"Linear") is torch.nn.Linear
        try:
            print(named(b"torch.nn.modules.linear", b"torch.utils.data.Dataset"))
        except Exception as error:
            assert "is refused" in str(error), error
        load({"a": Hostile(print, ("told to",))}, weights_only=False)
        """
    )
    assert out == "told to\n"


def test_the_path_of_a_configuration_is_restored_and_not_made(tmp_path):
    (tmp_path / "jsonargparse").mkdir()
    (tmp_path / "jsonargparse/__init__.py").touch()
    (tmp_path / "jsonargparse/_util.py").write_text(
        "class Path:\n    def __init__(self, path):\n        print('made', path)\n        self.path = path\n"
    )
    out = run(
        """
        from jsonargparse._util import Path
        def load(what):
            file = io.BytesIO()
            torch.save({"config": what}, file)
            file.seek(0)
            return torch.load(file)["config"]
        again = load(load(Path("ppo.yaml")))
        assert type(again) is Path and again.path == "ppo.yaml"
        class Hostile:
            def __reduce__(self): return Path, ("hostile",)
        load(Hostile())
        """,
        tmp_path,
    )
    assert out == "made ppo.yaml\n"


def test_openrl_is_imported_with_its_runners_first(tmp_path):
    for name, text in (
        ("openrl/__init__.py", "print('openrl')"),
        ("openrl/runners/__init__.py", ""),
        ("openrl/runners/common/__init__.py", "print('runners')"),
        ("openrl/modules/__init__.py", "print('modules')"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(text)
    assert run("import openrl.modules", tmp_path) == "openrl\nrunners\nmodules\n"
    assert run("print(1)", tmp_path) == "1\n"


def test_the_real_openrl_is_imported_unpatched():
    pytest.importorskip("openrl")
    order = "from openrl.utils.callbacks.checkpoint_callback import CheckpointCallback; print('imported')"
    assert run(f"import warnings; warnings.simplefilter('ignore')\n{order}").endswith("imported\n")
