"""Nodes of the built program as processes of this machine, for the tests beside this file.

--build DIR or VERDICT_PROGRAM names the program; without them build/release/verdict is taken. Client libraries come
from PyPI into a virtual environment of their own (VERDICT_TEST_CACHE, else ~/.cache/verdict-tests); where that can't be
made, Debian's are taken (python3-confluent-kafka, python3-kafka); where those are absent too, tests that need them are
skipped with the reason.
"""

import contextlib
import fcntl
import importlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def take_program():
    """The program under test; `--build DIR` is taken off the command line."""
    if "--build" in sys.argv[:-1]:
        at = sys.argv.index("--build")
        os.environ["VERDICT_PROGRAM"] = str(pathlib.Path(sys.argv[at + 1]) / "verdict")
        del sys.argv[at : at + 2]
    return pathlib.Path(os.environ.get("VERDICT_PROGRAM", ROOT / "build/release/verdict")).resolve()


PROGRAM = take_program()
CACHE = pathlib.Path(os.environ.get("VERDICT_TEST_CACHE", pathlib.Path.home() / ".cache/verdict-tests"))
DEBIAN_PYTHON = "/usr/bin/python3"
CLIENTS = ["confluent-kafka==2.16.1", "kafka-python==3.0.12"]
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"


def main():
    """Runs the calling module's tests; the last line counts them, as tests/interop/run.py wants it."""
    result = unittest.main(verbosity=2, argv=sys.argv, exit=False).result
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    for test, why in result.skipped:
        print(f"skipped: {test}: {why}")
    passed = max(0, result.testsRun - failed - len(result.skipped))
    sys.stderr.flush()
    print(f"{passed} passed, {failed} failed, {len(result.skipped)} skipped", flush=True)
    sys.exit(int(failed != 0))


def client_python():
    """The interpreter of the clients' virtual environment, or a sentence that says why there is none."""
    CACHE.mkdir(parents=True, exist_ok=True)
    home = CACHE / "clients"
    python = home / "bin/python"
    stamp = home / "complete"
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == " ".join(CLIENTS):
            return python, ""
        shutil.rmtree(home, ignore_errors=True)
        pip = [python, "-m", "pip", "install", "-q", "--retries", "1", "--timeout", "10", *CLIENTS]
        for command in ([sys.executable, "-m", "venv", home], pip):
            try:
                done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
            except (OSError, subprocess.TimeoutExpired) as error:
                return None, f"{' '.join(map(str, command))}: {error}"
            if done.returncode != 0:
                return None, (done.stdout.strip().split("\n") or [""])[-1]
        stamp.write_text(" ".join(CLIENTS))
        return python, ""


def enter_clients():
    """Goes on in the clients' interpreter, or else in Debian's. Returns why there is no environment, "" in it."""
    if "VERDICT_IN_CLIENTS" in os.environ:
        return os.environ["VERDICT_IN_CLIENTS"]
    python, why = (None, "Debian's are asked for") if os.environ.get("VERDICT_DEBIAN_CLIENTS") else client_python()
    python = python or DEBIAN_PYTHON
    if not os.path.exists(python):
        return why
    os.environ["VERDICT_IN_CLIENTS"] = why
    os.execv(python, [str(python), "-B", *sys.argv])


def client_module(name, package):
    """(module, ""), or (None, why there is none) where neither PyPI nor Debian's `package` can give it."""
    why = enter_clients()
    try:
        return importlib.import_module(name), ""
    except ImportError:
        return None, f"no {name}: apt-get install {package} (and none from PyPI: {why})"


def free_ports(count):
    """Ports that nobody listens on now, below the range that the system gives to connecting sockets."""
    found = []
    candidate = 20000 + os.getpid() % 9000
    while len(found) < count:
        candidate = candidate + 1 if candidate < 31000 else 20000
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", candidate))
                found.append(candidate)
    return found


def until(what, check, seconds=30.0):
    """What check() returns as soon as that is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def run_program(*arguments, timeout=60, cwd=None, env=None):
    return subprocess.run(
        [str(PROGRAM), *map(str, arguments)],
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=timeout,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )


class Node:
    """One node: its properties, its folder, its process (from start to kill or stop)."""

    def __init__(self, folder, properties):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.properties = {"log.dirs": str(self.folder / "data"), **properties}
        self.path = self.folder / "server.properties"
        self.log_path = self.folder / "node.log"
        self.process = None
        self.write()

    def write(self):
        self.path.write_text("".join(f"{key}={value}\n" for key, value in self.properties.items()))

    @property
    def id(self):
        return int(self.properties["node.id"])

    @property
    def data(self):
        return pathlib.Path(self.properties["log.dirs"])

    def format(self):
        done = run_program("storage", "format", "--cluster-id", CLUSTER_ID, "--config", self.path)
        if done.returncode != 0:
            raise AssertionError(f"storage format: {done.stderr}")

    def start(self):
        assert self.process is None
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen(
                [str(PROGRAM), "serve", str(self.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.wait()

    def stop(self, seconds=40):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds=40):
        code = self.process.wait(seconds)
        self.process = None
        return code

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def running(self):
        return self.process is not None and self.process.poll() is None


class Cluster:
    """A controller and brokers, or one combined node (brokers=0), in a temporary folder."""

    starts_within_s = 30.0

    def __init__(self, brokers, node_type=Node, **extra):
        self.node_type = node_type
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="verdict-live-"))
        ports = free_ports(brokers + 2)
        self.ports = {}
        common = {
            "controller.quorum.voters": f"100@127.0.0.1:{ports[0]}",
            "controller.listener.names": "CONTROLLER",
            **{key.replace("_", "."): value for key, value in extra.items()},
        }
        self.nodes = {}
        if brokers == 0:
            self.ports[100] = ports[1]
            self.add(
                common,
                100,
                "process.roles",
                "broker,controller",
                f"PLAINTEXT://127.0.0.1:{ports[1]},CONTROLLER://127.0.0.1:{ports[0]}",
            )
        else:
            self.add(common, 100, "process.roles", "controller", f"CONTROLLER://127.0.0.1:{ports[0]}")
        for number in range(1, brokers + 1):
            self.ports[number] = ports[number]
            self.add(common, number, "process.roles", "broker", f"PLAINTEXT://127.0.0.1:{ports[number]}")

    def add(self, common, node_id, roles_key, roles, listeners):
        self.nodes[node_id] = self.node_type(
            self.folder / str(node_id), {roles_key: roles, "node.id": node_id, "listeners": listeners, **common}
        )

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{port}" for port in self.ports.values())

    def __enter__(self):
        try:
            for node in self.nodes.values():
                node.format()
                node.start()
            for node_id in self.ports:
                self.wait_serving(node_id)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, _value, _trace):
        for node in self.nodes.values():
            if node.process is not None:
                node.kill()
        if kind is None or issubclass(kind, unittest.SkipTest):
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            for node in self.nodes.values():
                print(f"---- {node.log_path}, its last lines:\n" + "\n".join(node.log().split("\n")[-12:]))
            print(f"---- everything is kept in {self.folder}", flush=True)

    def wait_serving(self, node_id):
        node = self.nodes[node_id]

        def answers():
            if not node.running():
                raise AssertionError(f"node {node_id} ended: {node.log()[-2000:]}")
            return api_versions(self.ports[node_id])

        until(f"node {node_id} answers", answers, self.starts_within_s)


def quick_cluster(**extra):
    """Three brokers for tests that kill them: two replicas are enough, and who is gone is missed within seconds."""
    return Cluster(
        3,
        min_insync_replicas=2,
        default_replication_factor=3,
        broker_session_timeout_ms=2500,
        broker_heartbeat_interval_ms=400,
        replica_lag_time_max_ms=4000,
        **extra,
    )


# For a quick cluster whose coordinators are at work.
QUICK_COORDINATORS = {
    "offsets_topic_num_partitions": 3,
    "transaction_state_log_num_partitions": 3,
    "group_initial_rebalance_delay_ms": 0,
}


def seed():
    """VERDICT_SEED, or another one each time."""
    return int(os.environ.get("VERDICT_SEED", time.time_ns() % 1000000))


# ---- frames by hand, where no client library would send them ----


def request(api, version, correlation, body=b"", client=b"test"):
    head = struct.pack(">hhi", api, version, correlation) + struct.pack(">h", len(client)) + client
    return struct.pack(">i", len(head) + len(body)) + head + body


def receive(connection):
    """The next frame without its length; None: the other side closed the connection."""

    def exactly(size):
        data = b""
        while len(data) < size:
            try:
                part = connection.recv(size - len(data))
            except ConnectionResetError:
                return None
            if not part:
                return None
            data += part
        return data

    head = exactly(4)
    return exactly(struct.unpack(">i", head)[0]) if head else None


def api_versions(port, seconds=2.0):
    """The answer to ApiVersions v0, or None."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
            connection.sendall(request(18, 0, 7))
            return receive(connection)
    except OSError:
        return None
