"""One node of Apache Kafka itself, beside ours, for the tests beside this file.

It comes from Maven (kafka.sh) and needs a JDK.
"""

import pathlib
import subprocess
import unittest

import live_cluster
from clients_test import kafka_home

KAFKA_SH = pathlib.Path(__file__).with_name("kafka.sh")
# Kafka's defaults want three brokers.
ONE_BROKER = {
    "offsets_topic_replication_factor": 1,
    "offsets_topic_num_partitions": 3,
    "transaction_state_log_replication_factor": 1,
    "transaction_state_log_min_isr": 1,
    "transaction_state_log_num_partitions": 3,
    "group_initial_rebalance_delay_ms": 0,
}


class KafkaNode(live_cluster.Node):
    def format(self):
        subprocess.run([KAFKA_SH, "format", self.path], check=True, capture_output=True, timeout=120)

    def start(self):
        assert self.process is None
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen([KAFKA_SH, "start", self.path], stdout=log, stderr=log)
        return self


class ApacheKafka(live_cluster.Cluster):
    """Broker and controller in one."""

    starts_within_s = 120.0

    def __init__(self, **more):
        super().__init__(0, KafkaNode, **ONE_BROKER, **more)


def kafka_or_skip():
    _, why = kafka_home()
    if why:
        raise unittest.SkipTest(why)
