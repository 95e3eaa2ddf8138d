import type { Guard } from "./guards.js";

const MEMORY = "process/memory.test.ts";
const LAST_WORDS = "process/last-words.test.ts";
const LONG_REASONS = "user-code/long-reasons.test.ts";
const NONSENSE = "supervisor/nonsense.test.ts";

/** The guards that keep what others bring within bounds: faults 55 to 59. */
export const GUARDS_OF_BOUNDS: readonly Guard[] = [
  {
    name: "A task whose result waits keeps nothing of its input",
    fault: 55,
    test: MEMORY,
    file: "runner/delivery/delivery.ts",
    code: "    shipment.entry.shed();\n",
    broken: "",
  },
  {
    name: "What no reader takes before the process ends is put into a file",
    fault: 56,
    test: LAST_WORDS,
    file: "log/line-writer.ts",
    code: "      Atomics.wait(sleeper, 0, 0, RETRY_SOON_MS);\n    }\n    this.#rescue();\n",
    broken: "      Atomics.wait(sleeper, 0, 0, RETRY_SOON_MS);\n    }\n",
  },
  {
    name: "Lines that are the only copy of a result are not dropped",
    fault: 56,
    test: LAST_WORDS,
    file: "log/line-writer.ts",
    code: "} else if (!isOnlyCopy && this.#ordinaryBytes >= MAX_WAITING_BYTES) {",
    broken: "} else if (this.#ordinaryBytes + this.#onlyCopyBytes >= MAX_WAITING_BYTES) {",
  },
  {
    name: "The line that is all that is left of a result is not shortened",
    fault: 57,
    test: LAST_WORDS,
    file: "log/default-logger.ts",
    code: "const text = isWhole || line.length <= MAX_LINE_CHARACTERS ? line : shortened(line);",
    broken: "const text = line.length <= MAX_LINE_CHARACTERS ? line : shortened(line);",
  },
  {
    name: "A result with a secret in it is kept whole where no log shows it",
    fault: 57,
    test: LAST_WORDS,
    file: "log/default-logger.ts",
    code: "const isCut = isPretty || redacted(fields) !== fields;",
    broken: "const isCut = isPretty;",
  },
  {
    name: "A reason is cut where it is made",
    fault: 58,
    shape: "a function's",
    test: LONG_REASONS,
    file: "runner/outcome.ts",
    code: "  reason = clip(reason, MAX_REASON_CHARACTERS);\n",
    broken: "",
  },
  {
    name: "What a server says is cut where it comes in",
    fault: 58,
    shape: "the server's",
    test: LONG_REASONS,
    file: "conductor/errors.ts",
    code: "clip(details.serverMessage, MAX_TEXT_CHARACTERS)",
    broken: "details.serverMessage",
  },
  {
    name: "A supervisor reads what its processes tell field by field",
    fault: 59,
    test: NONSENSE,
    file: "supervisor/primary/process-place.ts",
    code: "const { message, problem } = readReport(given);",
    broken: "const { problem } = readReport(given);\n        const message = given as Report;",
  },
];
