#!/usr/bin/env bash
# Apache Kafka itself, from Maven artifacts, as the reference that conversations are recorded with.
#
#   kafka.sh install                  fetch the jars (54 MB) once
#   kafka.sh format PROPERTIES        make the log directory of a node
#   kafka.sh start PROPERTIES         the node, in the foreground
#
# PEERS_HOME: where the jars go (default ~/.cache/verdict-peers). KAFKA_HEAP: -Xmx of the node (default 512m).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${PEERS_HOME:-$HOME/.cache/verdict-peers}/kafka-4.1.0

install() {
    [ -e "$home/.complete" ] && return
    mkdir -p "$home"
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$home" >&2
    printf '%s\n' 'status = error' 'rootLogger.level = warn' 'rootLogger.appenderRef.e.ref = E' \
        'appender.e.type = Console' 'appender.e.name = E' 'appender.e.target = SYSTEM_ERR' \
        'appender.e.layout.type = PatternLayout' 'appender.e.layout.pattern = [%d] %p %m (%c)%n' > "$home/log4j2.properties"
    touch "$home/.complete"
}

jvm() {
    exec nice java "-Dlog4j2.configurationFile=$home/log4j2.properties" "-Xmx${KAFKA_HEAP:-512m}" -XX:TieredStopAtLevel=1 \
        -cp "$home/*" "$@"
}

case ${1:-} in
install) install ;;
format) install; jvm kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg --feature eligible.leader.replicas.version=0 -c "$2" ;;
start) install; jvm kafka.Kafka "$2" ;;
*) sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 64 ;;
esac
