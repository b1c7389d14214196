"""A process that has imported everything and is forked for each command: tests need not import torch each time.

A forked command is a process of its own like any other: its own arguments, environment, folder, output and exit code.
Only the shutdown of the interpreter is left out, which takes a quarter of a second. Tests of starting, of signals, of
the environment and of the exit use `runner.start`, which makes a fresh process.
"""

import array
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PRELOADED = """
mapush_stack.training.session mapush_stack.training.launch mapush_stack.learning.native.happo
mapush_stack.evaluation.pretrained mapush_stack.evaluation.curve mapush_stack.analysis.listing
mapush_stack.sim.simulators mapush_stack.analysis.comparison.plots
mapush_stack.analysis.report.page mapush_stack.harness.triage.rules mapush_stack.harness.doctor
torch.utils.tensorboard tensorboard.compat.proto.event_pb2 mujoco mujoco.batch scipy.stats matplotlib.figure
matplotlib.backends.backend_agg jinja2 rich.table rich.progress rich.live psutil pynvml
torch.onnx torch.export._trace torch._functorch.aot_autograd torch._dynamo onnx onnxruntime onnxscript
onnxscript.function_libs.torch_lib.ops
"""


class ForkServer:
    """The client's side: starts the server with its first command, and ends it with this process."""

    def __init__(self, environment):
        """`environment` is that of the server, and so of what a command imports."""
        self.environment = environment
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.forkserver", str(theirs.fileno())],
            env=environment,
            cwd=str(ROOT),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        atexit.register(self.close)

    def run(self, arguments, cwd, environment, timeout, program=""):
        """Run `mapush ARGUMENTS`, or the text of a Python program; returns (exit code, stdout, stderr)."""
        request = {"arguments": arguments, "cwd": cwd, "environment": environment, "program": program}
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        ends = array.array("i", [out_end, err_end])
        self._connection.sendmsg([json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, ends)])
        os.close(out_end)
        os.close(err_end)
        pid = int(self._connection.recv(100))
        with ThreadPoolExecutor(2) as pool:
            words, errors = (pool.submit(_read, end) for end in (out, err))
            try:
                return int(self._answer(timeout)), words.result(), errors.result()
            except BaseException as error:  # also pytest's own timeout: the next command must not get this one's answer
                os.kill(pid, signal.SIGKILL)
                self._answer(None)
                if isinstance(error, socket.timeout):
                    raise subprocess.TimeoutExpired(arguments, timeout) from None
                raise

    def _answer(self, timeout):
        self._connection.settimeout(timeout)
        try:
            return self._connection.recv(100)
        finally:
            self._connection.settimeout(None)

    def close(self):
        """End the server."""
        self._connection.close()
        self._process.wait()


def _read(end):
    with os.fdopen(end) as file:
        return file.read()


def serve(connection):
    """Fork for each request; a child returns from here with what it is to run."""
    while True:
        request, ends = _receive(connection)
        if not request:
            sys.exit(0)
        pid = os.fork()
        if pid == 0:
            connection.close()
            for number, end in zip((1, 2), ends):
                os.dup2(end, number)
                os.close(end)
            return json.loads(request)
        for end in ends:
            os.close(end)
        connection.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        connection.send(str(code).encode())


def _receive(connection):
    """A message with the file descriptors that came with it."""
    room = socket.CMSG_SPACE(2 * array.array("i").itemsize)
    request, ancillary, _, _ = connection.recvmsg(1 << 20, room)
    ends = array.array("i")
    for _, _, data in ancillary:
        ends.frombytes(data)
    return request, list(ends)


def main():
    """Import, serve, and in a child run the command as `python -m mapush_stack` does."""
    import contextlib
    import gc
    import importlib
    import runpy
    import traceback
    import types

    verbs = [f"mapush_stack.cli.{file.stem}" for file in sorted((ROOT / "mapush_stack/cli").glob("*.py"))]
    for name in [*verbs, *_PRELOADED.split()]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.path[0] = request["cwd"]  # as `python -m` has it
    importlib.invalidate_caches()
    sys.argv = ["mapush", *request["arguments"]]
    try:
        if request["program"]:
            sys.modules["__main__"] = types.ModuleType("__main__")
            exec(request["program"], vars(sys.modules["__main__"]))
        else:
            runpy.run_module("mapush_stack", run_name="__main__", alter_sys=False)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # the shutdown of this interpreter would wait for ever
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
