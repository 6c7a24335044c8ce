// The tokenizer of an opened checkpoint, whatever its format.
#pragma once

#include <memory>

#include "checkpoint/checkpoint.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer {

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const Checkpoint& checkpoint);

}  // namespace pegainfer
