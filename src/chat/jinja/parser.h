// Source to syntax tree, by Jinja's grammar with its loopcontrols extension and transformers' generation
// blocks.
#pragma once

#include <memory>
#include <string_view>

#include "chat/jinja/ast.h"
#include "chat/jinja/limits.h"

namespace pegainfer::jinja {

// `source` as normalize_source() makes it. Throws Failure.
std::unique_ptr<Ast> parse(std::string_view source, const Limits& limits);

}  // namespace pegainfer::jinja
