import { parseArgs } from "node:util";
import { earlierOf, missingNumbers, renderDocument } from "./document.js";
import { readDocument, writeDocument } from "./document-file.js";
import { readRows, removeAllRows } from "./rows.js";

/**
 * Turns the rows of a run into `docs/faults.md`. Fails when one of the numbers has no row.
 *
 *     write-document.ts            writes it; sections of other programs stay as they are
 *     write-document.ts --partial  writes it although some numbers have no row
 *     write-document.ts --clear    removes the rows, before a run of the whole suite
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { partial: { type: "boolean", default: false }, clear: { type: "boolean", default: false } },
  });
  if (values.clear) {
    removeAllRows();
    return;
  }
  const rows = readRows();
  const missing = missingNumbers(rows);
  if (missing.length > 0) {
    console.error(`no row for fault ${missing.join(", ")}: it failed, or did not run`);
    if (!values.partial) {
      process.exitCode = 1;
      return;
    }
  }
  await writeDocument(renderDocument(rows, earlierOf(readDocument())));
  console.log(`docs/faults.md: ${rows.length} rows`);
}

await main();
