#include "protocol/client/errors.h"

namespace verdict::client {

bool definitely_not_appended(ErrorCode error) {
  switch (error) {
    case ErrorCode::CORRUPT_MESSAGE:
    case ErrorCode::MESSAGE_TOO_LARGE:
    case ErrorCode::INVALID_TOPIC_EXCEPTION:
    case ErrorCode::RECORD_LIST_TOO_LARGE:
    case ErrorCode::NOT_ENOUGH_REPLICAS:
    case ErrorCode::INVALID_REQUIRED_ACKS:
    case ErrorCode::TOPIC_AUTHORIZATION_FAILED:
    case ErrorCode::CLUSTER_AUTHORIZATION_FAILED:
    case ErrorCode::INVALID_TIMESTAMP:
    case ErrorCode::UNSUPPORTED_VERSION:
    case ErrorCode::INVALID_REQUEST:
    case ErrorCode::UNSUPPORTED_FOR_MESSAGE_FORMAT:
    case ErrorCode::POLICY_VIOLATION:
    case ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER:
    case ErrorCode::INVALID_PRODUCER_EPOCH:
    case ErrorCode::INVALID_TXN_STATE:
    case ErrorCode::UNSUPPORTED_COMPRESSION_TYPE:
    case ErrorCode::INVALID_RECORD:
      return true;
    default:
      return false;
  }
}

bool metadata_may_cure(ErrorCode error) {
  switch (error) {
    case ErrorCode::UNKNOWN_TOPIC_OR_PARTITION:
    case ErrorCode::LEADER_NOT_AVAILABLE:
    case ErrorCode::NOT_LEADER_OR_FOLLOWER:
    case ErrorCode::REPLICA_NOT_AVAILABLE:
    case ErrorCode::BROKER_NOT_AVAILABLE:
    case ErrorCode::NETWORK_EXCEPTION:
    case ErrorCode::REQUEST_TIMED_OUT:
    case ErrorCode::KAFKA_STORAGE_ERROR:
    case ErrorCode::LISTENER_NOT_FOUND:
    case ErrorCode::FENCED_LEADER_EPOCH:
    case ErrorCode::UNKNOWN_LEADER_EPOCH:
    case ErrorCode::OFFSET_NOT_AVAILABLE:
    case ErrorCode::UNKNOWN_TOPIC_ID:
    case ErrorCode::INCONSISTENT_TOPIC_ID:
    case ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR:
      return true;
    default:
      return false;
  }
}

bool coordinator_moved(ErrorCode error) {
  return error == ErrorCode::NOT_COORDINATOR || error == ErrorCode::COORDINATOR_NOT_AVAILABLE ||
         error == ErrorCode::NETWORK_EXCEPTION || error == ErrorCode::REQUEST_TIMED_OUT;
}

}  // namespace verdict::client
