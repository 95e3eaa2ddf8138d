import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { withSection } from "../../support/faults/document.js";
import { readDocument, writeDocument } from "../../support/faults/document-file.js";
import { GUARDS, placesOf, type Guard } from "./guards.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const COPY = path.join(ROOT, ".cache/guards/copy");
/** A run of one fault, starting vitest included, in ms. */
const RUN_MS = 180_000;

interface Assertion {
  readonly title: string;
  readonly status: string;
  readonly failureMessages: readonly string[];
}

/**
 * Breaks each guard in a copy of the repository, one at a time, and runs its fault: the fault must turn red, and name
 * why. Exits with 1 when one stays green, or when a guard's code is not there any more.
 *
 *     main.ts [--only words] [--list]
 *
 * A run of all of them that ends well puts their table into `docs/faults.md`.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: "string" }, list: { type: "boolean", default: false } } });
  const { only } = values;
  const guards = GUARDS.filter(
    ({ name, fault }) => only === undefined || name.includes(only) || String(fault) === only,
  );
  if (values.list) {
    for (const { fault, name, file } of guards) console.log(`(${fault}) ${name}: src/${file}`);
    return;
  }
  const moved = guards.filter(
    (guard) => placesOf(guard, readFileSync(path.join(ROOT, "src", guard.file), "utf8")) !== 1,
  );
  for (const { name, file } of moved) console.error(`the code of this guard is not in src/${file}, or twice: ${name}`);
  if (moved.length > 0) {
    process.exitCode = 1;
    return;
  }
  makeCopy();
  const rows: string[] = [];
  let escaped = 0;
  for (const guard of guards) {
    const caught = await breakIt(guard);
    if (caught === undefined) escaped += 1;
    console.log(
      `${caught === undefined ? "NOT CAUGHT" : "caught"}: ${guard.name}${caught === undefined ? "" : ` — ${caught}`}`,
    );
    rows.push(`| ${guard.name} | \`src/${guard.file}\` | ${caught ?? "**nobody**"} |`);
  }
  const head = [
    "## Guards",
    "",
    "Each of these was broken in a copy of the code, one at a time, and the fault named beside it turned red (`npm run test:guards`).",
    "",
    "| guard | where | caught by |",
    "|---|---|---|",
  ];
  if (only === undefined && escaped === 0) {
    await writeDocument(withSection(readDocument(), "guards", [...head, ...rows].join("\n")));
  }
  console.log(`${guards.length - escaped} of ${guards.length} guards are guarded`);
  if (escaped > 0) process.exitCode = 1;
}

function makeCopy(): void {
  rmSync(COPY, { recursive: true, force: true });
  mkdirSync(COPY, { recursive: true });
  for (const name of ["src", "test", "package.json", "tsconfig.json", "vitest.config.ts"]) {
    cpSync(path.join(ROOT, name), path.join(COPY, name), { recursive: true });
  }
  // The server's own process runs the build, which stays whole.
  for (const name of ["node_modules", "dist"]) {
    if (!existsSync(path.join(ROOT, name))) throw new Error(`${name} is not there: install and build first`);
    symlinkSync(path.join(ROOT, name), path.join(COPY, name), "junction");
  }
}

/** The title of the fault that caught it; `undefined` when it stayed green. */
async function breakIt(guard: Guard): Promise<string | undefined> {
  const file = path.join(COPY, "src", guard.file);
  const whole = readFileSync(file, "utf8");
  writeFileSync(
    file,
    whole.replace(guard.code, () => guard.broken),
  );
  try {
    const assertions = await runFault(guard);
    if (assertions.length === 0) throw new Error(`${guard.name}: no fault of ${guard.test} ran`);
    const failed = assertions.find(({ status }) => status === "failed");
    if (failed !== undefined) console.log(`   ${failed.failureMessages[0]?.split("\n")[0] ?? ""}`);
    return failed?.title;
  } finally {
    writeFileSync(file, whole);
  }
}

async function runFault({ fault, shape = "", test }: Guard): Promise<Assertion[]> {
  const report = path.join(COPY, "report.json");
  rmSync(report, { force: true });
  const args = [
    path.join(COPY, "node_modules/vitest/vitest.mjs"),
    ...["run", "--project", "faults", `test/faults/${test}`, "-t", `\\(${fault}\\) .*${shape}`],
    ...["--testTimeout", "90000", "--reporter", "json", "--outputFile", report],
  ];
  await new Promise<void>((resolve) => {
    execFile(process.execPath, args, { cwd: COPY, timeout: RUN_MS, maxBuffer: 2 ** 26 }, () => {
      resolve();
    });
  });
  if (!existsSync(report)) return [];
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as {
    testResults: { assertionResults: Assertion[] }[];
  };
  const all = testResults.flatMap(({ assertionResults }) => assertionResults);
  return all.filter(({ status }) => status === "passed" || status === "failed");
}

await main();
