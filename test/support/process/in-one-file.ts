import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const repositoryRoot = fileURLToPath(new URL("../../..", import.meta.url));

/** What CommonJS packages need inside an ES module. */
const REQUIRE_BANNER = `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`;

/**
 * The text of a program with all that it imports in it, `ostinato` (the build) included. For a program that becomes
 * another user: what it imports later must be there although that user may not read the repository.
 */
export function inOneFile(source: string): string {
  const { outputFiles } = buildSync({
    stdin: { contents: source, resolveDir: repositoryRoot },
    bundle: true,
    write: false,
    platform: "node",
    target: "node20",
    format: "esm",
    logLevel: "silent",
    banner: { js: REQUIRE_BANNER },
  });
  return outputFiles[0]!.text;
}
