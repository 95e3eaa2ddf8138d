import { cpSync, mkdirSync, readdirSync } from "node:fs";
import path from "node:path";
import { run } from "./packed-package.js";

export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** One `FROM` and what follows it. */
export interface Stage {
  readonly image: string;
  readonly as: string | undefined;
  readonly instructions: readonly Instruction[];
}

const KNOWN = new Set("FROM WORKDIR COPY RUN ENV EXPOSE USER STOPSIGNAL HEALTHCHECK CMD ENTRYPOINT".split(" "));

/** Reads a Dockerfile of one line for each instruction; throws for what it does not know. */
export function parseDockerfile(text: string): Stage[] {
  const stages: { image: string; as: string | undefined; instructions: Instruction[] }[] = [];
  for (const line of text.split("\n")) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, name, rest] = /^([A-Z]+) (.*[^\\])$/.exec(line) ?? [];
    if (name === undefined || rest === undefined || !KNOWN.has(name)) throw new Error(`not understood: ${line}`);
    if (name === "FROM") {
      const [, image, as] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? [];
      if (image === undefined) throw new Error(`not understood: ${line}`);
      stages.push({ image, as, instructions: [] });
    } else {
      const stage = stages.at(-1);
      if (stage === undefined) throw new Error(`before the first FROM: ${line}`);
      stage.instructions.push({ name, rest });
    }
  }
  return stages;
}

/** What a stage says last with one instruction. */
export function lastOf(stage: Stage, name: string): string | undefined {
  return stage.instructions.findLast((each) => each.name === name)?.rest;
}

export function envOf(stage: Stage): Record<string, string> {
  const envs = stage.instructions.filter(({ name }) => name === "ENV");
  return Object.fromEntries(
    envs.map(({ rest }) => {
      const at = rest.indexOf("=");
      return [rest.slice(0, at), rest.slice(at + 1)];
    }),
  );
}

/** The words of the exec form, `["node", "worker.mjs"]`; throws for the shell form, which puts a shell in between. */
export function execForm(rest: string): string[] {
  const list = /\[.*\]$/.exec(rest)?.[0];
  if (list === undefined) throw new Error(`a shell would be put around it: ${rest}`);
  return (JSON.parse(list) as unknown[]).map(String);
}

/**
 * Does in folders what a build would do in an image: COPY, and RUN of npm; no other RUN. Resolves with the last stage's
 * WORKDIR.
 */
export async function replay(
  stages: readonly Stage[],
  { context, root }: { context: string; root: string },
): Promise<string> {
  let workdir = "";
  for (const [index, stage] of stages.entries()) {
    const base = rootOf(root, stage.as ?? String(index));
    workdir = base;
    for (const { name, rest } of stage.instructions) {
      if (name === "WORKDIR") {
        workdir = path.join(base, rest);
        mkdirSync(workdir, { recursive: true });
      } else if (name === "COPY") copy(rest, { context, root, workdir });
      else if (name === "RUN" && rest.startsWith("npm ")) await run("npm", rest.split(" ").slice(1), workdir);
    }
  }
  return workdir;
}

function copy(rest: string, { context, root, workdir }: { context: string; root: string; workdir: string }): void {
  const [, stage, words = ""] = /^(?:--from=(\S+) )?(.*)$/.exec(rest) ?? [];
  const sources = words.split(" ");
  const target = sources.pop() ?? "";
  const from = stage === undefined ? context : rootOf(root, stage);
  let copied = 0;
  for (const source of sources) {
    for (const file of expand(from, source)) {
      // A folder is copied by its contents, a file into the folder that ends in a slash.
      const to = target.endsWith("/") ? path.join(workdir, target, path.basename(file)) : path.join(workdir, target);
      cpSync(file, to, { recursive: true, verbatimSymlinks: true });
      copied += 1;
    }
  }
  if (copied === 0) throw new Error(`COPY ${rest}: there is nothing to copy`);
}

/** A wildcard may find nothing; a name may not. */
function expand(folder: string, source: string): string[] {
  if (!source.startsWith("*")) return [path.join(folder, source)];
  return readdirSync(folder)
    .filter((name) => name.endsWith(source.slice(1)))
    .map((name) => path.join(folder, name));
}

function rootOf(root: string, stage: string): string {
  return path.join(root, `stage-${stage}`);
}
