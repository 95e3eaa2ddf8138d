import { parseArgs } from "node:util";
import type { RealQueue } from "../../test/support/servers/real-conductor/real-conductor.js";

export const PARTS = ["a", "b", "c", "d"] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  readonly queues: readonly RealQueue[];
  readonly parts: readonly Part[];
  readonly clients: readonly string[];
  readonly rounds: number;
  /** Of the backlog that is drained. */
  readonly workflows: number;
  /** How long workflows arrive, and how long idleness is watched, in seconds. */
  readonly seconds: number;
}

/** Reads the command line; throws `TypeError` for what it does not understand. */
export function readOptions(args: string[], clientNames: readonly string[]): Options {
  const { values } = parseArgs({
    args,
    options: {
      queue: { type: "string", default: "sqlite,redis" },
      parts: { type: "string", default: "a,b,c" },
      crowd: { type: "boolean", default: false },
      clients: { type: "string", default: clientNames.join(",") },
      rounds: { type: "string", default: "3" },
      workflows: { type: "string", default: "300" },
      seconds: { type: "string", default: "30" },
    },
  });
  const parts = new Set(listOf("--parts", values.parts, PARTS));
  if (values.crowd) parts.add("d");
  return {
    queues: listOf("--queue", values.queue, ["sqlite", "redis"] as const),
    parts: PARTS.filter((part) => parts.has(part)),
    clients: listOf("--clients", values.clients, clientNames),
    rounds: positive("--rounds", values.rounds),
    workflows: positive("--workflows", values.workflows),
    seconds: positive("--seconds", values.seconds),
  };
}

function listOf<T extends string>(option: string, text: string, known: readonly T[]): T[] {
  return text.split(",").map((name) => {
    const found = known.find((candidate) => candidate === name);
    if (found === undefined) throw new TypeError(`${option}: ${name} is none of ${known.join(", ")}`);
    return found;
  });
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new TypeError(`${option}: ${text} is not a whole number above 0`);
  return value;
}
