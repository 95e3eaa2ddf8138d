import type { Guard } from "./guards.js";

const EVERYTHING = "strangers/everything.test.ts";
const UPDATE_V2 = "strangers/update-v2.test.ts";
const ONE_RESULT = "strangers/one-result.test.ts";
const PATHS = "strangers/paths.test.ts";

/** Guards against whoever answers in Conductor's stead. */
export const GUARDS_OF_STRANGERS: readonly Guard[] = [
  {
    name: "Conductor's words are known by what only it says",
    fault: 41,
    shape: "400, Spring's JSON",
    test: EVERYTHING,
    file: "conductor/reply.ts",
    code: `const isConductors = typeof body.retryable === "boolean" && `,
    broken: "const isConductors = ",
  },
  {
    name: "A stranger's refusal does not end a result",
    fault: 41,
    shape: "409, a page",
    test: EVERYTHING,
    file: "runner/answers/meaning.ts",
    code: `return { speaker: "stranger", subject: "open", server: failureClass, failureClass, retryAfterMs };`,
    broken: `return { speaker: "stranger", subject: "request", server: failureClass, failureClass, retryAfterMs };`,
  },
  {
    name: "A refused update-v2 is left alone",
    fault: 42,
    shape: "403, an API gateway's JSON",
    test: UPDATE_V2,
    file: "runner/delivery/chaining.ts",
    code: "if (now < this.#suspectUntil || now < this.#notBefore) return false;",
    broken: "",
  },
  {
    name: "A result that is refused alone again and again is given up",
    fault: 43,
    shape: "403, an API gateway's JSON",
    test: ONE_RESULT,
    file: "runner/answers/result-fate.ts",
    code: "  if (alone - together >= SURE_AFTER) return true;\n",
    broken: "",
  },
  {
    name: "A request aside speaks for nobody",
    fault: 44,
    shape: "403, an API gateway's JSON",
    test: PATHS,
    file: "runner/gate/server-gate.ts",
    code: "if (isPoll(errand) || isOfAll) trouble.closure.fail(",
    broken: "if (isPoll(errand) || isOfAll) this.#all.fail(",
  },
  {
    name: "One errand that is refused does not shut the gate",
    fault: 45,
    shape: "403, an API gateway's JSON",
    test: PATHS,
    file: "runner/gate/server-gate.ts",
    code: "const ERRANDS_FOR_ALL = 2;",
    broken: "const ERRANDS_FOR_ALL = 1;",
  },
  {
    name: "A size that is left out of an answer is not 0",
    fault: 46,
    shape: "200, JSON of something else",
    test: PATHS,
    file: "conductor/task-api.ts",
    code: `names.every((name) => typeof body[name] === "number") ? (body as Record<string, number>) : undefined;`,
    broken: `names.length > 0 ? (body as Record<string, number>) : undefined;`,
  },
  {
    name: "Who is refused without a token asks for one",
    fault: 47,
    shape: "403 without one",
    test: PATHS,
    file: "http/authenticated-transport.ts",
    code: `return used === undefined ? "rights" : undefined;`,
    broken: "return undefined;",
  },
];
