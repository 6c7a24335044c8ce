// What the process says with its exit code; --help and docs/exit_codes.md list them.
#pragma once

#include "pegainfer/result.h"

namespace pegainfer::apps {

inline constexpr int kExitOk = 0;
inline constexpr int kExitInvalidFile = 1;    // `inspect` or `doctor` found something not in order
inline constexpr int kExitUsage = 2;          // wrong flags, input, model or port
inline constexpr int kExitMemory = 3;         // it would not fit into memory
inline constexpr int kExitIo = 4;             // the operating system refused a file or a socket
inline constexpr int kExitDefect = 70;        // a bug that was contained
inline constexpr int kExitInterrupted = 130;  // Ctrl-C while generating or loading

inline constexpr const char* kExitCodesHelp =
    "Exit codes: 0 done; 1 `inspect`, `doctor`: not in order; 2 wrong flags, input, model or port; 3 not\n"
    "enough memory; 4 a file or socket could not be used; 70 a defect of pegainfer; 130 interrupted.";

int exit_code(const Error& error);
// Prints "pegainfer: <message>" to standard error; gives the exit code.
int report(const Error& error);

}  // namespace pegainfer::apps
