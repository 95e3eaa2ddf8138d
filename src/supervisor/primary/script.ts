import { statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { quote } from "../../config/parse.js";

/** What decides whether a script can run; passed in, so that it can be tested. */
export interface RunConditions {
  /** `process.features.typescript`: whether Node strips types itself. */
  readonly stripsTypes: boolean;
  readonly nodeVersion: string;
  /** Node's arguments for the script. */
  readonly execArgv: readonly string[];
  /** `NODE_OPTIONS`. */
  readonly nodeOptions: string | undefined;
}

/** The script's absolute path, or what is wrong with it, in words for the user. */
export type FoundScript = { readonly file: string } | { readonly problem: string };

/** Finds the script, a path or a `file:` URL, and says whether this Node can run it. */
export function findScript(script: unknown, conditions: RunConditions): FoundScript {
  if ((typeof script !== "string" && !(script instanceof URL)) || script === "")
    return { problem: `name the module that starts the workers, by its path or a file: URL; got ${quote(script)}` };
  let file: string;
  try {
    file = /^file:/i.test(String(script)) ? fileURLToPath(script) : path.resolve(String(script));
  } catch (error) {
    return { problem: `${String(script)} is no path: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (file.includes("\0")) return { problem: `${quote(script)} is no path` };
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return { problem: `there is no file ${file}` };
  if (!stats.isFile()) return { problem: `${file} is not a file; name the module that starts the workers` };
  const problem = typeScriptProblem(file, conditions);
  return problem === undefined ? { file } : { problem };
}

/** Options by which a loader of TypeScript comes in: tsx, ts-node, swc, or Node's own flag. */
const LOADER =
  /(?:^|\s)(?:--import|--require|-r|--loader|--experimental-(?:loader|strip-types|transform-types))(?:[=\s]|$)/;

/** Why this Node cannot run a TypeScript file; undefined when it can, or the file is none. */
export function typeScriptProblem(file: string, conditions: RunConditions): string | undefined {
  const { stripsTypes, nodeVersion, execArgv, nodeOptions = "" } = conditions;
  if (!/\.[cm]?tsx?$/.test(file) || stripsTypes) return undefined;
  if (LOADER.test(`${execArgv.join(" ")} ${nodeOptions}`)) return undefined;
  return (
    `${file} is TypeScript, which Node ${nodeVersion} does not run by itself: use Node 22.18 or newer; ` +
    "or install tsx and add --node-arg=--import=tsx (or NODE_OPTIONS=--import=tsx); or compile it first"
  );
}

/** The conditions of this process. */
export function currentConditions(execArgv: readonly string[], nodeOptions: string | undefined): RunConditions {
  const stripsTypes = Boolean(Reflect.get(process.features, "typescript"));
  return { stripsTypes, nodeVersion: process.version, execArgv, nodeOptions };
}
