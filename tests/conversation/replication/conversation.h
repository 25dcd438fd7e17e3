#pragma once

#include <string>

namespace verdict::replication {

// A golden conversation: lines that start at the margin are told to one replica over an in-memory log, the indented
// lines below each are what came of it. `<` an answer, `-` an effect, `!` an announcement, `*` a mark, `=` the state.
// Effects on the log are carried out at once, their outcomes fed back. Empty lines and lines with # are kept.
//
//   new self=1 [lag_ms=30000] [defects=a,b]        log [start=0] [end=0] [epochs=1:0,2:7]      opened [hw=0]
//   metadata leader= epoch= partition_epoch= replicas= isr= [min=1] [brokers=2:20,3:30:fenced:shutting]
//   brokers is=2:20:fenced      min_isr is=2      removed reason=topic_deleted      at ms=500      tick      state
//   produce acks=-1 waiter=7 [count=1]      expire waiter=7      retention to=5      fail_next_append
//   fetch replica= offset= [broker_epoch=] [epoch=] [last=] [again]      consume offset= [epoch=] [last=] [anywhere]
//   end_offset of= [epoch=]      list [epoch=] [latest] [replica]
//   altered proposal= [error=] [epoch=] [partition_epoch=] [isr=]      next
//   answer epoch= offset= [error=] [diverging=epoch:end] [hw=] [start=] [batches=first-last@epoch,...]
//   offsets epoch= [start=] [end=] [error=]
//
// Returns the text with all indented lines made anew.
std::string replay_conversation(const std::string& text);

}  // namespace verdict::replication
