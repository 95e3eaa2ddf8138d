/**
 * The last step of `npm run build`: puts `dist.new` in the place of `dist`. Declarations that no entry of the package
 * leads to are left out, for nobody can import them, and they would be a quarter of what users download.
 */
import fs from "node:fs";
import path from "node:path";
import ts from "typescript";

const BUILT = "dist.new";

/** What stands for a user's `import type`: the declarations of the entries, and all that they import. */
function reachable(entries: readonly string[]): Set<string> {
  const found = new Set(entries);
  for (const file of found) {
    const { importedFiles } = ts.preProcessFile(fs.readFileSync(file, "utf8"), true, true);
    for (const { fileName } of importedFiles)
      if (fileName.startsWith(".")) found.add(path.join(path.dirname(file), fileName.replace(/\.js$/, ".d.ts")));
  }
  return found;
}

const manifest = JSON.parse(fs.readFileSync("package.json", "utf8")) as {
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
};
const entries = Object.values(manifest.exports)
  .filter((entry) => typeof entry === "object")
  .map(({ types }) => path.join(types.replace("./dist/", `${BUILT}/`)));
const kept = reachable(entries);
for (const name of fs.readdirSync(BUILT, { recursive: true, encoding: "utf8" })) {
  const file = path.join(BUILT, name);
  if (file.endsWith(".d.ts") && !kept.has(file)) fs.rmSync(file);
}
fs.rmSync("dist", { recursive: true, force: true });
fs.renameSync(BUILT, "dist");
