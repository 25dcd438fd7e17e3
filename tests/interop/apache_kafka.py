"""One node of Apache Kafka itself, beside ours, for the tests beside this file.

It comes from Maven (kafka.sh) and needs a JDK.
"""

import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import live_cluster
from clients_test import kafka_home

KAFKA_SH = pathlib.Path(__file__).with_name("kafka.sh")
# Kafka's defaults want three brokers.
ONE_BROKER = {
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 3,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 3,
    "group.initial.rebalance.delay.ms": 0,
}


class ApacheKafka:
    """One node of it, broker and controller."""

    def __init__(self, **more):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="verdict-kafka-"))
        self.port, controller = live_cluster.free_ports(2)
        self.bootstrap = f"127.0.0.1:{self.port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.folder / "data",
            **ONE_BROKER,
            **{key.replace("_", "."): value for key, value in more.items()},
        }
        self.properties = self.folder / "server.properties"
        self.properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    def __enter__(self):
        subprocess.run([KAFKA_SH, "format", self.properties], check=True, capture_output=True, timeout=120)
        self.log = open(self.folder / "log", "w")
        self.process = subprocess.Popen([KAFKA_SH, "start", self.properties], stdout=self.log, stderr=self.log)
        live_cluster.until("Apache Kafka answers", lambda: live_cluster.api_versions(self.port), 120)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def kafka_or_skip():
    _, why = kafka_home()
    if why:
        raise unittest.SkipTest(why)
