import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Kafka's own consumers with group.protocol=consumer: java -cp 'JARS/*' ConsumerGroups.java BOOTSTRAP MODE... */
public class ConsumerGroups {
    static String bootstrap;

    /** A consumer that reads on whenever anybody waits for anything. */
    static class Member implements AutoCloseable {
        final String name;
        final KafkaConsumer<String, String> consumer;
        final List<String> values = new ArrayList<>();

        Member(String name, String group, String protocol, Map<String, String> more) {
            this.name = name;
            Properties properties = new Properties();
            properties.put("bootstrap.servers", bootstrap);
            properties.put("group.id", group);
            properties.put("group.protocol", protocol);
            properties.put("client.id", name);
            properties.put("auto.offset.reset", "earliest");
            properties.put("enable.auto.commit", "false");
            properties.putAll(more);
            consumer = new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
            members.put(name, this);
        }

        void poll() {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(50))) values.add(record.value());
        }

        Set<String> assigned() {
            Set<String> out = new TreeSet<>();
            for (TopicPartition one : consumer.assignment()) out.add(one.toString());
            return out;
        }

        @Override
        public void close() {
            members.remove(name);
            consumer.close();
        }
    }

    static final Map<String, Member> members = new TreeMap<>();

    static void until(String what, BooleanSupplier done) {
        long end = System.nanoTime() + Duration.ofSeconds(90).toNanos();
        while (!done.getAsBoolean()) {
            if (System.nanoTime() > end) {
                StringBuilder seen = new StringBuilder();
                members.forEach((name, member) -> seen.append(" " + name + "=" + member.assigned() + "/" + member.values.size()));
                throw new IllegalStateException("waited in vain: " + what + ";" + seen);
            }
            for (Member member : List.copyOf(members.values())) member.poll();
        }
    }

    static void create(Admin admin, String topic, int partitions) throws Exception {
        admin.createTopics(List.of(new NewTopic(topic, java.util.Optional.of(partitions), java.util.Optional.empty()))).all().get();
    }

    static void send(String topic, int partitions, int from, int to) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        try (KafkaProducer<String, String> producer =
                 new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer())) {
            for (int i = from; i < to; ++i) producer.send(new ProducerRecord<>(topic, i % partitions, null, "" + i));
            producer.flush();
        }
    }

    static ConsumerGroupDescription describe(Admin admin, String group) throws Exception {
        return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
    }

    /** Two members share four partitions; what one commits the other goes on from. */
    static void share(Admin admin) throws Exception {
        create(admin, "shared", 4);
        send("shared", 4, 0, 400);
        Member a = new Member("a", "sharers", "consumer", Map.of());
        a.consumer.subscribe(List.of("shared"));
        until("a has all", () -> a.assigned().size() == 4 && a.values.size() == 400);
        a.consumer.commitSync();
        Member b = new Member("b", "sharers", "consumer", Map.of());
        b.consumer.subscribe(List.of("shared"));
        until("each has half", () -> a.assigned().size() == 2 && b.assigned().size() == 2);
        send("shared", 4, 400, 500);
        until("each new record is read", () -> a.values.size() + b.values.size() == 500);
        if (b.values.size() != 50) throw new IllegalStateException("b read " + b.values.size());
        a.consumer.commitSync();
        b.consumer.commitSync();
        ConsumerGroupDescription seen = describe(admin, "sharers");
        System.out.println("group: " + seen.type() + " " + seen.groupState() + " " + seen.partitionAssignor() + " "
            + seen.members().size());
        b.close();
        until("a has all again", () -> a.assigned().size() == 4);
        send("shared", 4, 500, 600);
        until("a reads all", () -> a.values.size() == 550);
        a.close();
        System.out.println("shared: 600, each once");
    }

    /** A subscription by RE2's expressions follows the topics that come. */
    static void pattern(Admin admin) throws Exception {
        create(admin, "pattern-a", 1);
        Member a = new Member("a", "patterns", "consumer", Map.of());
        a.consumer.subscribe(new SubscriptionPattern("pattern-.*"));
        until("a has the topic", () -> a.assigned().equals(Set.of("pattern-a-0")));
        create(admin, "pattern-b", 2);
        until("a has the new topic", () -> a.assigned().contains("pattern-b-1"));
        a.consumer.subscribe(new SubscriptionPattern("pattern-b"));
        until("a has less", () -> a.assigned().equals(Set.of("pattern-b-0", "pattern-b-1")));
        a.close();
        System.out.println("pattern: followed");
    }

    /** A static member that restarts gets back what it had. */
    static void statics(Admin admin) throws Exception {
        create(admin, "fixed", 3);
        Map<String, String> instance = Map.of("group.instance.id", "one", "group.remote.assignor", "range");
        Member a = new Member("a", "fixed-group", "consumer", instance);
        a.consumer.subscribe(List.of("fixed"));
        Member b = new Member("b", "fixed-group", "consumer", Map.of("group.remote.assignor", "range"));
        b.consumer.subscribe(List.of("fixed"));
        until("both have some", () -> a.assigned().size() + b.assigned().size() == 3 && !b.assigned().isEmpty());
        Set<String> had = a.assigned();
        int epoch = describe(admin, "fixed-group").groupEpoch().get();
        a.close();
        Member again = new Member("a", "fixed-group", "consumer", instance);
        again.consumer.subscribe(List.of("fixed"));
        until("it is back", () -> again.assigned().equals(had));
        if (describe(admin, "fixed-group").groupEpoch().get() != epoch) throw new IllegalStateException("a rebalance");
        again.close();
        b.close();
        System.out.println("static: " + had.size() + " kept");
    }

    /** A classic group is upgraded while it lives, and downgraded. */
    static void migrate(Admin admin) throws Exception {
        create(admin, "migrating", 4);
        send("migrating", 4, 0, 100);
        Member old = new Member("old", "migrants", "classic",
            Map.of("partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
                "heartbeat.interval.ms", "300"));
        old.consumer.subscribe(List.of("migrating"));
        until("the classic member has all", () -> old.assigned().size() == 4 && old.values.size() == 100);
        old.consumer.commitSync();
        Member fresh = new Member("fresh", "migrants", "consumer", Map.of());
        fresh.consumer.subscribe(List.of("migrating"));
        until("each has half", () -> old.assigned().size() == 2 && fresh.assigned().size() == 2);
        send("migrating", 4, 100, 200);
        until("each new record is read", () -> old.values.size() + fresh.values.size() == 200);
        System.out.println("migrated: " + describe(admin, "migrants").type());
        old.consumer.commitSync();
        fresh.consumer.commitSync();
        fresh.close();
        until("the classic member has all again", () -> old.assigned().size() == 4);
        System.out.println("migrated: " + describe(admin, "migrants").type());
        send("migrating", 4, 200, 300);
        until("all is read", () -> old.values.size() == 250);
        old.close();
        System.out.println("migrated: 300, each once");
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", (Object) bootstrap))) {
            for (int i = 1; i < arguments.length; ++i) {
                switch (arguments[i]) {
                    case "share" -> share(admin);
                    case "pattern" -> pattern(admin);
                    case "static" -> statics(admin);
                    case "migrate" -> migrate(admin);
                    default -> throw new IllegalArgumentException(arguments[i]);
                }
            }
        }
    }
}
