import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.*;
import org.apache.kafka.coordinator.group.assignor.*;
import org.apache.kafka.coordinator.group.modern.*;

/**
 * What Kafka's own assignors make of drawn groups, one case a line: tests/data/interop/assignors.txt. A case goes on
 * from the target of the one before: members come and go, topics grow, subscriptions change.
 *
 *   java -cp "$KAFKA_JARS/*" tests/interop/Assignors.java > tests/data/interop/assignors.txt
 *
 * A line: assignor, "same" or "mixed", then topics `id:partitions`, members `id:instance or -:topics by place`,
 * targets before and after `member=topic place/partitions;...`, each list with commas, the six with blanks.
 */
public class Assignors {
    static final Random RANDOM = new Random(848);

    static class Member {
        String id;
        String instance;
        TreeSet<Integer> topics = new TreeSet<>();
    }

    static List<Uuid> ids = new ArrayList<>();
    static List<Integer> partitions = new ArrayList<>();
    static TreeMap<String, Member> members = new TreeMap<>();
    static TreeMap<String, Map<Uuid, Set<Integer>>> targets = new TreeMap<>();

    static class Describer implements SubscribedTopicDescriber {
        public int numPartitions(Uuid id) { return partitions.get(ids.indexOf(id)); }
        public Set<String> racksForPartition(Uuid id, int partition) { return Set.of(); }
        public Set<Integer> assignablePartitions(Uuid id) { return Set.of(); }
    }

    static Uuid draw() { return new Uuid(RANDOM.nextLong(), RANDOM.nextLong()); }

    static void add(boolean same) {
        Member member = new Member();
        member.id = draw().toString();
        if (RANDOM.nextInt(4) == 0) member.instance = "i" + RANDOM.nextInt(1000) + "-" + members.size();
        for (int t = 0; t < ids.size(); ++t) if (same || RANDOM.nextInt(3) > 0) member.topics.add(t);
        members.put(member.id, member);
    }

    static int unsigned(Uuid a, Uuid b) {
        int high = Long.compareUnsigned(a.getMostSignificantBits(), b.getMostSignificantBits());
        return high != 0 ? high : Long.compareUnsigned(a.getLeastSignificantBits(), b.getLeastSignificantBits());
    }

    // As from the records: sets and maps that were copied from lists, which we write in this order.
    static Map<Uuid, Set<Integer>> fromRecord(Map<Uuid, Set<Integer>> target) {
        Map<Uuid, Set<Integer>> out = new HashMap<>();
        TreeMap<Uuid, Set<Integer>> sorted = new TreeMap<>(Assignors::unsigned);
        sorted.putAll(target);
        sorted.forEach((id, parts) -> out.put(id, new HashSet<>(new ArrayList<>(new TreeSet<>(parts)))));
        return out;
    }

    static String text(Map<String, Map<Uuid, Set<Integer>>> targets) {
        StringJoiner all = new StringJoiner(",", "[", "]");
        new TreeMap<>(targets).forEach((member, target) -> {
            StringJoiner its = new StringJoiner(";");
            for (int t = 0; t < ids.size(); ++t) {
                if (!target.getOrDefault(ids.get(t), Set.of()).isEmpty()) {
                    StringJoiner parts = new StringJoiner("/");
                    for (int p : new TreeSet<>(target.get(ids.get(t)))) parts.add(Integer.toString(p));
                    its.add(t + "/" + parts);
                }
            }
            all.add(member + "=" + its);
        });
        return all.toString();
    }

    static void play(ConsumerGroupPartitionAssignor assignor, boolean same) {
        Map<Uuid, Map<Integer, String>> inverted = new HashMap<>();
        targets.forEach((member, target) -> target.forEach((id, parts) ->
            parts.forEach(p -> inverted.computeIfAbsent(id, __ -> new HashMap<>()).put(p, member))));
        Map<String, MemberSubscriptionAndAssignmentImpl> specs = new HashMap<>();
        StringJoiner who = new StringJoiner(",", "[", "]");
        members.forEach((id, member) -> {
            Set<Uuid> topics = new HashSet<>();
            StringJoiner places = new StringJoiner("/");
            for (int t : member.topics) {
                topics.add(ids.get(t));
                places.add(Integer.toString(t));
            }
            who.add(id + ":" + (member.instance == null ? "-" : member.instance) + ":" + places);
            specs.put(id, new MemberSubscriptionAndAssignmentImpl(Optional.empty(), Optional.ofNullable(member.instance),
                topics, new Assignment(targets.getOrDefault(id, Map.of()))));
        });
        StringJoiner what = new StringJoiner(",", "[", "]");
        for (int t = 0; t < ids.size(); ++t) what.add(ids.get(t) + ":" + partitions.get(t));
        String before = text(targets);
        GroupAssignment made = assignor.assign(new GroupSpecImpl(specs,
            same ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS, inverted, Optional.empty()), new Describer());
        targets.clear();
        for (String id : members.keySet()) {
            MemberAssignment its = made.members().get(id);
            targets.put(id, fromRecord(its == null ? Map.of() : its.partitions()));
        }
        System.out.println(assignor.name() + " " + (same ? "same" : "mixed") + " " + what + " " + who + " " + before + " "
            + text(targets));
    }

    static void change(boolean same) {
        switch (RANDOM.nextInt(4)) {
            case 0 -> add(same);
            case 1 -> {
                if (members.size() > 1) {
                    String id = new ArrayList<>(members.keySet()).get(RANDOM.nextInt(members.size()));
                    members.remove(id);
                    targets.remove(id);
                }
            }
            case 2 -> {
                int t = RANDOM.nextInt(ids.size());
                partitions.set(t, partitions.get(t) + RANDOM.nextInt(5));
            }
            default -> {
                int t = RANDOM.nextInt(ids.size());
                for (Member member : members.values()) {
                    if (same || RANDOM.nextInt(3) == 0) {
                        if (member.topics.contains(t)) member.topics.remove(t); else member.topics.add(t);
                    }
                }
            }
        }
        if (same) {
            TreeSet<Integer> first = members.firstEntry().getValue().topics;
            for (Member member : members.values()) member.topics = new TreeSet<>(first);
        }
    }

    public static void main(String[] args) {
        for (int group = 0; group < 32; ++group) {
            boolean same = group % 2 == 0;
            ConsumerGroupPartitionAssignor assignor = group % 8 < 2 ? new RangeAssignor() : new UniformAssignor();
            ids.clear();
            partitions.clear();
            members.clear();
            targets.clear();
            int topics = 1 + RANDOM.nextInt(group < 8 ? 3 : 8);
            for (int t = 0; t < topics; ++t) {
                ids.add(draw());
                partitions.add(1 + RANDOM.nextInt(group % 5 == 4 ? 40 : 12));
            }
            int begin = 1 + RANDOM.nextInt(group % 7 == 6 ? 20 : 6);
            for (int m = 0; m < begin; ++m) add(same);
            for (int step = 0; step < 8; ++step) {
                play(assignor, same);
                change(same);
            }
        }
    }
}
