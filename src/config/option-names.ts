import { isPlainObject, WORKER_OPTION_NAMES } from "../worker/define-worker.js";
import { FOREIGN_PROPS } from "./env-names.js";
import { HANDLER_OPTIONS } from "./handler-options.js";
import { didYouMean, misspelt } from "./nearest.js";

const HANDLER_OPTION_NAMES = Object.keys(HANDLER_OPTIONS);
const workerOptionNames: ReadonlySet<string> = new Set(WORKER_OPTION_NAMES);

/** What other SDKs call an option of a worker, and what it is called here. */
const RENAMED_WORKER_OPTIONS: Readonly<Record<string, string>> = {
  threadCount: "concurrency",
  workerID: "workerId",
  pollTimeout: "longPollMs",
  batchPollingTimeout: "longPollMs",
  name: "taskDefName",
  taskType: "taskDefName",
  taskDefinitionName: "taskDefName",
};

/** Options of other SDKs' workers that are not needed here, and why. */
const NEEDLESS_WORKER_OPTIONS: Readonly<Record<string, string>> = {
  pollInterval: why("POLL_INTERVAL"),
  pollIntervalMs: why("POLL_INTERVAL"),
  pollingInterval: why("POLL_INTERVAL"),
  pollerCount: why("POLLER_COUNT"),
  leaseExtendEnabled: why("LEASE_EXTEND_ENABLED"),
  overwriteTaskDef: why("OVERWRITE_TASK_DEF"),
  taskDef: "the fields of a definition are given to registerTaskDef: { … }",
  strictSchema: why("STRICT_SCHEMA"),
  registerSchema: why("REGISTER_SCHEMA"),
};

/** What other SDKs call an option of the handler, and what it is called here. */
const RENAMED_HANDLER_OPTIONS: Readonly<Record<string, string>> = {
  url: "serverUrl",
  baseUrl: "serverUrl",
  serverAddress: "serverUrl",
  client: "serverUrl (connections are made and looked after here)",
  pollStallTimeoutSeconds: "stallTimeoutSeconds",
  metricsPort: "adminPort",
  healthPort: "adminPort",
  httpPort: "adminPort",
  register: "registry",
  metricsRegistry: "registry",
  keyId: "auth: { keyId, keySecret }",
  keySecret: "auth: { keyId, keySecret }",
  authKey: "auth: { keyId, keySecret }",
  authSecret: "auth: { keyId, keySecret }",
  authenticationSettings: "auth: { keyId, keySecret }",
};

/** One problem for each option of the handler that does not exist. */
export function checkHandlerOptionNames(options: object): string[] {
  return Object.keys(options)
    .filter((name) => !Object.hasOwn(HANDLER_OPTIONS, name))
    .map((name) => {
      if (Object.hasOwn(RENAMED_HANDLER_OPTIONS, name)) {
        return `option ${name} is called ${RENAMED_HANDLER_OPTIONS[name] ?? ""} here`;
      }
      const ours = Object.hasOwn(RENAMED_WORKER_OPTIONS, name) ? (RENAMED_WORKER_OPTIONS[name] ?? name) : name;
      if (workerOptionNames.has(ours) && ours !== "taskDefName") {
        return `option ${name} belongs to a worker, not to the handler: set ${ours} on each worker`;
      }
      if (Object.hasOwn(NEEDLESS_WORKER_OPTIONS, name)) {
        return `option ${name} does not exist and is not needed: ${NEEDLESS_WORKER_OPTIONS[name] ?? ""}`;
      }
      return `option ${name} does not exist${didYouMean(name, HANDLER_OPTION_NAMES)}`;
    });
}

/**
 * Looks for options of a worker that do not exist. What is wrong in a worker of ours is a problem. One that was written
 * for the official SDK runs unchanged, so what that SDK knows is only worth a warning; and an instance of a class may
 * have fields of its own, so there only a name that looks like an option is.
 */
export function checkWorkerOptionNames(
  worker: object,
  label: string,
  isOurs: boolean,
): { readonly problems: string[]; readonly warnings: string[] } {
  const problems: string[] = [];
  const warnings: string[] = [];
  const isPlain = isPlainObject(worker);
  for (const name of Object.keys(worker)) {
    if (workerOptionNames.has(name)) continue;
    if (Object.hasOwn(NEEDLESS_WORKER_OPTIONS, name)) {
      const line = `${label}: option ${name} does not exist and is not needed: ${NEEDLESS_WORKER_OPTIONS[name] ?? ""}`;
      (isOurs ? problems : warnings).push(line);
    } else if (isPlain && Object.hasOwn(RENAMED_WORKER_OPTIONS, name)) {
      problems.push(`${label}: option ${name} is called ${RENAMED_WORKER_OPTIONS[name] ?? ""} here`);
    } else if (isPlain) {
      problems.push(`${label}: option ${name} does not exist${didYouMean(name, workerOptionNames)}`);
    } else {
      const meant = misspelt(name, workerOptionNames);
      if (meant !== undefined) warnings.push(`${label}: field ${name} is not an option (did you mean ${meant}?)`);
    }
  }
  return { problems, warnings };
}

function why(prop: string): string {
  return FOREIGN_PROPS[prop] ?? "";
}
