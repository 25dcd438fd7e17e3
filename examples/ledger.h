#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "search/verdict.h"

// A service that somebody runs on Kafka: a ledger, whose accounts count their bookings. Each booking of an account is
// one record (key: the account, value: its number, from 1), written with acks=all and again until it is acknowledged;
// only then comes the next. Who starts the service anew reads the whole topic.
//
// Two guarantees follow. Who reads the ledger from its beginning finds no booking missing: before number n of an
// account he has met n - 1. (Twice may well happen: these producers are not idempotent.) And nothing is acknowledged
// while fewer than min.insync.replicas hold it.
namespace ledger {

constexpr std::string_view kTopic = "ledger";
constexpr int kAccounts = 4;
constexpr std::size_t kMinIsr = 2;

// One partition on three brokers, min.insync.replicas=2, beside whatever topics and load the scenario has.
verdict::scenarios::Scenario with_ledger(verdict::scenarios::Scenario scenario);

// Books until it is stopped, one booking after the other for each account.
std::unique_ptr<verdict::scenarios::Workload> make_writer(const verdict::scenarios::Seat& seat);

// Reads the ledger from its beginning to its end, again and again, and tells "pass" (value: which) and "read" (key: the
// account, value: the number). The last time is after the cluster has come to rest.
std::unique_ptr<verdict::scenarios::Workload> make_reader(const verdict::scenarios::Seat& seat);

// The first guarantee, from what the reader tells.
class NoBookingIsMissing final : public verdict::scenarios::Invariant {
 public:
  std::optional<verdict::scenarios::Broken> on_told(const verdict::scenarios::Moment& at,
                                                    const verdict::scenarios::Told& told) override;

 private:
  std::map<std::string, std::int64_t, std::less<>> seen_;  // in this pass: the newest number of each account
  std::int64_t pass_ = 0;
};

// The second one, from the feed of protocol events.
class NoLonelyAcknowledgement final : public verdict::scenarios::Invariant {
 public:
  std::optional<verdict::scenarios::Broken> on_event(const verdict::scenarios::Moment& at,
                                                     const verdict::protocol::Event& event) override;
};

// The scenario with the ledger's topic, workloads and invariants.
verdict::search::Cluster cluster(const verdict::scenarios::Scenario& scenario);

}  // namespace ledger
