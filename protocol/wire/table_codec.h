#pragma once

#include "protocol/wire/arena.h"
#include "protocol/wire/descriptor.h"

// The codec that runs off the tables, for any message: what codec.h uses where there is no straight code, and what
// tests hold the straight code against.
namespace verdict::wire {

void read_by_table(const MessageInfo& info, Reader&, Arena&, int version, void* message);  // message: has its defaults
void size_by_table(const MessageInfo& info, Sizer&, int version, const void* message);
void write_by_table(const MessageInfo& info, Writer&, int version, const void* message);

}  // namespace verdict::wire
