/**
 * The same faults for Ostinato and for the official SDK: who works again and when, and what is lost. A whole run puts
 * its table into `docs/faults.md`.
 *
 *     npm run bench -- faults --only 12,17 --parallel 6
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startEmbeddedConductor } from "ostinato/testing";
import { withSection } from "../../test/support/faults/document.js";
import { readDocument, writeDocument } from "../../test/support/faults/document-file.js";
import { installOfficial } from "../real/clients.js";
import { CONNECTION_FAULTS } from "./connections.js";
import { measure, type Measured } from "./measure.js";
import { SERVER_FAULTS } from "./server.js";
import type { FaultShape } from "./shape.js";
import { linesOf, sectionOf, type Row, type Versions } from "./table.js";
import type { ClientName } from "./world.js";
import { WORKER_FAULTS } from "./worker.js";

const SHAPES = [...CONNECTION_FAULTS, ...SERVER_FAULTS, ...WORKER_FAULTS];

interface Job {
  readonly shape: FaultShape;
  readonly client: ClientName;
  readonly taskType: string;
}

/** What may last longest goes first; both clients of a fault run side by side. */
function jobsOf(shapes: readonly FaultShape[]): Job[] {
  const longestMs = ({ lastsMs = 0, boundMs }: FaultShape) => lastsMs + boundMs;
  return shapes
    .map((shape, index) => ({ shape, index }))
    .sort((a, b) => longestMs(b.shape) - longestMs(a.shape))
    .flatMap(({ shape, index }) =>
      (["official", "ostinato"] as const).map((client) => ({ shape, client, taskType: `${client}_${index + 1}` })),
    );
}

async function measureAll(shapes: readonly FaultShape[], parallel: number): Promise<Row[]> {
  const measured = new Map<FaultShape, Partial<Record<ClientName, Measured>>>();
  const rows = new Map<FaultShape, Row>();
  const waiting = jobsOf(shapes);
  await using conductor = await startEmbeddedConductor({ ownProcess: true });
  const problems: unknown[] = [];
  const work = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      const { shape, client, taskType } = job;
      try {
        const result = await measure(shape, client, conductor, taskType);
        const both: Partial<Record<ClientName, Measured>> = { ...measured.get(shape), [client]: result };
        measured.set(shape, both);
        const { ostinato, official } = both;
        if (ostinato === undefined || official === undefined) continue;
        const row = { shape, ostinato, official };
        rows.set(shape, row);
        console.log(linesOf(row).join("\n"));
      } catch (error) {
        problems.push(error);
        console.error(
          `(${shape.number}) ${shape.name}, ${shape.variant ?? ""}: ${client} could not be measured:`,
          error,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, work));
  if (problems.length > 0) throw new Error(`${problems.length} measurements failed`);
  return shapes.flatMap((shape) => rows.get(shape) ?? []);
}

function versions(): Versions {
  const of = (name: string): string => {
    const file = new URL(`../real/official/node_modules/${name}/package.json`, import.meta.url);
    return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version.replace(/^v/, "");
  };
  return { official: of("@io-orkes/conductor-javascript"), undici: of("undici"), node: process.version.slice(1) };
}

/** The promise, for our column: works again, loses nothing, runs nothing twice. */
const isKept = ({ recoveredMs, accounts: { lost, again } }: Measured) =>
  recoveredMs !== undefined && lost === 0 && again === 0;

export async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { only: { type: "string" }, parallel: { type: "string", default: "14" } },
  });
  const only = values.only?.split(",").map(Number);
  const parallel = Number(values.parallel);
  const shapes = SHAPES.filter(({ number }) => only?.includes(number) ?? true);
  if (!(parallel >= 1) || shapes.length === 0) {
    throw new Error("usage: npm run bench -- faults [--only numbers, 0 for SIGTERM] [--parallel how many at once]");
  }
  await installOfficial((text) => {
    console.log(text);
  });
  const beganAt = performance.now();
  const rows = await measureAll(shapes, parallel);
  console.log(`${rows.length} faults in ${Math.round((performance.now() - beganAt) / 1_000)} s`);
  if (only === undefined) {
    await writeDocument(withSection(readDocument(), "official SDK", sectionOf(rows, versions())));
    console.log('written: the section "official SDK" of docs/faults.md');
  }
  const broken = rows.filter(({ ostinato }) => !isKept(ostinato)).length;
  if (broken === 0) return;
  console.error(`Ostinato did not keep its promise in ${broken}`);
  process.exitCode = 1;
}
