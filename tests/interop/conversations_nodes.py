"""The nodes of one stage, as processes: Kafka's or ours."""

import os
import pathlib
import signal
import socket
import subprocess
import time

from conversations import Fault, Player

CONTROLLER = 100
SECONDS_TO_START = 120
SECONDS_TO_STOP = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nodes:
    """One combined node 1; or, where the properties say "@brokers", brokers 1, 2, ... and a controller.

    command(verb, properties) is the command line of "format" and "start"."""

    def __init__(self, codec, folder, properties, command):
        self.codec, self.folder, self.command = codec, pathlib.Path(folder), command
        extra = dict(properties)
        self.brokers = range(1, 1 + int(extra.pop("@brokers", 1)))
        self.combined = "@brokers" not in properties
        self.extra = extra
        self.ports = {broker: free_port() for broker in self.brokers}
        self.controller_port = free_port()
        self.processes = {}

    def known_ports(self):
        """In the order of their names: port1, port2, ..."""
        return [self.ports[1], self.controller_port, *(self.ports[broker] for broker in self.brokers[1:])]

    def write_properties(self, node):
        own = f"PLAINTEXT://127.0.0.1:{self.ports.get(node)}"
        controller = f"CONTROLLER://127.0.0.1:{self.controller_port}"
        roles = ["broker"] * (node != CONTROLLER) + ["controller"] * (node == CONTROLLER or self.combined)
        lines = {
            "process.roles": ",".join(roles),
            "node.id": node,
            "controller.quorum.voters": f"{1 if self.combined else CONTROLLER}@127.0.0.1:{self.controller_port}",
            "listeners": ",".join([own] * ("broker" in roles) + [controller] * ("controller" in roles)),
            **({"advertised.listeners": own} if "broker" in roles else {}),
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.folder / ("data" if self.combined else f"data-{node}"),
            **self.extra,
        }
        path = self.folder / ("server.properties" if self.combined else f"node-{node}.properties")
        path.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        return path

    def __enter__(self):
        nodes = list(self.brokers) if self.combined else [CONTROLLER, *self.brokers]
        self.properties = {node: self.write_properties(node) for node in nodes}
        try:
            for node in nodes:
                subprocess.run(
                    self.command("format", self.properties[node]),
                    cwd=self.folder,
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            for node in nodes:
                self.launch(node)
            for broker in self.brokers:
                self.wait_until_up(broker)
        except BaseException:
            self.__exit__()
            raise
        return self

    def launch(self, node):
        with open(self.folder / f"log-{node}", "a") as log:
            self.processes[node] = subprocess.Popen(
                self.command("start", self.properties[node]),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, broker):
        self.launch(broker)
        self.wait_until_up(broker)

    def revive(self):
        """Starts what a conversation that broke off has left stopped."""
        for broker in self.brokers:
            if broker not in self.processes:
                self.start(broker)

    def stop(self, node):
        """In order, or at last not."""
        process = self.processes.pop(node)
        if process.poll() is not None:
            return
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __exit__(self, *_):
        for node in sorted(self.processes):  # the controller last
            self.stop(node)

    def ended(self):
        """What a node that ended by itself has said; None while all run."""
        for node, process in self.processes.items():
            if process.poll() is not None:
                text = (self.folder / f"log-{node}").read_text()[-3000:]
                return f"node {node} ended with {process.returncode}\n{text}"
        return None

    def wait_until_up(self, broker):
        deadline = time.monotonic() + SECONDS_TO_START
        player = Player(self.codec, self)
        while time.monotonic() < deadline and self.processes[broker].poll() is None:
            try:
                player.start()
                answer = player.ask("Metadata", 9, {"topics": []}, player.connection(broker))
                if isinstance(answer, dict) and any(one["nodeId"] == broker for one in answer["brokers"]):
                    return
            except (OSError, Fault):
                pass
            finally:
                player.end()
            time.sleep(0.05)
        raise Fault(f"broker {broker} doesn't answer: {(self.folder / f'log-{broker}').read_text()[-500:]}")
