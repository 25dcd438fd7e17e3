// kafkajs against BOOTSTRAP (its package's folder is NODE_PATH): an idempotent producer, transactions of which each third
// is aborted, a group that reads committed records and goes on where it was. Prints one JSON object; exit code 1 and
// the error where something was refused.
const { Kafka, Partitioners, logLevel } = require("kafkajs");

const kafka = new Kafka({ clientId: "kafkajs-test", brokers: process.argv[2].split(","), logLevel: logLevel.NOTHING });
const topic = "kafkajs";

async function produce() {
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  for (let i = 0; i < 100; ++i)
    await producer.send({ topic, acks: -1, messages: [{ key: `k${i}`, partition: i % 2, value: `plain ${i}` }] });
  await producer.disconnect();
}

async function transact() {
  const producer = kafka.producer({
    transactionalId: "kafkajs",
    maxInFlightRequests: 1,
    idempotent: true,
    createPartitioner: Partitioners.DefaultPartitioner,
  });
  await producer.connect();
  let committed = 0;
  for (let i = 0; i < 30; ++i) {
    const transaction = await producer.transaction();
    for (const partition of [0, 1]) await transaction.send({ topic, messages: [{ partition, value: `transaction ${i}` }] });
    if (i % 3 === 2) {
      await transaction.abort();
    } else {
      await transaction.commit();
      ++committed;
    }
  }
  await producer.disconnect();
  return committed;
}

// So many records as a member of the group; it commits what it has read and leaves.
async function read(count) {
  const consumer = kafka.consumer({ groupId: "kafkajs", sessionTimeout: 10000, readUncommitted: false });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const values = [];
  const next = {};
  let whole;
  const done = new Promise((resolve) => (whole = resolve));
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      if (values.length >= count) return;
      values.push(message.value.toString());
      next[partition] = (BigInt(message.offset) + 1n).toString();
      if (values.length >= count) whole();
    },
  });
  await done;
  await consumer.commitOffsets(Object.entries(next).map(([partition, offset]) => ({ topic, partition: +partition, offset })));
  await consumer.disconnect();
  return values;
}

async function main() {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 2, replicationFactor: 3 }] });
  await produce();
  const committed = await transact();
  const first = await read(70);
  const second = await read(100 + 2 * committed - first.length);
  const offsets = await admin.fetchOffsets({ groupId: "kafkajs", topics: [topic] });
  const group = (await admin.describeGroups(["kafkajs"])).groups[0];
  await admin.disconnect();
  console.log(JSON.stringify({ committed, first, second, offsets: offsets[0].partitions, state: group.state }));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
